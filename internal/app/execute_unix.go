//go:build !windows

package app

import (
	"os/exec"
	"syscall"
)

// execute lets a program take this process's place: signals, terminal and exit code are
// then its own.
func execute(argv, env []string) (int, error) {
	path, err := exec.LookPath(argv[0])
	if err != nil {
		return 0, err
	}
	return 0, syscall.Exec(path, argv, env)
}
