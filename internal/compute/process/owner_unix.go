//go:build unix

package process

import (
	"os"
	"syscall"
)

// keepOwner gives a file the owner of the one it will replace. Who may not give files
// away owns it anyhow, or the folder lets them replace it.
func keepOwner(path string, f *os.File) error {
	info, err := os.Stat(path)
	if err != nil {
		return nil //nolint:nilerr // a new file
	}
	if was, ok := info.Sys().(*syscall.Stat_t); ok && os.Geteuid() == 0 {
		return f.Chown(int(was.Uid), int(was.Gid))
	}
	return nil
}
