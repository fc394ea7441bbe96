package process

import (
	"os/exec"
	"syscall"
)

// ownGroup puts the process in a group of its own and lets it die with the cloud.
func ownGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
