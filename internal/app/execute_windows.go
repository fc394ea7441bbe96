package app

import (
	"errors"
	"os"
	"os/exec"
	"os/signal"
)

// execute runs a program to its end. The console sends interrupts to it as well as to
// us; ours are left to it.
func execute(argv, env []string) (int, error) {
	signal.Ignore(os.Interrupt)
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = env, os.Stdin, os.Stdout, os.Stderr
	err := cmd.Run()
	var ended *exec.ExitError
	if errors.As(err, &ended) {
		return ended.ExitCode(), nil
	}
	return 0, err
}
