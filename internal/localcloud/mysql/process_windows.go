package mysql

import (
	"os"
	"syscall"
)

// attributes has nothing to add: Windows has neither groups to signal nor users to become.
func (o *owner) attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{} }

// reaches is about users, whom we do not change there.
func (o *owner) reaches(string) bool { return true }

// askToEnd ends a process; there is no softer way.
func askToEnd(p *os.Process) { _ = p.Kill() }

// alive tells whether a process of that number runs.
func alive(pid int) bool {
	_, err := os.FindProcess(pid)
	return err == nil
}
