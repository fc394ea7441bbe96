package ledger

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/gofrs/flock"
)

// pollEvery is the pause between two looks at something another process holds.
const pollEvery = 15 * time.Millisecond

// A taker that finds only readers at a lock tries again so often, after at most such a pause.
const (
	readerTries = 100
	readerPause = 400 * time.Microsecond
)

// fileLocks are the locks of the operating system that this process holds, one per
// source it works on. They end with the process, however it ends, which tells others
// that its leases are dead. They are never the truth about a lease: the row is.
type fileLocks struct {
	dir  string
	try  func(l *flock.Flock, shared bool) (bool, error) // asks the system, without waiting
	mu   sync.Mutex
	held map[string]*fileLock // by folded source
}

// fileLock is one of them. operation and fence name the lease it stands for; they
// are empty until there is one.
type fileLock struct {
	file      *flock.Flock
	operation string
	fence     int64
}

// Whose a file lock is.
type holding int

const (
	free      holding = iota // nobody's
	ours                     // this process's
	elsewhere                // another living process's
	unknown                  // this file system has no locks
)

func newFileLocks(dir string) *fileLocks {
	return &fileLocks{dir: dir, held: map[string]*fileLock{}, try: func(l *flock.Flock, shared bool) (bool, error) {
		if shared {
			return l.TryRLock()
		}
		return l.TryLock()
	}}
}

// path names the lock file of a source; the files stay, as removing one that is
// locked would let two processes lock two files of one name.
func (f *fileLocks) path(source string) string {
	sum := sha256.Sum256([]byte(source))
	return filepath.Join(f.dir, hex.EncodeToString(sum[:16])+".lock")
}

// take tries to lock a source and tells whose it was. On free (and unknown, when
// there is nothing to lock) the source is this process's until release.
func (f *fileLocks) take(source string) (holding, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, ok := f.held[source]; ok {
		return ours, nil
	}
	if err := os.MkdirAll(f.dir, 0o700); err != nil {
		return elsewhere, err
	}
	l := &fileLock{file: flock.New(f.path(source), flock.SetPermissions(0o600))}
	ok, err := f.exclusive(l.file)
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		f.held[source] = l
		return unknown, nil
	case err != nil:
		return elsewhere, fmt.Errorf("lock source: %w", err)
	case !ok:
		return elsewhere, nil
	}
	f.held[source] = l
	return free, nil
}

// exclusive is patient with readers, who hold a lock for an instant to see whether
// anybody else does; it does not wait for another taker.
func (f *fileLocks) exclusive(l *flock.Flock) (bool, error) {
	for range readerTries {
		ok, err := f.try(l, false)
		if ok || err != nil {
			return ok, err
		}
		shared, err := f.try(l, true)
		if err != nil || !shared {
			return false, err
		}
		if err := l.Unlock(); err != nil {
			return false, err
		}
		time.Sleep(rand.N(readerPause))
	}
	return false, nil
}

// assign notes the lease that the lock of a source stands for from now on.
func (f *fileLocks) assign(source, operation string, fence int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if l := f.held[source]; l != nil {
		l.operation, l.fence = operation, fence
	}
}

// release lets a source go if its lock still stands for that lease.
func (f *fileLocks) release(source, operation string, fence int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	l := f.held[source]
	if l == nil || l.operation != operation || l.fence != fence {
		return
	}
	delete(f.held, source)
	_ = l.file.Close() // the descriptor goes with the process at the latest
}

// look tells whose the lock of a source is, and changes nothing, not even a missing file.
func (f *fileLocks) look(source string) (holding, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, ok := f.held[source]; ok {
		return ours, nil
	}
	l := flock.New(f.path(source), flock.SetFlag(os.O_RDONLY))
	ok, err := f.try(l, true)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return free, nil
	case errors.Is(err, errors.ErrUnsupported):
		return unknown, nil
	case err != nil:
		return elsewhere, fmt.Errorf("look at lock of source: %w", err)
	case !ok:
		return elsewhere, nil
	}
	return free, l.Unlock()
}

// wait locks a name that is no source, until ctx ends.
func (f *fileLocks) wait(ctx context.Context, name string) (unlock func(), err error) {
	if err := os.MkdirAll(f.dir, 0o700); err != nil {
		return nil, err
	}
	l := flock.New(filepath.Join(f.dir, name+".lock"), flock.SetPermissions(0o600))
	_, err = l.TryLockContext(ctx, pollEvery)
	if err != nil && !errors.Is(err, errors.ErrUnsupported) {
		return nil, fmt.Errorf("lock %s: %w", name, err)
	}
	return func() { _ = l.Close() }, nil
}

// close lets everything go.
func (f *fileLocks) close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	var errs []error
	for source, l := range f.held {
		errs = append(errs, l.file.Close())
		delete(f.held, source)
	}
	return errors.Join(errs...)
}
