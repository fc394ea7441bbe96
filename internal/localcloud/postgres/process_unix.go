//go:build !windows

package postgres

import (
	"os"
	"path/filepath"
	"syscall"
)

// process returns attributes for a child: its own group, so that a terminal's
// interrupt does not reach it before we stop it in order.
func (o *owner) process() *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setpgid: true}
	if o != nil {
		attr.Credential = &syscall.Credential{Uid: o.uid, Gid: o.gid}
	}
	return attr
}

// reaches tells whether the owner can walk down to dir.
func (o *owner) reaches(dir string) bool {
	if o == nil {
		return true
	}
	for ; ; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err != nil {
			return false
		}
		if st, ok := info.Sys().(*syscall.Stat_t); !ok || !o.enters(info.Mode(), st) {
			return false
		}
		if dir == filepath.Dir(dir) {
			return true
		}
	}
}

func (o *owner) enters(mode os.FileMode, st *syscall.Stat_t) bool {
	switch {
	case st.Uid == o.uid:
		return mode&0o100 != 0
	case st.Gid == o.gid:
		return mode&0o010 != 0
	}
	return mode&0o001 != 0
}

// kill signals a process, or with a negative pid its group.
func kill(pid int, signal syscall.Signal) error { return syscall.Kill(pid, signal) }
