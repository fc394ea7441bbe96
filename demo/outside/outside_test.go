package outside

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestCleanDropsWhatLeadsElsewhere(t *testing.T) {
	t.Parallel()
	got := Clean([]string{"PATH=/bin", "AZURE_TENANT_ID=t", "arm_client_id=c", "PATCHBAY_HOME=h", "https_proxy=p", "HOME=/h"})
	if want := []string{"PATH=/bin", "HOME=/h"}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestExecTellsHowAProgramEnded(t *testing.T) {
	t.Parallel()
	r, err := Exec(t.Context(), os.Environ(), "/bin/sh", "-c", "echo out; echo err >&2; exit 5")
	if want := (Result{5, "out\n", "err\n"}); err != nil || r != want {
		t.Errorf("got %+v, %v", r, err)
	}
	if _, err := Exec(t.Context(), nil, filepath.Join(t.TempDir(), "nothing")); err == nil {
		t.Error("a program that is not there was run")
	}
}

func TestUntilSaysWhatItWaitedFor(t *testing.T) {
	t.Parallel()
	reason := errors.New("no tea")
	err := Until(t.Context(), time.Millisecond, "breakfast", func() (bool, error) { return false, reason })
	if !errors.Is(err, reason) || !strings.Contains(err.Error(), "breakfast") {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Until(ctx, time.Hour, "lunch", func() (bool, error) { return false, nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("after cancellation: %v", err)
	}
}
