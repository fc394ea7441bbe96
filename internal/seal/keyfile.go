package seal

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// keyPrefix begins a key file, so that a person sees what it is.
const keyPrefix = "patchbay-key-1 "

// maxKeyFile bounds what is read of something that claims to be a key file.
const maxKeyFile = 4096

// OpenKeyFile returns a Box with the key in the file at path. An absent file is
// created with a new key and mode 0600 (its folder with 0700); processes that race
// end with the same key. A file that others may read or write is refused.
func OpenKeyFile(path string) (*Box, error) {
	key, err := readKey(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err := createKey(path); err != nil {
			return nil, fmt.Errorf("create key file %s: %w", path, err)
		}
		key, err = readKey(path)
	}
	if err != nil {
		return nil, fmt.Errorf("read key file %s: %w", path, err)
	}
	return New(key)
}

func readKey(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if err := private(info); err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(f, maxKeyFile))
	if err != nil {
		return nil, err
	}
	return parseKey(string(text))
}

// private refuses what is not a file of its owner alone. Windows keeps rights
// elsewhere than in the mode.
func private(info fs.FileInfo) error {
	if !info.Mode().IsRegular() {
		return errors.New("not a regular file")
	}
	if mode := info.Mode().Perm(); runtime.GOOS != "windows" && mode&0o077 != 0 {
		return fmt.Errorf("mode %#o lets others in, chmod 600 it", mode)
	}
	return nil
}

func parseKey(text string) ([]byte, error) {
	encoded, ok := strings.CutPrefix(strings.TrimSpace(text), strings.TrimSpace(keyPrefix))
	if !ok {
		return nil, errors.New("not a patchbay key file")
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(encoded))
	if err != nil || len(key) != KeySize {
		// The decoder's error could quote the key.
		return nil, errors.New("the key in it is damaged")
	}
	return key, nil
}

// createKey writes a whole file under another name and links it to path: a link
// fails when path exists, so the first one wins and nobody sees half a key.
func createKey(path string) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".key-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	key := make([]byte, KeySize)
	_, _ = rand.Read(key) // never fails, it ends the process instead
	_, err = f.WriteString(keyPrefix + base64.StdEncoding.EncodeToString(key) + "\n")
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Link(f.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}
