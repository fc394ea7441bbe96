package mongo

import (
	"bytes"
	"cmp"
	"slices"
	"strings"
	"sync"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// data is the documents of a server by namespace, in order of insertion.
type data struct {
	mu   sync.Mutex
	docs map[string][]bson.D
}

func newData() *data { return &data{docs: map[string][]bson.D{}} }

// insert adds a document; a second one with the same _id is refused.
func (d *data) insert(namespace string, doc bson.D) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	id := member(doc, "_id")
	for _, old := range d.docs[namespace] {
		if equal(member(old, "_id"), id) {
			return refuse(codeDuplicateKey, "E11000 duplicate key error collection: %s Failed _id or unique index constraint.", namespace)
		}
	}
	d.docs[namespace] = append(d.docs[namespace], doc)
	return nil
}

// select returns the documents that a filter lets through.
func (d *data) find(namespace string, filter bson.D) []bson.D {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := []bson.D{}
	for _, doc := range d.docs[namespace] {
		if matches(doc, filter) {
			out = append(out, doc)
		}
	}
	return out
}

// change replaces documents that a filter lets through by what next makes of them, at
// most limit when it is not zero; a nil document removes. It returns how many matched
// and how many differ.
func (d *data) change(namespace string, filter bson.D, limit int, next func(bson.D) bson.D) (matched, modified int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	kept := []bson.D{}
	for _, doc := range d.docs[namespace] {
		if limit > 0 && matched == limit || !matches(doc, filter) {
			kept = append(kept, doc)
			continue
		}
		matched++
		after := next(doc)
		if after == nil || !equal(after, doc) {
			modified++
		}
		if after != nil {
			kept = append(kept, after)
		}
	}
	d.docs[namespace] = kept
	return matched, modified
}

// drop forgets a namespace, or a whole database when the name ends with a dot.
func (d *data) drop(name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for namespace := range d.docs {
		if namespace == name || strings.HasSuffix(name, ".") && strings.HasPrefix(namespace, name) {
			delete(d.docs, namespace)
		}
	}
}

func member(d bson.D, name string) any {
	for _, e := range d {
		if e.Key == name {
			return e.Value
		}
	}
	return nil
}

// checkFilter refuses what matches does not do: anything but equality and $eq.
func checkFilter(value any) (bson.D, error) {
	if value == nil {
		return bson.D{}, nil
	}
	filter, ok := value.(bson.D)
	if !ok {
		return nil, refuse(codeTypeMismatch, "Expected field filter to be of type object")
	}
	out := bson.D{}
	for _, e := range filter {
		if strings.HasPrefix(e.Key, "$") || strings.Contains(e.Key, ".") {
			return nil, refuse(codeBadValue, "unknown top level operator: %s", e.Key)
		}
		if inner, ok := e.Value.(bson.D); ok && len(inner) > 0 && strings.HasPrefix(inner[0].Key, "$") {
			if len(inner) != 1 || inner[0].Key != "$eq" {
				return nil, refuse(codeBadValue, "unknown operator: %s", inner[0].Key)
			}
			e.Value = inner[0].Value
		}
		out = append(out, e)
	}
	return out, nil
}

func matches(doc, filter bson.D) bool {
	for _, e := range filter {
		if !equal(member(doc, e.Key), e.Value) {
			return false
		}
	}
	return true
}

// equal compares values as they stand on the wire; numbers of any kind by their value.
func equal(a, b any) bool {
	x, isX := number(a)
	y, isY := number(b)
	if isX && isY {
		return cmp.Compare(x, y) == 0
	}
	kindA, rawA, errA := bson.MarshalValue(a)
	kindB, rawB, errB := bson.MarshalValue(b)
	return errA == nil && errB == nil && kindA == kindB && bytes.Equal(rawA, rawB)
}

func number(v any) (float64, bool) {
	switch n := v.(type) {
	case int32:
		return float64(n), true
	case int64:
		return float64(n), true
	case float64:
		return n, true
	}
	return 0, false
}

// updated applies an update: a replacement, or $set and $unset and nothing else.
func updated(doc, change bson.D) (bson.D, error) {
	if len(change) == 0 || !strings.HasPrefix(change[0].Key, "$") {
		return replaced(doc, change), nil
	}
	next := slices.Clone(doc)
	for _, operator := range change {
		fields, ok := operator.Value.(bson.D)
		if !ok {
			return nil, refuse(codeFailedParse, "Modifiers operate on fields but we found another type instead.")
		}
		for _, f := range fields {
			if f.Key == "_id" && !equal(f.Value, member(doc, "_id")) {
				return nil, refuse(66, "Performing an update on the path '_id' would modify the immutable field '_id'")
			}
			switch operator.Key {
			case "$set":
				next = set(next, f)
			case "$unset":
				next = slices.DeleteFunc(next, func(e bson.E) bool { return e.Key == f.Key })
			default:
				return nil, refuse(codeFailedParse, "Unknown modifier: %s", operator.Key)
			}
		}
	}
	return next, nil
}

func set(doc bson.D, f bson.E) bson.D {
	for n, e := range doc {
		if e.Key == f.Key {
			doc[n] = f
			return doc
		}
	}
	return append(doc, f)
}

// replaced is a whole new document that keeps the old one's _id.
func replaced(doc, change bson.D) bson.D {
	next := bson.D{{Key: "_id", Value: member(doc, "_id")}}
	for _, e := range change {
		if e.Key != "_id" {
			next = append(next, e)
		}
	}
	return next
}
