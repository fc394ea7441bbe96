package mysql

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
)

// packaged are the folders distributions keep the server's programs in; Debian
// puts the daemon where only root's PATH looks.
var packaged = []string{"/usr/sbin", "/usr/bin", "/usr/libexec", "/usr/local/bin", "/opt/homebrew/opt/mariadb/bin"}

// serverUser is who the server runs as when we are root, which it refuses to be.
const serverUser = "mysql"

// Available tells whether a MariaDB server can run here and returns the path of
// its program. The error is one sentence for a person to read.
func Available() (path string, err error) {
	b, err := findBinaries(os.Getenv("PATH"), packaged)
	if err != nil {
		return "", err
	}
	if _, err := runAs(os.Getuid()); err != nil {
		return "", err
	}
	return b.server, nil
}

// binaries are the two programs a server needs.
type binaries struct{ server, install string }

func findBinaries(path string, folders []string) (binaries, error) {
	dirs := append(filepath.SplitList(path), folders...)
	b := binaries{server: program("mariadbd", dirs), install: program("mariadb-install-db", dirs)}
	if b.server == "" || b.install == "" {
		return binaries{}, errors.New("MariaDB is not installed here: no mariadbd and mariadb-install-db in PATH or where packages put them")
	}
	return b, nil
}

func program(name string, dirs []string) string {
	for _, dir := range dirs {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil && filepath.IsAbs(path) {
			return path
		}
	}
	return ""
}

// owner is who the server's files and process belong to; nil means ourselves.
type owner struct{ uid, gid uint32 }

func runAs(uid int) (*owner, error) {
	if uid != 0 {
		return nil, nil
	}
	u, err := user.Lookup(serverUser)
	if err != nil {
		return nil, fmt.Errorf("MariaDB cannot run as root and there is no user %q on this machine", serverUser)
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
