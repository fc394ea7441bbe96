package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/patchbay/patchbay/internal/api"
	"github.com/patchbay/patchbay/internal/problem"
)

const testSub = "11111111-2222-3333-4444-555555555555"

var testStart = time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC)

// testTargets is the table the commands are made from in tests.
func testTargets() []TargetCommand {
	group := "/subscriptions/{subscription}/resourceGroups/{target-resource-group}/providers/"
	return []TargetCommand{
		{
			Name: "postgres-flexible", Display: "Azure Database for PostgreSQL flexible server",
			Options:        []TargetOption{{Name: "server", Help: "Name of the server."}, {Name: "database", Help: "Name of the database."}},
			ID:             group + "Microsoft.DBforPostgreSQL/flexibleServers/{server}/databases/{database}",
			AuthTypes:      []string{"secret", "systemAssignedIdentity", "userAssignedIdentity", "servicePrincipalSecret"},
			LocalAuthTypes: []string{"secret", "userAccount"},
			ClientTypes:    []string{"dotnet", "java", "python", "nodejs", "go", "php", "ruby", "django", "springBoot", "none"},
		},
		{
			Name: "redis", Display: "Azure Cache for Redis",
			Options:        []TargetOption{{Name: "server", Help: "Name of the cache."}, {Name: "database", Help: "Number of the database.", Default: "0"}},
			ID:             group + "Microsoft.Cache/redis/{server}/databases/{database}",
			AuthTypes:      []string{"systemAssignedIdentity", "secret"},
			LocalAuthTypes: []string{"secret", "userAccount"}, LocalClientTypes: []string{"dapr"}, Service: "MICROSOFT.CACHE/REDIS/DATABASES",
			KeysFetched: true, PrivateEndpoint: true,
			ClientTypes: []string{"dotnet", "java", "python", "nodejs", "go", "springBoot", "none"},
		},
		{
			Name: "storage-blob", Display: "Azure Blob Storage",
			Options:     []TargetOption{{Name: "account", Help: "Name of the storage account."}},
			ID:          group + "Microsoft.Storage/storageAccounts/{account}/blobServices/default",
			AuthTypes:   []string{"systemAssignedIdentity", "secret", "userAssignedIdentity", "servicePrincipalSecret"},
			KeysFetched: true, ServiceEndpoint: true, PrivateEndpoint: true,
			ClientTypes: []string{"dotnet", "java", "python", "nodejs", "go", "springBoot", "none"},
		},
	}
}

// fakeAPI is a server in memory. It keeps linkers, notes what it was asked, and can
// be told to misbehave.
type fakeAPI struct {
	mu       sync.Mutex
	linkers  map[string]map[string]any
	bodies   []map[string]any // of PUTs, secrets included
	calls    []string
	ops      map[string]*api.Operation
	order    []string
	drift    map[string]string           // connection name -> state
	report   []map[string]any            // validationDetail
	fail     map[string]*problem.Error   // method -> error
	outcome  *problem.Error              // of every operation
	raw      map[string]*api.Response    // "METHOD path" -> answer
	runtime  string                      // linuxFxVersion of every site
	streamed func(context.Context) error // what Events does after the first entries
	status   map[string][]map[string]any // status URL -> answers, the last one stays
	noKeep   bool
	closed   bool
}

func newFakeAPI() *fakeAPI {
	return &fakeAPI{
		linkers: map[string]map[string]any{}, ops: map[string]*api.Operation{}, drift: map[string]string{},
		fail: map[string]*problem.Error{}, raw: map[string]*api.Response{}, runtime: "PYTHON|3.12",
		status: map[string][]map[string]any{},
	}
}

func (f *fakeAPI) Close() error { f.closed = true; return nil }

// note records a call and returns the error it is told to fail with.
func (f *fakeAPI) note(method, detail string) error {
	f.calls = append(f.calls, strings.TrimSpace(method+" "+detail))
	if p := f.fail[method]; p != nil {
		return p
	}
	return nil
}

func missing(id string) error {
	return problem.New(problem.ConnectionNotFound, id, "there is no connection %s", lastName(id))
}

func (f *fakeAPI) Linkers(_ context.Context, source string) ([]map[string]any, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.note("list", source); err != nil {
		return nil, err
	}
	out := []map[string]any{}
	for _, id := range slices.Sorted(maps.Keys(f.linkers)) {
		if strings.HasPrefix(id, strings.ToLower(source)+"/") {
			out = append(out, copyOf(f.linkers[id]))
		}
	}
	return out, nil
}

func (f *fakeAPI) Linker(_ context.Context, id string) (map[string]any, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.note("get", id); err != nil {
		return nil, err
	}
	l, ok := f.linkers[strings.ToLower(id)]
	if !ok {
		return nil, missing(id)
	}
	return copyOf(l), nil
}

func (f *fakeAPI) PutLinker(_ context.Context, id string, body map[string]any, o api.PutOptions) (*api.Accepted, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.note("put", id); err != nil {
		return nil, err
	}
	f.noKeep = o.NoKeepSecret
	f.bodies = append(f.bodies, copyOf(body))
	verb := "create"
	if f.linkers[strings.ToLower(id)] != nil {
		verb = "update"
	}
	l := linkerOf(id, copyOf(body))
	f.linkers[strings.ToLower(id)] = l
	accepted := copyOf(l)
	accepted["properties"].(map[string]any)["provisioningState"] = "Accepted"
	return &api.Accepted{Linker: accepted, Operation: f.operation(verb, id)}, nil
}

func linkerOf(id string, body map[string]any) map[string]any {
	p := body["properties"].(map[string]any)
	if info, ok := p["authInfo"].(map[string]any); ok {
		delete(info, "secret")
		if s, ok := info["secretInfo"].(map[string]any); ok {
			delete(s, "value")
		}
	}
	p["provisioningState"] = "Succeeded"
	return map[string]any{"id": id, "name": lastName(id), "type": "microsoft.servicelinker/linkers", "properties": p}
}

func copyOf(m map[string]any) map[string]any {
	b, err := json.Marshal(m)
	if err != nil {
		panic(err)
	}
	var out map[string]any
	if err := json.Unmarshal(b, &out); err != nil {
		panic(err)
	}
	return out
}

// operation makes an ended operation with a journal of two steps.
func (f *fakeAPI) operation(verb, id string) string {
	source, _, _ := splitConnection(id)
	opID := fmt.Sprintf("00000000-0000-0000-0000-%012d", len(f.ops)+1)
	ended := testStart.Add(1400 * time.Millisecond)
	op := &api.Operation{ID: opID, Verb: verb, Connection: id, Source: source, Status: "Succeeded", Caller: "tester",
		Accepted: testStart, Started: &testStart, Ended: &ended}
	setting := "setting:" + source + "/config/appsettings"
	for i, e := range []api.JournalEntry{
		{Phase: "start"}, {Phase: "intent", Step: "identity:" + source}, {Phase: "done", Step: "identity:" + source},
		{Phase: "intent", Step: setting}, {Phase: "done", Step: setting}, {Phase: "end"},
	} {
		e.Seq, e.At = int64(i+1), testStart.Add(time.Duration(i)*300*time.Millisecond)
		op.Journal = append(op.Journal, e)
	}
	if f.outcome != nil {
		op.Status = "Failed"
		op.Problem = &api.Problem{Code: string(f.outcome.Code), Message: f.outcome.Detail, Resource: f.outcome.Resource, Fix: f.outcome.Fix}
		op.Journal[4].Phase, op.Journal[4].Note = "failed", "the cloud said no"
	}
	f.ops[opID] = op
	f.order = append(f.order, opID)
	return opID
}

func (f *fakeAPI) DeleteLinker(_ context.Context, id string, force bool) (*api.Accepted, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.note("delete", fmt.Sprintf("%s force=%v", id, force)); err != nil {
		return nil, err
	}
	if f.linkers[strings.ToLower(id)] == nil {
		return &api.Accepted{Done: true}, nil
	}
	delete(f.linkers, strings.ToLower(id))
	return &api.Accepted{Operation: f.operation("delete", id)}, nil
}

func (f *fakeAPI) ValidateLinker(_ context.Context, id string) (*api.Accepted, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.note("validate", id); err != nil {
		return nil, err
	}
	if f.linkers[strings.ToLower(id)] == nil {
		return nil, missing(id)
	}
	items := make([]any, len(f.report))
	for i := range f.report {
		items[i] = f.report[i]
	}
	f.status["/status/1"] = []map[string]any{{"status": "Accepted"}, {"status": "Succeeded", "properties": map[string]any{"validationDetail": items}}}
	return &api.Accepted{Operation: f.operation("validate", id), StatusURL: "/status/1"}, nil
}

func (f *fakeAPI) GenerateConfigurations(ctx context.Context, id, clientType string, body map[string]any) ([]map[string]any, error) {
	f.mu.Lock()
	f.bodies = append(f.bodies, body)
	f.mu.Unlock()
	if clientType == "dapr" {
		return []map[string]any{{"name": "conn1.yaml", "value": "kind: Component\n"}}, nil
	}
	return f.ListConfigurations(ctx, id)
}

func (f *fakeAPI) ConfigurationNames(_ context.Context, filter string) ([]map[string]any, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.note("names", filter); err != nil {
		return nil, err
	}
	return []map[string]any{{"properties": map[string]any{"targetService": "MICROSOFT.CACHE/REDIS/DATABASES", "clientType": "python", "authType": "secret",
		"names": []any{map[string]any{"value": "AZURE_REDIS_CONNECTIONSTRING", "description": "connection string"}}}}}, nil
}

func (f *fakeAPI) Status(_ context.Context, url string) (map[string]any, bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	list := f.status[url]
	if len(list) == 0 {
		return nil, false, problem.New(problem.RouteUnknown, url, "no such status")
	}
	if len(list) > 1 {
		f.status[url] = list[1:]
	}
	if list[0]["status"] == "Failed" {
		return list[0], true, problem.New(problem.ARMFailed, "", "the cloud's operation failed")
	}
	return list[0], list[0]["status"] == "Succeeded", nil
}

func (f *fakeAPI) ListConfigurations(_ context.Context, id string) ([]map[string]any, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.note("listConfigurations", id); err != nil {
		return nil, err
	}
	if f.linkers[strings.ToLower(id)] == nil {
		return nil, missing(id)
	}
	return []map[string]any{
		{"name": "AZURE_REDIS_HOST", "value": "cache1.redis.test", "configType": "Default", "description": ""},
		{"name": "AZURE_REDIS_PASSWORD", "value": "hunter<2>&", "configType": "Default", "description": ""},
	}, nil
}

func (f *fakeAPI) Plan(_ context.Context, id string, body map[string]any, remove bool) (*api.Plan, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.note("plan", fmt.Sprintf("%s delete=%v", id, remove)); err != nil {
		return nil, err
	}
	if body != nil {
		f.bodies = append(f.bodies, copyOf(body))
	}
	source, _, _ := splitConnection(id)
	identity, settings := "identity:"+strings.ToLower(source), "setting:"+strings.ToLower(source)+"/config/appsettings"
	if remove {
		return &api.Plan{Connection: id, Verb: "delete", Steps: []api.PlanStep{{ID: settings, Path: source + "/config/appsettings",
			Changes: []api.PlanChange{{Kind: "setting", Name: "AZURE_REDIS_HOST", Resource: source, Action: "remove", Reason: "unwanted",
				Before: map[string]string{"value": "cache1.redis.test"}}}}}}, nil
	}
	return &api.Plan{Connection: id, Verb: "create", Steps: []api.PlanStep{
		{ID: "raise:firewall:" + strings.ToLower(source), Path: source, Changes: []api.PlanChange{{Kind: "firewall", Name: "engine", Resource: source,
			Action: "create", Scaffold: true, After: map[string]string{"start": "10.0.0.1"}}}},
		{ID: identity, Path: source, Changes: []api.PlanChange{{Kind: "identity", Name: "system", Resource: source, Action: "create", Reason: "new",
			After: map[string]string{"principalId": "known after apply"}}}},
		{ID: settings, Path: source + "/config/appsettings", Needs: []string{identity}, Changes: []api.PlanChange{
			{Kind: "setting", Name: "AZURE_REDIS_HOST", Resource: source, Action: "create", Reason: "new", After: map[string]string{"value": "cache1.redis.test"}},
			{Kind: "setting", Name: "AZURE_REDIS_PASSWORD", Resource: source, Action: "update", Reason: "changed",
				Before: map[string]string{"value": "********"}, After: map[string]string{"value": "********"}, Note: "another value than before"},
			{Kind: "setting", Name: "OLD", Resource: source, Action: "update", Before: map[string]string{"value": "a\x1b[2J"}, After: map[string]string{"value": "b"}},
		}},
		{ID: "dismantle:firewall:" + source, Path: source, Dismantle: true, Changes: []api.PlanChange{{Kind: "firewall", Name: "engine", Resource: source,
			Action: "remove", Reason: "unwanted", Scaffold: true, Before: map[string]string{"start": "10.0.0.1"}}}},
	}, Quiet: []api.PlanChange{{Kind: "feature", Name: "aad", Resource: source, Action: "found"}}}, nil
}

func (f *fakeAPI) Drift(_ context.Context, scope string) ([]api.Drift, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.note("drift", scope); err != nil {
		return nil, err
	}
	var out []api.Drift
	for _, key := range slices.Sorted(maps.Keys(f.linkers)) {
		l := f.linkers[key]
		id, name := text(l, "id"), text(l, "name")
		if scope != "" && !strings.EqualFold(scope, id) && !strings.HasPrefix(key, strings.ToLower(scope)+"/") {
			continue
		}
		d := api.Drift{Connection: id, Name: name, State: orElse(f.drift[name], inSync)}
		source, _, _ := splitConnection(id)
		switch d.State {
		case drifted:
			d.Changes = []api.PlanChange{{Kind: "setting", Name: "AZURE_REDIS_HOST", Resource: source, Action: "create", Reason: "missing",
				After: map[string]string{"value": "cache1.redis.test"}}}
		case unreadable:
			d.Problem = &api.Problem{Code: "ARM_UNREACHED", Message: "the cloud could not be reached"}
		}
		out = append(out, d)
	}
	if out == nil && scope != "" && strings.Contains(scope, linkerSegment) {
		return nil, missing(scope)
	}
	return out, nil
}

func (f *fakeAPI) Repair(_ context.Context, id string, force bool) (*api.Operation, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.note("repair", fmt.Sprintf("%s force=%v", id, force)); err != nil {
		return nil, err
	}
	if f.linkers[strings.ToLower(id)] == nil {
		return nil, missing(id)
	}
	delete(f.drift, lastName(id))
	return f.ops[f.operation("repair", id)], nil
}

func (f *fakeAPI) Operations(_ context.Context, source string) ([]api.Operation, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.note("operations", source); err != nil {
		return nil, err
	}
	var out []api.Operation
	for _, id := range slices.Backward(f.order) {
		op := *f.ops[id]
		op.Journal = nil
		out = append(out, op)
	}
	return out, nil
}

func (f *fakeAPI) Operation(_ context.Context, id string) (*api.Operation, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.note("operation", id); err != nil {
		return nil, err
	}
	op, ok := f.ops[id]
	if !ok {
		return nil, problem.New(problem.OperationNotFound, "", "there is no operation %s", id)
	}
	latest := *op
	return &latest, nil
}

func (f *fakeAPI) Resume(ctx context.Context, id string) (*api.Operation, error) {
	return f.act(ctx, "resume", id, "Succeeded")
}

func (f *fakeAPI) Undo(ctx context.Context, id string) (*api.Operation, error) {
	return f.act(ctx, "undo", id, "Canceled")
}

func (f *fakeAPI) act(ctx context.Context, verb, id, status string) (*api.Operation, error) {
	f.mu.Lock()
	err := f.note(verb, id)
	f.mu.Unlock()
	if err != nil {
		return nil, err
	}
	if _, err := f.Operation(ctx, id); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ops[id].Status, f.ops[id].Problem = status, nil
	accepted := *f.ops[id]
	accepted.Status = "Accepted"
	return &accepted, nil
}

func (f *fakeAPI) Events(ctx context.Context, id string, each func(api.JournalEntry) error) (*api.Operation, error) {
	op, err := f.Operation(ctx, id)
	if err != nil {
		return nil, err
	}
	for i, e := range op.Journal {
		if f.streamed != nil && i == 3 {
			if err := f.streamed(ctx); err != nil {
				return nil, err
			}
		}
		if err := each(e); err != nil {
			return nil, err
		}
	}
	return op, nil
}

func (f *fakeAPI) Raw(_ context.Context, method, path string, body []byte) (*api.Response, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.note(method, strings.TrimSpace(path+" "+string(body))); err != nil {
		return nil, err
	}
	if r, ok := f.raw[method+" "+path]; ok {
		return r, nil
	}
	if method == http.MethodGet && strings.Contains(path, "/sites/") && strings.Count(path, "/") == 8 {
		return &api.Response{Status: 200, Header: http.Header{}, Body: []byte(`{"properties":{"siteConfig":{"linuxFxVersion":"` + f.runtime + `"}}}`)}, nil
	}
	return &api.Response{Status: 404}, problem.New(problem.RouteUnknown, path, "(NotFound) nothing at %s", path)
}
