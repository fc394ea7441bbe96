package postgres

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"sort"
	"strconv"
)

// packaged is where Debian and its kin put the server's programs.
const packaged = "/usr/lib/postgresql/*/bin"

// serverUser is who the server runs as when we are root, which it refuses to be.
const serverUser = "postgres"

// Available tells whether a PostgreSQL server can run here and returns the path
// of its program. The error is one sentence for a person to read.
func Available() (path string, err error) {
	b, err := findBinaries(os.Getenv("PATH"), packaged)
	if err != nil {
		return "", err
	}
	if _, err := identity(os.Getuid()); err != nil {
		return "", err
	}
	return b.postgres, nil
}

// binaries are the two programs a server needs, from one installation.
type binaries struct{ postgres, initdb string }

func findBinaries(path, pattern string) (binaries, error) {
	dirs := filepath.SplitList(path)
	versions, _ := filepath.Glob(pattern) // the pattern is ours; only a malformed one errs
	sort.Slice(versions, func(a, b int) bool { return majorOf(versions[a]) > majorOf(versions[b]) })
	for _, dir := range append(dirs, versions...) {
		if b, ok := binariesIn(dir); ok {
			return b, nil
		}
	}
	return binaries{}, errors.New("PostgreSQL is not installed here: no postgres and initdb in PATH or " + packaged)
}

// majorOf reads the version out of .../15/bin.
func majorOf(dir string) int {
	n, _ := strconv.Atoi(filepath.Base(filepath.Dir(dir)))
	return n
}

func binariesIn(dir string) (binaries, bool) {
	server, err := executable(filepath.Join(dir, "postgres"))
	if err != nil {
		return binaries{}, false
	}
	initdb, err := executable(filepath.Join(dir, "initdb"))
	return binaries{server, initdb}, err == nil
}

// executable follows links, because initdb looks for postgres beside itself.
func executable(path string) (string, error) {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return "", err
	}
	return exec.LookPath(real)
}

// owner is who the server's files and process belong to; nil means ourselves.
type owner struct{ uid, gid uint32 }

func identity(uid int) (*owner, error) {
	if uid != 0 {
		return nil, nil
	}
	u, err := user.Lookup(serverUser)
	if err != nil {
		return nil, fmt.Errorf("PostgreSQL cannot run as root and there is no user %q on this machine", serverUser)
	}
	id, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("the user %q has no numeric id", serverUser)
	}
	group, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("the user %q has no numeric group", serverUser)
	}
	return &owner{uint32(id), uint32(group)}, nil
}

// take gives a path to the owner.
func (o *owner) take(path string) error {
	if o == nil {
		return nil
	}
	return os.Chown(path, int(o.uid), int(o.gid))
}
