package messaging

import (
	"context"
	"maps"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/patchbay/patchbay/internal/arm/id"
	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

var (
	entityName = regexp.MustCompile(`^[a-zA-Z0-9$]([a-zA-Z0-9._~/-]{0,258}[a-zA-Z0-9])?$`)
	// entityRead are members of an entity only the platform sets.
	entityRead = []string{"createdAt", "updatedAt", "accessedAt", "partitionIds", "countDetails", "messageCount", "sizeInBytes", "subscriptionCount"}
)

const maxPartitions = 32

// putEntity makes or replaces one kind of entity. The service answers at once.
func (p *Provider) putEntity(name string, kind entity) provider.Handler {
	return func(_ context.Context, r *provider.Request) (*provider.Answer, error) {
		if !entityName.MatchString(r.ID.Name()) {
			return nil, provider.BadRequest("BadRequest", "The name '"+r.ID.Name()+"' is not valid for a messaging entity.")
		}
		p.writes.Lock()
		defer p.writes.Unlock()
		current, exists := p.cloud.Store().Get(r.ID.String())
		properties, err := p.entityProperties(kind, current, r)
		if err != nil {
			return nil, err
		}
		doc := provider.Identify(r.ID, p.namespace+"/"+name, map[string]any{"properties": properties})
		if space, ok := p.cloud.Store().Get(namespaceOf(r.ID)); ok {
			doc["location"] = space["location"]
		}
		p.cloud.Store().Put(r.ID.String(), doc)
		if kind.first != "" && !exists {
			child := r.ID.Child(kind.below, kind.first)
			p.cloud.Store().Put(child.String(), provider.Identify(child, child.Type(), map[string]any{"properties": map[string]any{}}))
		}
		if one := p.running(namespaceOf(r.ID)); one != nil {
			one.made(r.ID, doc)
		}
		return &provider.Answer{Status: http.StatusOK, Body: doc}, nil
	}
}

func (p *Provider) entityProperties(kind entity, current provider.Document, r *provider.Request) (map[string]any, error) {
	given, _ := r.Body["properties"].(map[string]any)
	properties := provider.Merge(kind.defaults(), without(given, entityRead))
	now := p.cloud.Now().UTC().Format(time.RFC3339Nano)
	maps.Copy(properties, map[string]any{"createdAt": now, "updatedAt": now})
	if current != nil {
		properties["createdAt"] = provider.At(current, "properties", "createdAt")
	}
	if _, partitioned := properties["partitionCount"]; !partitioned {
		return properties, nil
	}
	count := partitions(properties)
	if count < 1 || count > maxPartitions {
		return nil, provider.BadRequest("BadRequest", "The partition count lies between 1 and 32.")
	}
	if current != nil && partitions(current["properties"].(map[string]any)) != count {
		return nil, provider.BadRequest("BadRequest", "The partition count cannot be changed for an event hub.")
	}
	properties["partitionIds"] = partitionIDs(count)
	return properties, nil
}

func partitions(properties map[string]any) int {
	n, _ := properties["partitionCount"].(float64)
	return int(n)
}

func partitionIDs(count int) []any {
	var ids []any
	for n := range count {
		ids = append(ids, strconv.Itoa(n))
	}
	return ids
}

func (p *Provider) deleteEntity(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	p.writes.Lock()
	defer p.writes.Unlock()
	if _, exists := p.cloud.Store().Get(r.ID.String()); !exists {
		return &provider.Answer{Status: http.StatusNoContent}, nil
	}
	p.cloud.Store().Delete(r.ID.String())
	if one := p.running(namespaceOf(r.ID)); one != nil {
		one.dropped(r.ID)
	}
	return &provider.Answer{Status: http.StatusOK}, nil
}

// find looks an entity up by its path in the data plane; addresses ignore case.
func (p *Provider) find(namespace id.ID, kind string, names ...string) (provider.Document, bool) {
	i := namespace
	for n, t := range splitKind(kind) {
		if n >= len(names) || names[n] == "" {
			return nil, false
		}
		i = i.Child(t, names[n])
	}
	return p.cloud.Store().Get(i.String())
}

func splitKind(kind string) []string { return strings.Split(kind, "/") }
