package process

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/gofrs/flock"

	"github.com/patchbay/patchbay/internal/problem"
)

// Private is the mode of files that hold values.
const Private fs.FileMode = 0o600

// Kept asks Change to leave a file's mode as it is.
const Kept fs.FileMode = 0

const (
	lockPause = 15 * time.Millisecond
	triesMost = 5
	sizeMost  = 8 << 20
)

// Content is a file as it was read.
type Content struct {
	Exists bool
	Raw    []byte
	Mode   fs.FileMode
}

// Load reads a file; one that is not there is a state, not an error.
func Load(path string) (Content, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return Content{}, nil
	case err != nil:
		return Content{}, unreadable(path, "it cannot be read").Because(err)
	case !info.Mode().IsRegular():
		return Content{}, unreadable(path, "it is no plain file")
	case info.Size() > sizeMost:
		return Content{}, unreadable(path, "it is too large")
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return Content{}, unreadable(path, "it cannot be read").Because(err)
	}
	return Content{Exists: true, Raw: raw, Mode: info.Mode().Perm()}, nil
}

func unreadable(path, why string) *problem.Error {
	return problem.New(problem.SourceUnusable, path, "the file %s cannot be used: %s", path, why)
}

// Writable refuses a file that its mode or its folder keeps from being replaced. A file
// without the owner's write bit is left alone even by who may do everything.
func Writable(path string) error {
	c, err := Load(path)
	if err != nil {
		return err
	}
	if c.Exists && c.Mode&0o200 == 0 {
		return unreadable(path, "it is read-only").WithFix("chmod u+w '%s'", path)
	}
	folder := filepath.Dir(path)
	for {
		info, err := os.Stat(folder)
		if err == nil && (!info.IsDir() || info.Mode().Perm()&0o200 == 0) {
			return unreadable(path, "the folder "+folder+" cannot be written to").WithFix("chmod u+w '%s'", folder)
		}
		if err == nil || folder == filepath.Dir(folder) {
			return nil
		}
		folder = filepath.Dir(folder)
	}
}

// Edit makes a file's new content from the old one; without keep the file goes.
type Edit func(old []byte, exists bool) (raw []byte, keep bool, err error)

// Change replaces a file whole, under a lock that others of us respect. Editors do not:
// the file is compared again just before it is replaced, and edited anew when somebody
// was faster. mode is the file's, Kept leaves it; new files are for their owner only.
func Change(ctx context.Context, path string, mode fs.FileMode, edit Edit) error {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	if err := Writable(path); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return unreadable(path, "its folder cannot be made").Because(err)
	}
	unlock, err := lock(ctx, filepath.Dir(path))
	if err != nil {
		return err
	}
	defer unlock()
	for range triesMost {
		done, err := change(path, mode, edit)
		if done || err != nil {
			return err
		}
	}
	return lost(path, "somebody else writes the file all the time")
}

// lock takes the folder's lock of the operating system. Where a folder has none, the
// comparison before the write has to do.
func lock(ctx context.Context, folder string) (func(), error) {
	l := flock.New(folder, flock.SetFlag(os.O_RDONLY))
	got, err := l.TryLockContext(ctx, lockPause)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil || !got {
		return func() {}, nil
	}
	return func() { _ = l.Close() }, nil
}

func change(path string, mode fs.FileMode, edit Edit) (done bool, err error) {
	old, err := Load(path)
	if err != nil {
		return false, err
	}
	raw, keep, err := edit(old.Raw, old.Exists)
	if err != nil {
		return false, err
	}
	if !keep && !old.Exists || keep && old.Exists && bytes.Equal(raw, old.Raw) {
		return true, nil
	}
	if !keep {
		if same, err := unchanged(path, old); !same || err != nil {
			return false, err
		}
		if err := os.Remove(path); err != nil {
			return false, unreadable(path, "it cannot be removed").Because(err)
		}
		tidy(filepath.Dir(path))
		return true, nil
	}
	return replace(path, old, raw, mode)
}

func unchanged(path string, old Content) (bool, error) {
	now, err := Load(path)
	return err == nil && now.Exists == old.Exists && bytes.Equal(now.Raw, old.Raw), err
}

// replace writes beside the file and renames, unless the file has changed meanwhile.
func replace(path string, old Content, raw []byte, mode fs.FileMode) (done bool, err error) {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".patchbay-*")
	if err != nil {
		return false, unreadable(path, "nothing can be written beside it").Because(err)
	}
	defer os.Remove(tmp.Name()) //nolint:errcheck // gone once renamed
	if mode == Kept {
		mode = Private
		if old.Exists {
			mode = old.Mode
		}
	}
	_, err = tmp.Write(raw)
	err = errors.Join(err, tmp.Chmod(mode), keepOwner(path, tmp), tmp.Sync(), tmp.Close())
	if err != nil {
		return false, unreadable(path, "it cannot be written").Because(err)
	}
	if same, err := unchanged(path, old); !same || err != nil {
		return false, err
	}
	if err := os.Rename(tmp.Name(), path); err != nil {
		return false, unreadable(path, "it cannot be replaced").Because(err)
	}
	return true, nil
}

// ownFolder is the folder that we make beside what is the user's.
const ownFolder = ".patchbay"

// tidy removes our own folders once they are empty.
func tidy(folder string) {
	for strings.Contains(folder, string(filepath.Separator)+ownFolder) && os.Remove(folder) == nil {
		folder = filepath.Dir(folder)
	}
}
