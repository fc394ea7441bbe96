package api

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/problem"
)

func ownQuery() url.Values { return url.Values{"api-version": {NamespaceV}} }

// ownPath is the address of a connection in our own namespace, from its linker id.
func ownPath(linker, verb string) (string, error) {
	if connection.IsLocal(linker) {
		parts := strings.Split(linker, "/") // .../providers/Microsoft.ServiceLinker/locations/L/connectors/N
		parts[len(parts)-5], parts[len(parts)-2] = Namespace, "connections"
		return strings.Join(append(parts, verb), "/"), nil
	}
	at := strings.LastIndex(strings.ToLower(linker), "/providers/"+strings.ToLower(Provider)+"/linkers/")
	if at < 0 {
		return "", problem.New(problem.PathMalformed, linker, "%s is not the id of a connection", linker)
	}
	name := linker[strings.LastIndex(linker, "/")+1:]
	return linker[:at] + "/providers/" + Namespace + "/connections/" + name + "/" + verb, nil
}

// Plan returns what a PUT of body would do; a nil body plans the connection as it
// stands, remove its deletion. Nothing is written.
func (c *Client) Plan(ctx context.Context, linker string, body map[string]any, remove bool) (*Plan, error) {
	path, err := ownPath(linker, "plan")
	if err != nil {
		return nil, err
	}
	query := ownQuery()
	if remove {
		query.Set("delete", "true")
	}
	if body == nil {
		body = map[string]any{}
	}
	out := new(Plan)
	return out, c.call(ctx, http.MethodPost, path, query, body, out)
}

// Drift returns what differs for a linker (by its id), for all connections of a
// source, or for everything ("").
func (c *Client) Drift(ctx context.Context, scope string) ([]Drift, error) {
	if path, err := ownPath(scope, "drift"); err == nil {
		var one Drift
		if err := c.call(ctx, http.MethodPost, path, ownQuery(), nil, &one); err != nil {
			return nil, err
		}
		return []Drift{one}, nil
	}
	var all DriftList
	err := c.call(ctx, http.MethodPost, scope+"/providers/"+Namespace+"/drift", ownQuery(), nil, &all)
	return all.Value, err
}

// Repair starts making a connection whole again; force writes changed values too.
func (c *Client) Repair(ctx context.Context, linker string, force bool) (*Operation, error) {
	path, err := ownPath(linker, "repair")
	if err != nil {
		return nil, err
	}
	query := ownQuery()
	if force {
		query.Set(ForceParam, "true")
	}
	return c.operation(ctx, http.MethodPost, path, query)
}

func operationPath(id, verb string) string {
	return "/providers/" + Namespace + "/operations/" + id + verb
}

// Operations lists operations, newest first; source "" means all.
func (c *Client) Operations(ctx context.Context, source string) ([]Operation, error) {
	query := ownQuery()
	if source != "" {
		query.Set("source", source)
	}
	var list OperationList
	err := c.call(ctx, http.MethodGet, "/providers/"+Namespace+"/operations", query, nil, &list)
	return list.Value, err
}

// Operation returns one operation with its journal.
func (c *Client) Operation(ctx context.Context, id string) (*Operation, error) {
	return c.operation(ctx, http.MethodGet, operationPath(id, ""), ownQuery())
}

// Resume asks to finish an interrupted operation.
func (c *Client) Resume(ctx context.Context, id string) (*Operation, error) {
	return c.operation(ctx, http.MethodPost, operationPath(id, "/resume"), ownQuery())
}

// Undo asks to take an unfinished operation back.
func (c *Client) Undo(ctx context.Context, id string) (*Operation, error) {
	return c.operation(ctx, http.MethodPost, operationPath(id, "/undo"), ownQuery())
}

func (c *Client) operation(ctx context.Context, method, path string, query url.Values) (*Operation, error) {
	out := new(Operation)
	if err := c.call(ctx, method, path, query, nil, out); err != nil {
		return nil, err
	}
	return out, nil
}

// SupportTypes returns which targets, auth types and client types go together.
func (c *Client) SupportTypes(ctx context.Context) ([]SupportType, error) {
	var list SupportTypeList
	err := c.call(ctx, http.MethodGet, "/providers/"+Namespace+"/supportTypes", ownQuery(), nil, &list)
	return list.Value, err
}

// Events follows an operation's journal: each is called for every entry, in order,
// and the operation is returned once it has ended. each may be nil; its error ends
// the stream.
func (c *Client) Events(ctx context.Context, operation string, each func(JournalEntry) error) (*Operation, error) {
	response, err := c.open(ctx, http.MethodGet, c.address(operationPath(operation, "/events"), ownQuery()), http.Header{"Accept": {"text/event-stream"}}, nil)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close() //nolint:errcheck // only read
	if response.StatusCode >= http.StatusBadRequest {
		return nil, c.streamError(response)
	}
	var ended *Operation
	err = events(response.Body, func(name string, data []byte) error {
		switch name {
		case EventEntry:
			var entry JournalEntry
			if err := json.Unmarshal(data, &entry); err != nil || each == nil {
				return err
			}
			return each(entry)
		case EventEnd:
			ended = new(Operation)
			return json.Unmarshal(data, ended)
		case EventError:
			var failed ErrorBody
			if err := json.Unmarshal(data, &failed); err != nil {
				return err
			}
			return ProblemOf(http.StatusInternalServerError, failed.Error)
		}
		return nil
	})
	return ended, endOfStream(ctx, operation, ended, err)
}

// The events of an operation's stream.
const (
	EventEntry = "entry" // a JournalEntry
	EventEnd   = "end"   // the Operation, once it has ended
	EventError = "error" // an error envelope: the journal cannot be read any more
)

func endOfStream(ctx context.Context, operation string, ended *Operation, err error) error {
	var p *problem.Error
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, &p):
		return p
	case err != nil:
		return problem.New(problem.ARMUnreached, operation, "the stream of operation %s broke off", operation).Because(err)
	case ended == nil:
		return problem.New(problem.StillRunning, operation, "the stream of operation %s ended before the operation did", operation)
	}
	return nil
}

func (c *Client) streamError(response *http.Response) error {
	raw, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return unreached(c.options.Endpoint, err)
	}
	return parseError(response.StatusCode, raw)
}
