package cql

import (
	"slices"

	"github.com/google/uuid"
)

// systemKeyspaces are the server's own; nobody writes there.
var systemKeyspaces = []string{"system", "system_schema"}

// release is the version of Cassandra whose protocol and tables these are.
const release = "3.11.0"

// node names the one node by its address: the same after a restart.
func (s *Server) node() uuid.UUID {
	return uuid.NewSHA1(uuid.NameSpaceOID, []byte(s.config.Address.String()))
}

// systemTable is a table of the server's own, with what holds at this moment; nil when
// there is none of that name.
func (s *Server) systemTable(keyspace, name string) *table {
	build, ok := map[string]func() *table{
		"system.local":            s.local,
		"system.peers":            peers,
		"system_schema.keyspaces": s.keyspaces,
		"system_schema.tables":    s.schemaTables,
		"system_schema.columns":   s.schemaColumns,
		"system_schema.types":     func() *table { return shaped("type_name text", "field_names list", "field_types list") },
		"system_schema.functions": func() *table {
			return shaped("function_name text", "argument_types list", "argument_names list", "body text", "called_on_null_input bool", "language text", "return_type text")
		},
		"system_schema.aggregates": func() *table {
			return shaped("aggregate_name text", "argument_types list", "final_func text", "initcond text", "return_type text", "state_func text", "state_type text")
		},
		"system_schema.indexes":  func() *table { return shaped("table_name text", "index_name text", "kind text", "options map") },
		"system_schema.triggers": func() *table { return shaped("table_name text", "trigger_name text", "options map") },
		"system_schema.views":    func() *table { return shaped("view_name text", "base_table_name text") },
	}[keyspace+"."+name]
	if !ok {
		return nil
	}
	t := build()
	t.keyspace, t.name = keyspace, name
	return t
}

// shaped is an empty table of the schema, by keyspace first.
func shaped(columns ...string) *table {
	t := &table{columns: []column{{"keyspace_name", kindText}}, partition: []string{"keyspace_name"}}
	for _, each := range columns {
		for word, k := range map[string]kind{" text": kindText, " list": textList, " map": textMap, " int": kindInt, " bool": kindBool, " set": textSet} {
			if n := len(each) - len(word); n > 0 && each[n:] == word {
				t.columns = append(t.columns, column{each[:n], k})
			}
		}
	}
	return t
}

func (s *Server) local() *table {
	at := s.config.Address.Addr()
	t := &table{partition: []string{"key"}}
	r := row{}
	for _, c := range []struct {
		name  string
		kind  kind
		value []byte
	}{
		{"key", kindText, []byte("local")},
		{"bootstrapped", kindText, []byte("COMPLETED")},
		{"broadcast_address", kindInet, inetValue(at)},
		{"cluster_name", kindText, []byte("local")},
		{"cql_version", kindText, []byte("3.4.4")},
		{"data_center", kindText, []byte(s.config.Datacenter)},
		{"gossip_generation", kindInt, intValue(1)},
		{"host_id", kindUUID, uuidValue(s.node())},
		{"listen_address", kindInet, inetValue(at)},
		{"native_protocol_version", kindText, []byte("4")},
		{"partitioner", kindText, []byte("org.apache.cassandra.dht.Murmur3Partitioner")},
		{"rack", kindText, []byte("rack1")},
		{"release_version", kindText, []byte(release)},
		{"rpc_address", kindInet, inetValue(at)},
		{"schema_version", kindUUID, uuidValue(s.schemaVersion())},
		{"tokens", textSet, listValue("0")},
	} {
		t.columns = append(t.columns, column{c.name, c.kind})
		r[c.name] = c.value
	}
	t.rows = []row{r}
	return t
}

// schemaVersion changes with what there is.
func (s *Server) schemaVersion() uuid.UUID {
	var all []byte
	for _, keyspace := range s.config.Host.Databases() {
		all = append(append(all, 0), keyspace...)
		for _, name := range s.config.Host.Collections(keyspace) {
			all = append(append(all, 1), name...)
		}
	}
	return uuid.NewSHA1(uuid.NameSpaceURL, all)
}

// peers is empty: the cluster has one node.
func peers() *table {
	return &table{partition: []string{"peer"}, columns: []column{
		{"peer", kindInet}, {"data_center", kindText}, {"host_id", kindUUID}, {"preferred_ip", kindInet}, {"rack", kindText},
		{"release_version", kindText}, {"rpc_address", kindInet}, {"schema_version", kindUUID}, {"tokens", textSet},
	}}
}

func (s *Server) keyspaces() *table {
	t := shaped("durable_writes bool", "replication map")
	for _, name := range slices.Concat(systemKeyspaces, s.config.Host.Databases()) {
		t.rows = append(t.rows, row{"keyspace_name": []byte(name), "durable_writes": boolValue(true),
			"replication": mapValue("class", "org.apache.cassandra.locator.SimpleStrategy", "replication_factor", "1")})
	}
	return t
}

func (s *Server) schemaTables() *table {
	t := shaped("table_name text", "comment text", "flags set")
	for _, each := range s.tables.all() {
		t.rows = append(t.rows, row{"keyspace_name": []byte(each.keyspace), "table_name": []byte(each.name), "comment": []byte{}, "flags": listValue("compound")})
	}
	return t
}

func (s *Server) schemaColumns() *table {
	t := shaped("table_name text", "column_name text", "clustering_order text", "kind text", "position int", "type text")
	for _, each := range s.tables.all() {
		for _, c := range each.columns {
			role, order, at := "regular", "none", -1
			if n := slices.Index(each.partition, c.name); n >= 0 {
				role, at = "partition_key", n
			}
			if n := slices.Index(each.cluster, c.name); n >= 0 {
				role, order, at = "clustering", "asc", n
			}
			t.rows = append(t.rows, row{"keyspace_name": []byte(each.keyspace), "table_name": []byte(each.name), "column_name": []byte(c.name),
				"clustering_order": []byte(order), "kind": []byte(role), "position": intValue(int32(at)), "type": []byte(c.kind.name)})
		}
	}
	return t
}
