package outside

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// A background process that keeps its parent's output open must not keep us waiting.
func TestExecDoesNotWaitForDaemons(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	mark := filepath.Join(t.TempDir(), "daemon")
	if err := os.WriteFile(mark, []byte("#!/bin/sh\nread nothing < \"$1\"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	pipe := mark + ".pipe"
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Exec(ctx, os.Environ(), "/bin/sh", "-c", mark+" "+pipe+" &"); err != nil {
		t.Fatal(err)
	}
	found := Until(ctx, 10*time.Second, "the daemon", func() (bool, error) { return len(Processes(mark)) == 1, nil })
	end, err := os.OpenFile(pipe, os.O_RDWR, 0) // gives the daemon its end of file
	if err != nil {
		t.Fatal(err)
	}
	_, _ = end.WriteString("\n")
	gone := Until(ctx, 10*time.Second, "its end", func() (bool, error) { return len(Processes(mark)) == 0, nil })
	if err := errors.Join(found, gone, end.Close()); err != nil {
		t.Error(err)
	}
}
