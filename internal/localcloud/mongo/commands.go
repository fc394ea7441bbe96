package mongo

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// listDatabases answers what there is, by the host's names.
func (s *session) listDatabases(r *request) (bson.D, error) {
	if r.db != "admin" {
		return nil, refuse(codeUnauthorized, "listDatabases may only be run against the admin database.")
	}
	filter, err := checkFilter(r.get("filter"))
	if err != nil {
		return nil, err
	}
	list := bson.A{}
	for _, name := range s.server.config.Host.Databases() {
		if d := (bson.D{{Key: "name", Value: name}, {Key: "sizeOnDisk", Value: int64(0)}, {Key: "empty", Value: false}}); matches(d, filter) {
			list = append(list, d)
		}
	}
	return done(bson.E{Key: "databases", Value: list}, bson.E{Key: "totalSize", Value: int64(0)}), nil
}

func (s *session) listCollections(r *request) (bson.D, error) {
	filter, err := checkFilter(r.get("filter"))
	if err != nil {
		return nil, err
	}
	list := []bson.D{}
	for _, name := range s.server.config.Host.Collections(r.db) {
		if d := (bson.D{{Key: "name", Value: name}, {Key: "type", Value: "collection"}, {Key: "options", Value: bson.D{}}, {Key: "info", Value: bson.D{{Key: "readOnly", Value: false}}}}); matches(d, filter) {
			list = append(list, d)
		}
	}
	return cursor(r.db+".$cmd.listCollections", list), nil
}

// cursor answers everything at once: nothing here is large enough for a second batch.
func cursor(namespace string, list []bson.D) bson.D {
	return done(bson.E{Key: "cursor", Value: bson.D{
		{Key: "id", Value: int64(0)}, {Key: "ns", Value: namespace}, {Key: "firstBatch", Value: list},
	}})
}

// collection is the name a command works on.
func (r *request) collection() (string, error) {
	name, ok := r.args[0].Value.(string)
	if !ok || name == "" || strings.ContainsAny(name, "$\x00") || strings.HasPrefix(name, ".") {
		return "", refuse(codeBadNamespace, "Invalid namespace specified '%s.%v'", r.db, r.args[0].Value)
	}
	return name, nil
}

// make sees to it that a collection exists: a write makes its own.
func (s *session) make(db, name string) error {
	host := s.server.config.Host
	if !slices.Contains(host.Databases(), db) {
		if err := host.Create(db); err != nil {
			return refuse(codeIllegal, "cannot create database %s: %v", db, err)
		}
	}
	if slices.Contains(host.Collections(db), name) {
		return nil
	}
	if err := host.Create(db, name); err != nil {
		return refuse(codeIllegal, "cannot create collection %s.%s: %v", db, name, err)
	}
	return nil
}

func (s *session) create(r *request) (bson.D, error) {
	name, err := r.collection()
	if err != nil {
		return nil, err
	}
	if slices.Contains(s.server.config.Host.Collections(r.db), name) {
		return nil, refuse(codeExists, "Collection %s.%s already exists.", r.db, name)
	}
	return done(), s.make(r.db, name)
}

func (s *session) drop(r *request) (bson.D, error) {
	name, err := r.collection()
	if err != nil {
		return nil, err
	}
	if !slices.Contains(s.server.config.Host.Collections(r.db), name) {
		return nil, refuse(codeNoNamespace, "ns not found")
	}
	if err := s.server.config.Host.Drop(r.db, name); err != nil {
		return nil, refuse(codeIllegal, "cannot drop collection: %v", err)
	}
	s.server.data.drop(r.db + "." + name)
	return done(bson.E{Key: "ns", Value: r.db + "." + name}), nil
}

func (s *session) dropDatabase(r *request) (bson.D, error) {
	if slices.Contains(s.server.config.Host.Databases(), r.db) {
		if err := s.server.config.Host.Drop(r.db); err != nil {
			return nil, refuse(codeIllegal, "cannot drop database: %v", err)
		}
	}
	s.server.data.drop(r.db + ".")
	return done(bson.E{Key: "dropped", Value: r.db}), nil
}

// documents are a command's list of documents.
func (r *request) documents(name string) ([]bson.D, error) {
	list, ok := r.get(name).(bson.A)
	if !ok || len(list) == 0 {
		return nil, refuse(codeBadValue, "Write batch sizes must be between 1 and 1000. Got %d operations.", len(list))
	}
	out := make([]bson.D, 0, len(list))
	for _, each := range list {
		d, ok := each.(bson.D)
		if !ok {
			return nil, refuse(codeTypeMismatch, "Expected %s to hold objects", name)
		}
		out = append(out, d)
	}
	return out, nil
}

// eachWrite runs the writes of a batch; what a single one refuses is listed with its index.
func (r *request) eachWrite(list []bson.D, write func(n int, d bson.D) error) (bson.A, error) {
	failed := bson.A{}
	for n, d := range list {
		err := write(n, d)
		var refused *refusal
		switch {
		case err == nil:
			continue
		case !errors.As(err, &refused):
			return nil, err
		}
		failed = append(failed, bson.D{{Key: "index", Value: int32(n)}, {Key: "code", Value: refused.code}, {Key: "errmsg", Value: refused.message}})
		if ordered, given := r.get("ordered").(bool); !given || ordered {
			break
		}
	}
	return failed, nil
}

func written(failed bson.A, members ...bson.E) bson.D {
	if len(failed) > 0 {
		members = append(members, bson.E{Key: "writeErrors", Value: failed})
	}
	return done(members...)
}

func (s *session) insert(r *request) (bson.D, error) {
	name, err := r.collection()
	if err != nil {
		return nil, err
	}
	list, err := r.documents("documents")
	if err != nil {
		return nil, err
	}
	if err := s.make(r.db, name); err != nil {
		return nil, err
	}
	n := int32(0)
	failed, err := r.eachWrite(list, func(_ int, d bson.D) error {
		if member(d, "_id") == nil {
			d = append(bson.D{{Key: "_id", Value: bson.NewObjectID()}}, d...)
		}
		if err := s.server.data.insert(r.db+"."+name, d); err != nil {
			return err
		}
		n++
		return nil
	})
	return written(failed, bson.E{Key: "n", Value: n}), err
}

// selected are the documents a find or a count is about.
func (s *session) selected(r *request, filterName string) ([]bson.D, string, error) {
	name, err := r.collection()
	if err != nil {
		return nil, "", err
	}
	filter, err := checkFilter(r.get(filterName))
	if err != nil {
		return nil, "", err
	}
	if order, ok := r.get("sort").(bson.D); ok && len(order) > 0 {
		return nil, "", refuse(codeNotSupported, "sort is not supported")
	}
	list := s.server.data.find(r.db+"."+name, filter)
	if skip, ok := number(r.get("skip")); ok {
		list = list[min(len(list), max(0, int(skip))):]
	}
	if limit, ok := number(r.get("limit")); ok && limit != 0 {
		list = list[:min(len(list), max(int(limit), -int(limit)))]
	}
	return list, r.db + "." + name, nil
}

func (s *session) find(r *request) (bson.D, error) {
	list, namespace, err := s.selected(r, "filter")
	if err != nil {
		return nil, err
	}
	return cursor(namespace, list), nil
}

func (s *session) count(r *request) (bson.D, error) {
	list, _, err := s.selected(r, "query")
	if err != nil {
		return nil, err
	}
	return done(bson.E{Key: "n", Value: int32(len(list))}), nil
}

// checkMembers refuses members of an inner document that are not understood.
func checkMembers(what string, d bson.D, known string) error {
	for _, e := range d {
		if !slices.Contains(strings.Fields(known), e.Key) {
			return refuse(codeUnknownField, "BSON field '%s.%s' is an unknown field.", what, e.Key)
		}
	}
	return nil
}

func (s *session) update(r *request) (bson.D, error) {
	name, err := r.collection()
	if err != nil {
		return nil, err
	}
	list, err := r.documents("updates")
	if err != nil {
		return nil, err
	}
	if err := s.make(r.db, name); err != nil {
		return nil, err
	}
	matched, modified, upserted := 0, 0, bson.A{}
	failed, err := r.eachWrite(list, func(n int, d bson.D) error {
		one, changed, id, err := s.updateOne(r.db+"."+name, d)
		matched, modified = matched+one, modified+changed
		if id != nil {
			upserted = append(upserted, bson.D{{Key: "index", Value: int32(n)}, {Key: "_id", Value: id}})
		}
		return err
	})
	members := bson.D{{Key: "n", Value: int32(matched + len(upserted))}, {Key: "nModified", Value: int32(modified)}}
	if len(upserted) > 0 {
		members = append(members, bson.E{Key: "upserted", Value: upserted})
	}
	return written(failed, members...), err
}

// updateOne runs one statement of an update; id is that of a document it made.
func (s *session) updateOne(namespace string, d bson.D) (matched, modified int, id any, err error) {
	if err := checkMembers("update.updates", d, "q u multi upsert"); err != nil {
		return 0, 0, nil, err
	}
	filter, err := checkFilter(member(d, "q"))
	if err != nil {
		return 0, 0, nil, err
	}
	change, ok := member(d, "u").(bson.D)
	if !ok {
		return 0, 0, nil, refuse(codeNotSupported, "an update must be a document")
	}
	if _, err := updated(bson.D{{Key: "_id", Value: member(change, "_id")}}, change); err != nil {
		return 0, 0, nil, err
	}
	limit := 1
	if multi, _ := member(d, "multi").(bool); multi {
		limit = 0
	}
	matched, modified = s.server.data.change(namespace, filter, limit, func(doc bson.D) bson.D {
		next, refused := updated(doc, change)
		if refused != nil {
			err = refused
			return doc
		}
		return next
	})
	if upsert, _ := member(d, "upsert").(bool); err != nil || matched > 0 || !upsert {
		return matched, modified, nil, err
	}
	made, err := updated(filter, change)
	if err != nil {
		return 0, 0, nil, err
	}
	if id = member(made, "_id"); id == nil {
		id = bson.NewObjectID()
		made = set(made, bson.E{Key: "_id", Value: id})
	}
	return 0, 0, id, s.server.data.insert(namespace, made)
}

func (s *session) delete(r *request) (bson.D, error) {
	name, err := r.collection()
	if err != nil {
		return nil, err
	}
	list, err := r.documents("deletes")
	if err != nil {
		return nil, err
	}
	removed := 0
	failed, err := r.eachWrite(list, func(_ int, d bson.D) error {
		if err := checkMembers("delete.deletes", d, "q limit"); err != nil {
			return err
		}
		filter, err := checkFilter(member(d, "q"))
		if err != nil {
			return err
		}
		limit, ok := number(member(d, "limit"))
		if !ok || limit != 0 && limit != 1 {
			return refuse(codeFailedParse, "%s", fmt.Sprintf("The limit field in delete objects must be 0 or 1. Got %v", member(d, "limit")))
		}
		n, _ := s.server.data.change(r.db+"."+name, filter, int(limit), func(bson.D) bson.D { return nil })
		removed += n
		return nil
	})
	return written(failed, bson.E{Key: "n", Value: int32(removed)}), err
}
