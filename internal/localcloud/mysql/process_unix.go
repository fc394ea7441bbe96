//go:build !windows

package mysql

import (
	"os"
	"path/filepath"
	"syscall"
)

// attributes put a child into a group of its own, so that a terminal's interrupt
// does not reach it before we stop it in order, and make it run as the owner.
func (o *owner) attributes() *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setpgid: true}
	if o != nil {
		attr.Credential = &syscall.Credential{Uid: o.uid, Gid: o.gid}
	}
	return attr
}

// reaches tells whether the owner may walk down to dir: every folder on the way
// lets its owner, its group or everybody pass.
func (o *owner) reaches(dir string) bool {
	if o == nil {
		return true
	}
	for {
		info, err := os.Stat(dir)
		if err != nil {
			return false
		}
		pass := os.FileMode(0o001)
		if st, ok := info.Sys().(*syscall.Stat_t); ok && st.Uid == o.uid {
			pass = 0o100
		} else if ok && st.Gid == o.gid {
			pass = 0o010
		}
		if info.Mode()&pass == 0 {
			return false
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return true
		}
		dir = parent
	}
}

// askToEnd asks a process to end in order.
func askToEnd(p *os.Process) { _ = p.Signal(syscall.SIGTERM) } // an error means it has just ended

// alive tells whether a process of that number runs.
func alive(pid int) bool { return syscall.Kill(pid, 0) == nil }
