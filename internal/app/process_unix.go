//go:build !windows

package app

import (
	"os/exec"
	"syscall"
)

// detach lets a process outlive the one that started it.
func detach(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} }

// alive tells whether a process exists and is not a zombie waiting for us.
func alive(pid int) bool {
	if pid <= 0 {
		return false
	}
	return syscall.Kill(pid, 0) == nil
}

func terminate(pid int) error { return syscall.Kill(pid, syscall.SIGTERM) }
