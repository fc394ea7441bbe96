package cosmos

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
)

// item is one document as JSON has it, system members included.
type item = map[string]any

// documents keeps the documents of an account in memory with a copy in one file. Which
// containers there are is not its business; what was in one that is gone was forgotten.
type documents struct {
	path string
	now  func() time.Time

	mu   sync.Mutex
	held map[string]map[string]item // by database/container, then partition key and id
}

func openDocuments(path string, now func() time.Time) (*documents, error) {
	d := &documents{path: path, now: now, held: map[string]map[string]item{}}
	raw, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return d, nil
	}
	if err := errors.Join(err, json.Unmarshal(raw, &d.held)); err != nil {
		return nil, fmt.Errorf("read documents: %w", err)
	}
	return d, nil
}

// save writes the file; the caller holds the lock.
func (d *documents) save() error {
	raw, err := json.Marshal(d.held)
	if err == nil {
		err = os.WriteFile(d.path+".next", raw, 0o600)
	}
	if err == nil {
		err = os.Rename(d.path+".next", d.path)
	}
	if err != nil {
		return fmt.Errorf("write documents: %w", err)
	}
	return nil
}

func place(names ...string) string { return strings.ToLower(strings.Join(names, "/")) }

// forget drops the documents of a container, or of all of a database.
func (d *documents) forget(names ...string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	prefix := place(names...)
	maps.DeleteFunc(d.held, func(key string, _ map[string]item) bool { return key == prefix || strings.HasPrefix(key, prefix+"/") })
	return d.save()
}

// mode is what a write does where a document is, or is not.
type mode int

const (
	create mode = iota
	replace
	upsert
)

// put writes a document and tells whether it is new.
func (d *documents) put(container, key string, doc item, m mode, ifMatch string) (item, bool, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	old, there := d.held[container][key]
	switch {
	case m == create && there:
		return nil, false, errConflict
	case m == replace && !there:
		return nil, false, errNotFound
	case ifMatch != "" && (!there || ifMatch != "*" && ifMatch != old["_etag"]):
		return nil, false, errPrecondition
	}
	next := maps.Clone(doc)
	stampItem(next, container, d.now())
	if d.held[container] == nil {
		d.held[container] = map[string]item{}
	}
	d.held[container][key] = next
	if err := d.save(); err != nil {
		delete(d.held[container], key)
		if there {
			d.held[container][key] = old
		}
		return nil, false, err
	}
	return next, !there, nil
}

// stampItem writes the members the service owns.
func stampItem(doc item, container string, now time.Time) {
	rid := ridOf(container + "/" + fmt.Sprint(doc["id"]))
	doc["_rid"], doc["_self"] = rid, "dbs/"+ridOf(container)+"/docs/"+rid+"/"
	doc["_etag"], doc["_ts"], doc["_attachments"] = `"`+uuid.NewString()+`"`, float64(now.Unix()), "attachments/"
}

// ridOf is a resource id that stays: eight bytes of a hash of the name.
func ridOf(name string) string {
	sum := sha256.Sum256([]byte(strings.ToLower(name)))
	return base64.URLEncoding.EncodeToString(sum[:8])
}

func (d *documents) get(container, key string) (item, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	doc, ok := d.held[container][key]
	return doc, ok
}

func (d *documents) remove(container, key, ifMatch string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	old, there := d.held[container][key]
	switch {
	case !there:
		return errNotFound
	case ifMatch != "" && ifMatch != "*" && ifMatch != old["_etag"]:
		return errPrecondition
	}
	delete(d.held[container], key)
	if err := d.save(); err != nil {
		d.held[container][key] = old
		return err
	}
	return nil
}

// list is a container's documents in a stable order; partition "" means all of them.
func (d *documents) list(container, partition string) []item {
	d.mu.Lock()
	defer d.mu.Unlock()
	var out []item
	for _, key := range slices.Sorted(maps.Keys(d.held[container])) {
		if partition == "" || strings.HasPrefix(key, partition+"\n") {
			out = append(out, d.held[container][key])
		}
	}
	return out
}
