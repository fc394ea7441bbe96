package postgres

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"net/netip"
	"os"

	"github.com/jackc/pgx/v5"

	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

// InstanceOptions say how a bare server starts.
type InstanceOptions struct {
	Root      string // data folder; a new one is made where the server's user cannot reach it
	Address   string // listened on at port 5432
	CertFiles func() (cert, key, ca string)
	TLS       *tls.Config // of refusals
	// Admit tells whether a client's address may connect.
	Admit func(from netip.Addr) bool
}

// Instance is one PostgreSQL server without anything of Azure's: roles sign in with
// passwords over TLS. Other offers of PostgreSQL build on it.
type Instance struct {
	cluster *cluster
	gate    *gate
}

// StartInstance starts the server on its data folder, which it makes first when there
// is none.
func StartInstance(ctx context.Context, o InstanceOptions) (*Instance, error) {
	c, err := newCluster(o.Root)
	if err != nil {
		return nil, err
	}
	if !c.exists() {
		if err := c.initialise(ctx); err != nil {
			return nil, err
		}
	}
	cert, key, _ := o.CertFiles()
	if err := c.copyIn(cert, "server.crt"); err != nil {
		return nil, err
	}
	if err := c.copyIn(key, "server.key"); err != nil {
		return nil, err
	}
	rules := hostRules{gate: o.Address, password: true, requireTLS: true}
	if err := c.write("hba.conf", []byte(rules.render())); err != nil {
		return nil, err
	}
	if err := c.start(ctx); err != nil {
		return nil, err
	}
	decide := func(from netip.Addr) verdict {
		if o.Admit(from) {
			return open
		}
		return denied
	}
	g, err := openGate(ctx, o.Address, c.port, o.TLS, decide)
	if err != nil {
		c.stop()
		return nil, err
	}
	return &Instance{cluster: c, gate: g}, nil
}

// newCluster finds programs, user and folder.
func newCluster(root string) (*cluster, error) {
	bin, err := findBinaries(os.Getenv("PATH"), packaged)
	if err != nil {
		return nil, &provider.Fault{Status: http.StatusBadRequest, Code: "LocalServerUnavailable", Message: err.Error()}
	}
	who, err := identity(os.Getuid())
	if err != nil {
		return nil, &provider.Fault{Status: http.StatusBadRequest, Code: "LocalServerUnavailable", Message: err.Error()}
	}
	if root, err = prepareRoot(who, root); err != nil {
		return nil, err
	}
	return &cluster{bin: bin, owner: who, root: root}, nil
}

// Root is the data folder, to be given again after a restart.
func (i *Instance) Root() string { return i.cluster.root }

// Version is the server's own, such as 15.18.
func (i *Instance) Version(ctx context.Context) (string, error) { return i.cluster.version(ctx) }

// SetRole makes a role that signs in, or changes its password.
func (i *Instance) SetRole(ctx context.Context, name, password string) error {
	return i.cluster.within(ctx, "postgres", func(conn *pgx.Conn) error {
		var there bool
		if err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)", name).Scan(&there); err != nil {
			return fmt.Errorf("look for role: %w", err)
		}
		if !there {
			if err := execf(ctx, conn, "CREATE ROLE %I LOGIN CREATEROLE CREATEDB", name); err != nil {
				return fmt.Errorf("create role: %w", err)
			}
		}
		if err := execf(ctx, conn, "ALTER ROLE %I PASSWORD %L", name, password); err != nil {
			return fmt.Errorf("set password: %w", err)
		}
		return nil
	})
}

// DropRole removes a role; what it owns keeps it, as the server says.
func (i *Instance) DropRole(ctx context.Context, name string) error {
	return i.cluster.within(ctx, "postgres", func(conn *pgx.Conn) error {
		if err := execf(ctx, conn, "DROP ROLE IF EXISTS %I", name); err != nil {
			return fmt.Errorf("drop role: %w", err)
		}
		return nil
	})
}

// MakeDatabase makes a database of a role; one that is there already is left alone.
func (i *Instance) MakeDatabase(ctx context.Context, name, owner string) error {
	return i.cluster.within(ctx, "postgres", func(conn *pgx.Conn) error {
		err := execf(ctx, conn, "CREATE DATABASE %I OWNER %I TEMPLATE template0 ENCODING 'UTF8'", name, owner)
		if err != nil && sqlState(err) != duplicateDB {
			return fmt.Errorf("create database: %w", err)
		}
		return nil
	})
}

// DropDatabase removes a database with its sessions.
func (i *Instance) DropDatabase(ctx context.Context, name string) error {
	return i.cluster.dropDatabase(ctx, name)
}

// Close stops listening, ends every session and stops the server; its data stays.
func (i *Instance) Close() {
	i.gate.close()
	i.cluster.stop()
}

// Destroy is Close, and the data goes.
func (i *Instance) Destroy() error {
	i.gate.close()
	return i.cluster.remove()
}
