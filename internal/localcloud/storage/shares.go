package storage

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
)

// node is a directory or a file of a share.
type node struct {
	Path      string            `json:"path"` // as it was made, without slashes at its ends
	Directory bool              `json:"directory,omitempty"`
	Content   string            `json:"content,omitempty"` // name of the file that holds it
	Size      int64             `json:"size"`
	Headers   map[string]string `json:"headers,omitempty"`
	Metadata  map[string]string `json:"metadata,omitempty"`
	ETag      string            `json:"etag"`
	Created   time.Time         `json:"created"`
	Modified  time.Time         `json:"modified"`
}

func (n *node) name() string { return n.Path[strings.LastIndex(n.Path, "/")+1:] }

// parentOf is the path of the directory a path lies in, "" for the root.
func parentOf(path string) string {
	if cut := strings.LastIndex(path, "/"); cut >= 0 {
		return path[:cut]
	}
	return ""
}

// shares keeps the directories and files of an account: content in files of fixed
// size, the rest in memory with a copy in one file. Which shares there are is not its
// business; one that is gone was forgotten.
type shares struct {
	dir string
	now func() time.Time

	mu   sync.Mutex
	held map[string]map[string]*node // by share, then by folded path
}

func openShares(dir string, now func() time.Time) (*shares, error) {
	s := &shares{dir: dir, now: now, held: map[string]map[string]*node{}}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open file folder: %w", err)
	}
	raw, err := os.ReadFile(filepath.Join(dir, indexFile))
	if errors.Is(err, os.ErrNotExist) {
		return s, nil
	}
	if err := errors.Join(err, json.Unmarshal(raw, &s.held)); err != nil {
		return nil, fmt.Errorf("read files: %w", err)
	}
	return s, nil
}

// save writes the index; the caller holds the lock.
func (s *shares) save() error {
	raw, err := json.Marshal(s.held)
	next := filepath.Join(s.dir, indexFile)
	if err == nil {
		err = os.WriteFile(next+".next", raw, 0o600)
	}
	if err == nil {
		err = os.Rename(next+".next", next)
	}
	if err != nil {
		return fmt.Errorf("write files: %w", err)
	}
	return nil
}

func (s *shares) forget(share string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range s.held[share] {
		s.discard(n)
	}
	delete(s.held, share)
	return s.save()
}

func (s *shares) discard(n *node) {
	if n.Content != "" {
		_ = os.Remove(filepath.Join(s.dir, n.Content)) // named nowhere any more
	}
}

// find returns a copy of a directory or file; the root is always there.
func (s *shares) find(share, path string, directory bool) (node, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, err := s.lookup(share, path, directory)
	if err != nil {
		return node{}, err
	}
	return *n, nil
}

// lookup is find for callers that hold the lock.
func (s *shares) lookup(share, path string, directory bool) (*node, error) {
	if path == "" && directory {
		return &node{Directory: true, ETag: `"0x8D0000000000000"`, Created: s.now().UTC(), Modified: s.now().UTC()}, nil
	}
	n, ok := s.held[share][strings.ToLower(path)]
	if !ok || n.Directory != directory {
		return nil, errFileNotFound
	}
	return n, nil
}

// make adds a directory, or a file of a size in the place of an older one.
func (s *shares) make(share string, n node) (node, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := s.lookup(share, parentOf(n.Path), true); err != nil {
		return n, errParentNotFound
	}
	old, there := s.held[share][strings.ToLower(n.Path)]
	switch {
	case there && (n.Directory || old.Directory):
		return n, errFileExists
	case !n.Directory:
		n.Content = uuid.NewString()
		if err := s.allot(n); err != nil {
			return n, err
		}
	}
	s.touch(&n)
	n.Created = n.Modified
	if s.held[share] == nil {
		s.held[share] = map[string]*node{}
	}
	s.held[share][strings.ToLower(n.Path)] = &n
	if err := s.save(); err != nil {
		return n, err
	}
	if there {
		s.discard(old)
	}
	return n, nil
}

// allot makes a file's content: zeros.
func (s *shares) allot(n node) error {
	f, err := os.OpenFile(filepath.Join(s.dir, n.Content), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err == nil {
		err = errors.Join(f.Truncate(n.Size), f.Close())
	}
	if err != nil {
		return fmt.Errorf("write file: %w", err)
	}
	return nil
}

// touch gives a node a new entity tag and time.
func (s *shares) touch(n *node) {
	id := uuid.New()
	n.ETag = fmt.Sprintf(`"0x8D%X"`, id[:6])
	n.Modified = s.now().UTC().Truncate(100 * time.Nanosecond)
}

// write puts bytes into a file from an offset on; what does not fit is an error.
func (s *shares) write(share, path string, first int64, content []byte) (node, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, err := s.lookup(share, path, false)
	if err != nil {
		return node{}, err
	}
	if first < 0 || first+int64(len(content)) > n.Size {
		return node{}, errRange
	}
	f, err := os.OpenFile(filepath.Join(s.dir, n.Content), os.O_WRONLY, 0o600)
	if err != nil {
		return node{}, fmt.Errorf("write file: %w", err)
	}
	_, err = f.WriteAt(content, first)
	if err := errors.Join(err, f.Close()); err != nil {
		return node{}, fmt.Errorf("write file: %w", err)
	}
	s.touch(n)
	return *n, s.save()
}

// read returns bytes of a file.
func (s *shares) read(n node, first, size int64) ([]byte, error) {
	f, err := os.Open(filepath.Join(s.dir, n.Content))
	if err != nil {
		return nil, fmt.Errorf("read file: %w", err)
	}
	defer f.Close() //nolint:errcheck // read only
	raw := make([]byte, size)
	if _, err := io.ReadFull(io.NewSectionReader(f, first, size), raw); err != nil {
		return nil, fmt.Errorf("read file: %w", err)
	}
	return raw, nil
}

// remove deletes a file, or a directory that is empty.
func (s *shares) remove(share, path string, directory bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, err := s.lookup(share, path, directory)
	if err != nil {
		return err
	}
	if directory && (path == "" || len(s.below(share, n.Path)) > 0) {
		return errNotEmpty
	}
	delete(s.held[share], strings.ToLower(path))
	s.discard(n)
	return s.save()
}

// below lists what lies directly in a directory, in order; the caller holds the lock.
func (s *shares) below(share, path string) []*node {
	var list []*node
	for _, n := range s.held[share] {
		if strings.EqualFold(parentOf(n.Path), path) {
			list = append(list, n)
		}
	}
	slices.SortFunc(list, func(a, b *node) int { return strings.Compare(a.Path, b.Path) })
	return list
}

// list is below for everybody; errors when there is no such directory.
func (s *shares) list(share, path string) ([]node, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := s.lookup(share, path, true); err != nil {
		return nil, err
	}
	var out []node
	for _, n := range s.below(share, path) {
		out = append(out, *n)
	}
	return out, nil
}

// used is how many bytes a share's files take.
func (s *shares) used(share string) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	var sum int64
	for _, n := range s.held[share] {
		sum += n.Size
	}
	return sum
}
