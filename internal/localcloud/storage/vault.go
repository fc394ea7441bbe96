package storage

import (
	"cmp"
	"crypto/md5" //nolint:gosec // Content-MD5 is what the protocol calls for
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
)

var systemContainer = regexp.MustCompile(`^\$(root|web|logs)$`)

func validContainer(name string) bool { return validName(name) || systemContainer.MatchString(name) }

var errNoContainer = errors.New("no such container")

// containerInfo is what is known of a container.
type containerInfo struct {
	Name     string            `json:"name"`
	Access   string            `json:"access,omitempty"` // "", Blob or Container
	Metadata map[string]string `json:"metadata,omitempty"`
	ETag     string            `json:"etag"`
	Modified time.Time         `json:"modified"`
}

// blobInfo is what is known of a blob. Its content lies in the file named File.
type blobInfo struct {
	Name     string            `json:"name"`
	File     string            `json:"file"`
	Size     int64             `json:"size"`
	Headers  map[string]string `json:"headers,omitempty"` // Content-Type and its kin
	Metadata map[string]string `json:"metadata,omitempty"`
	MD5      []byte            `json:"md5"`
	ETag     string            `json:"etag"`
	Created  time.Time         `json:"created"`
	Modified time.Time         `json:"modified"`
}

// vault keeps an account's containers and blobs: content in files, the rest in
// memory with a copy in one file per container. A blob's content file is never
// written twice, so that readers of the old one are not disturbed.
type vault struct {
	dir string
	now func() time.Time

	mu   sync.RWMutex
	held map[string]*shelf
}

type shelf struct {
	Info  containerInfo       `json:"info"`
	Blobs map[string]blobInfo `json:"blobs"`
}

const indexFile = "index.json"

func openVault(dir string, now func() time.Time) (*vault, error) {
	v := &vault{dir: dir, now: now, held: map[string]*shelf{}}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open blob folder: %w", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("open blob folder: %w", err)
	}
	for _, e := range entries {
		if !e.IsDir() {
			continue // of another service
		}
		raw, err := os.ReadFile(filepath.Join(dir, e.Name(), indexFile))
		if errors.Is(err, os.ErrNotExist) {
			continue // a container whose making or removal was cut short
		}
		s := &shelf{}
		if err := errors.Join(err, json.Unmarshal(raw, s)); err != nil {
			return nil, fmt.Errorf("read container %s: %w", e.Name(), err)
		}
		v.held[s.Info.Name] = s
	}
	return v, nil
}

// destroy deletes everything.
func (v *vault) destroy() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.held = map[string]*shelf{}
	if err := os.RemoveAll(v.dir); err != nil {
		return fmt.Errorf("remove blobs: %w", err)
	}
	return nil
}

// path names a container's folder; container names are safe by their pattern.
func (v *vault) path(container string) string { return filepath.Join(v.dir, container) }

// save writes a container's index; the caller holds the lock.
func (v *vault) save(s *shelf) error {
	raw, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("write container: %w", err)
	}
	dir := v.path(s.Info.Name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("write container: %w", err)
	}
	next := filepath.Join(dir, indexFile+".next")
	if err := os.WriteFile(next, raw, 0o600); err != nil {
		return fmt.Errorf("write container: %w", err)
	}
	if err := os.Rename(next, filepath.Join(dir, indexFile)); err != nil {
		return fmt.Errorf("write container: %w", err)
	}
	return nil
}

// stamp makes a new entity tag.
func (v *vault) stamp() (etag string, at time.Time) {
	id := uuid.New()
	return `"0x8D` + strings.ToUpper(hex.EncodeToString(id[:6])) + `"`, v.now().UTC().Truncate(time.Second)
}

func (v *vault) container(name string) (containerInfo, bool) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	s, ok := v.held[name]
	if !ok {
		return containerInfo{}, false
	}
	return s.Info, true
}

// containers lists by name.
func (v *vault) containers() []containerInfo {
	v.mu.RLock()
	defer v.mu.RUnlock()
	out := make([]containerInfo, 0, len(v.held))
	for _, s := range v.held {
		out = append(out, s.Info)
	}
	slices.SortFunc(out, func(a, b containerInfo) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

// putContainer makes a container or changes what it carries.
func (v *vault) putContainer(name, access string, metadata map[string]string) (c containerInfo, made bool, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	old, ok := v.held[name]
	next := &shelf{Blobs: map[string]blobInfo{}}
	if ok {
		next.Blobs = old.Blobs
	}
	next.Info = containerInfo{Name: name, Access: access, Metadata: metadata}
	next.Info.ETag, next.Info.Modified = v.stamp()
	if err := v.save(next); err != nil {
		return containerInfo{}, false, err
	}
	v.held[name] = next
	return next.Info, !ok, nil
}

// deleteContainer removes a container with its blobs and tells whether it was there.
func (v *vault) deleteContainer(name string) (bool, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if _, ok := v.held[name]; !ok {
		return false, nil
	}
	if err := os.RemoveAll(v.path(name)); err != nil {
		return true, fmt.Errorf("remove container: %w", err)
	}
	delete(v.held, name)
	return true, nil
}

func (v *vault) blob(container, name string) (blobInfo, error) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	s, ok := v.held[container]
	if !ok {
		return blobInfo{}, errNoContainer
	}
	b, ok := s.Blobs[name]
	if !ok {
		return blobInfo{}, os.ErrNotExist
	}
	return b, nil
}

// blobs lists by name those that start with prefix.
func (v *vault) blobs(container, prefix string) ([]blobInfo, error) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	s, ok := v.held[container]
	if !ok {
		return nil, errNoContainer
	}
	var out []blobInfo
	for _, name := range slices.Sorted(maps.Keys(s.Blobs)) {
		if strings.HasPrefix(name, prefix) {
			out = append(out, s.Blobs[name])
		}
	}
	return out, nil
}

// putBlob stores content read from r. check sees what is there now, and
// the MD5 of what came, under the lock; its error stops the write.
func (v *vault) putBlob(container string, b blobInfo, r io.Reader, check func(old blobInfo, exists bool, sum []byte) error) (blobInfo, error) {
	if _, ok := v.container(container); !ok {
		return blobInfo{}, errNoContainer
	}
	b.File = uuid.NewString()
	path := filepath.Join(v.path(container), b.File)
	var err error
	if b.Size, b.MD5, err = spool(path, r); err != nil {
		return blobInfo{}, err
	}
	old, err := v.enter(container, &b, func(old blobInfo, exists bool) error { return check(old, exists, b.MD5) })
	if err != nil {
		_ = os.Remove(path) // ours, and named nowhere
		return blobInfo{}, err
	}
	if old != "" {
		_ = os.Remove(filepath.Join(v.path(container), old)) // named nowhere any more
	}
	return b, nil
}

func spool(path string, r io.Reader) (size int64, sum []byte, err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return 0, nil, fmt.Errorf("write blob: %w", err)
	}
	hash := md5.New() //nolint:gosec // see the import
	size, err = io.Copy(io.MultiWriter(f, hash), r)
	if err := errors.Join(err, f.Close()); err != nil {
		_ = os.Remove(path)
		return 0, nil, fmt.Errorf("write blob: %w", err)
	}
	return size, hash.Sum(nil), nil
}

// enter names a blob's new content and returns the file of the old one.
func (v *vault) enter(container string, b *blobInfo, check func(blobInfo, bool) error) (string, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	s, ok := v.held[container]
	if !ok {
		return "", errNoContainer
	}
	old, exists := s.Blobs[b.Name]
	if err := check(old, exists); err != nil {
		return "", err
	}
	b.ETag, b.Modified = v.stamp()
	b.Created = b.Modified
	if exists {
		b.Created = old.Created
	}
	s.Blobs[b.Name] = *b
	if err := v.save(s); err != nil {
		delete(s.Blobs, b.Name)
		if exists {
			s.Blobs[b.Name] = old
		}
		return "", err
	}
	return old.File, nil
}

// change writes what a blob carries beside its content.
func (v *vault) change(container, name string, metadata map[string]string, check func(blobInfo, bool) error) (blobInfo, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	s, ok := v.held[container]
	if !ok {
		return blobInfo{}, errNoContainer
	}
	old, ok := s.Blobs[name]
	if !ok {
		return blobInfo{}, os.ErrNotExist
	}
	if err := check(old, true); err != nil {
		return blobInfo{}, err
	}
	b := old
	b.Metadata = metadata
	b.ETag, b.Modified = v.stamp()
	s.Blobs[name] = b
	if err := v.save(s); err != nil {
		s.Blobs[name] = old
		return blobInfo{}, err
	}
	return b, nil
}

func (v *vault) deleteBlob(container, name string, check func(old blobInfo, exists bool) error) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	s, ok := v.held[container]
	if !ok {
		return errNoContainer
	}
	b, ok := s.Blobs[name]
	if !ok {
		return os.ErrNotExist
	}
	if err := check(b, true); err != nil {
		return err
	}
	delete(s.Blobs, name)
	if err := v.save(s); err != nil {
		s.Blobs[name] = b
		return err
	}
	_ = os.Remove(filepath.Join(v.path(container), b.File)) // named nowhere any more
	return nil
}

// content opens a blob's bytes.
func (v *vault) content(container string, b blobInfo) (*os.File, error) {
	f, err := os.Open(filepath.Join(v.path(container), b.File))
	if err != nil {
		return nil, fmt.Errorf("read blob: %w", err)
	}
	return f, nil
}
