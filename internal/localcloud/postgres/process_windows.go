package postgres

import (
	"os"
	"syscall"
)

// process returns attributes for a child; Windows has no groups to signal.
func (o *owner) process() *syscall.SysProcAttr { return &syscall.SysProcAttr{} }

// reaches is about users, whom we do not change there.
func (o *owner) reaches(string) bool { return true }

// kill ends a process.
func kill(pid int, _ syscall.Signal) error {
	if pid < 0 {
		pid = -pid
	}
	p, err := os.FindProcess(pid)
	if err != nil {
		return err
	}
	return p.Kill()
}
