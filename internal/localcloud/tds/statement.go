package tds

// objectName is a table's or a view's name with its schema, "" for the default one.
type objectName struct{ schema, name string }

func (o objectName) String() string {
	if o.schema == "" {
		return o.name
	}
	return o.schema + "." + o.name
}

// statement is one parsed statement; run carries it out.
type statement interface {
	run(s *session, args map[string]any) (*result, error)
}

// result is what a statement came to: rows, or how many it changed; neither for most.
type result struct {
	rows    *table
	changed int
	counts  bool
}

type (
	createUser struct {
		name     string
		external bool
		objectID string
		sid      []byte
		kind     string
	}
	dropUser struct {
		name     string
		ifExists bool
	}
	alterRole struct {
		role, member string
		add          bool
	}
	permit struct {
		revoke      bool
		permissions []string
		on          securable
		principal   string
	}
	alterAuthorization struct{ schema, to string }
	createSchema       struct{ name, owner string }
	dropSchema         struct {
		name     string
		ifExists bool
	}
	createTable struct {
		name    objectName
		columns []Column
	}
	dropTable struct {
		name     objectName
		ifExists bool
	}
	insert struct {
		into    objectName
		columns []string
		rows    [][]expr
	}
	deletion struct {
		from  objectName
		where expr
	}
	query struct {
		top   int // -1: all
		items []item
		from  []source
		where expr
		order []order
	}
	quiet       struct{} // an option that changes nothing here
	use         struct{ database string }
	transaction struct{ verb string }
)

// securable is what a permission is on: the database, a schema or an object.
type securable struct {
	class  string // DATABASE, SCHEMA, OBJECT
	object objectName
}

type item struct {
	value expr
	name  string
	star  bool
	count bool
}

type source struct {
	object objectName
	alias  string
	on     expr // nil for the first
	left   bool // rows without a match stay
}

type order struct {
	by   expr
	down bool
}
