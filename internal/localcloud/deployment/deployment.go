// Package deployment is the local cloud's template deployments at resource group
// scope, in incremental mode.
//
// It promises that a template is checked whole before anything is written, that
// every resource is written by the same path and with the same rights as a call of
// the deploying principal, and that a stored deployment can be run again. It knows
// a small set of template functions and refuses the others by name; copy loops,
// outputs and complete mode are not there. It must not know any resource type.
package deployment

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/patchbay/patchbay/internal/arm/id"
	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

const (
	deploymentType = "Microsoft.Resources/deployments"
	operationType  = "Microsoft.Resources/deployments/operations"
)

var versions = []string{
	"2025-04-01", "2025-03-01", "2024-11-01", "2024-07-01", "2024-03-01", "2023-07-01", "2022-09-01", "2021-04-01",
	"2021-01-01", "2020-10-01", "2020-08-01", "2020-06-01", "2019-10-01", "2019-08-01", "2019-07-01", "2019-05-10",
	"2019-05-01", "2019-03-01", "2018-05-01", "2018-02-01", "2017-05-10", "2016-09-01", "2016-07-01", "2016-02-01",
}

// Invoke makes a management call with a principal's rights, waits for long work,
// and returns the answer's body. Refusals are *provider.Fault errors.
type Invoke func(ctx context.Context, caller provider.Principal, method, path, apiVersion string, body provider.Document) (any, error)

// Deployments is the provider. Make one with New.
type Deployments struct {
	cloud  provider.Cloud
	invoke Invoke
}

var _ provider.Provider = (*Deployments)(nil)

// New makes the provider; invoke is how it writes resources.
func New(c provider.Cloud, invoke Invoke) *Deployments { return &Deployments{cloud: c, invoke: invoke} }

// Types lists what the front door routes here.
func (d *Deployments) Types() []provider.Type {
	return []provider.Type{
		{Name: deploymentType, APIVersions: versions, Get: d.get, Put: d.put, Delete: d.remove, Actions: map[string]provider.Action{
			"exporttemplate": {Handle: d.export}, "validate": {Handle: d.validate},
		}},
		{Name: operationType, APIVersions: versions},
	}
}

// Resume marks deployments that a stop has interrupted as failed.
func (d *Deployments) Resume(context.Context) error {
	for _, doc := range d.cloud.Store().Under("", deploymentType) {
		props, _ := doc["properties"].(map[string]any)
		if state := props["provisioningState"]; state == "Accepted" || state == "Running" {
			props["provisioningState"] = "Failed"
			docID, _ := doc["id"].(string)
			d.cloud.Store().Put(docID, doc)
		}
	}
	return nil
}

// Close has nothing to stop: running deployments belong to the front door.
func (d *Deployments) Close() error { return nil }

// job is one deployment, checked and ready to run.
type job struct {
	id     id.ID
	steps  []step
	caller provider.Principal
	began  time.Time

	template, given map[string]any
}

func (d *Deployments) get(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	doc, ok := d.cloud.Store().Get(r.ID.String())
	if !ok {
		return nil, notFound(r.ID.Name())
	}
	return &provider.Answer{Body: doc}, nil
}

func notFound(name string) *provider.Fault {
	return fault(http.StatusNotFound, "DeploymentNotFound", "Deployment '%s' could not be found.", name)
}

func (d *Deployments) put(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	old, exists := d.cloud.Store().Get(r.ID.String())
	if props, _ := old["properties"].(map[string]any); exists && (props["provisioningState"] == "Accepted" || props["provisioningState"] == "Running") {
		return nil, fault(http.StatusConflict, "DeploymentActive", "Unable to edit or replace deployment '%s': previous deployment is still active. Please see https://aka.ms/arm-deploy for usage details.", r.ID.Name())
	}
	j, err := d.read(r)
	if err != nil {
		return nil, err
	}
	status := http.StatusCreated
	if exists {
		status = http.StatusOK
	}
	body := d.record(j, "Accepted", nil)
	d.keep(j)
	return &provider.Answer{Status: status, Body: body, Later: func(ctx context.Context) error { return d.run(ctx, j) }}, nil
}

// validate checks a template and writes nothing.
func (d *Deployments) validate(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	j, err := d.read(r)
	if err != nil {
		return nil, err
	}
	return &provider.Answer{Body: d.document(j, "Succeeded", nil)}, nil
}

// read turns a request's body into a job.
func (d *Deployments) read(r *provider.Request) (*job, error) {
	props, _ := r.Body["properties"].(map[string]any)
	template, _ := props["template"].(map[string]any)
	given, _ := props["parameters"].(map[string]any)
	mode, _ := props["mode"].(string)
	switch {
	case template == nil:
		return nil, fault(http.StatusBadRequest, "InvalidDeployment", "The deployment needs a template in properties.template.")
	case !strings.EqualFold(mode, "Incremental"):
		return nil, fault(http.StatusBadRequest, "InvalidDeployment", "The deployment mode '%s' is not supported by this cloud. Use Incremental.", mode)
	}
	return d.prepare(r.ID, r.Caller, template, given)
}

// prepare checks a template against its parameters and lists what it writes.
func (d *Deployments) prepare(at id.ID, caller provider.Principal, template, given map[string]any) (*job, error) {
	s, err := newScope(template, given)
	if err != nil {
		return nil, err
	}
	s.subscriptionID, s.groupName = at.Subscription(), at.ResourceGroup()
	group, _ := d.cloud.Store().Get(at.Scope().String())
	s.group = map[string]any(group)
	s.subscription = map[string]any{"id": "/subscriptions/" + s.subscriptionID, "subscriptionId": s.subscriptionID}
	for name := range s.declared {
		if _, err := s.parameter(name); err != nil {
			return nil, err
		}
	}
	for name := range s.variables {
		if _, err := s.variable(name); err != nil {
			return nil, err
		}
	}
	steps, err := s.steps(template)
	if err != nil {
		return nil, err
	}
	return &job{id: at, steps: steps, caller: caller, began: d.cloud.Now(), template: template, given: given}, nil
}

// keep stores what a rerun needs, beside the document: parameters may be secret.
func (d *Deployments) keep(j *job) {
	t, _ := json.Marshal(j.template) // came from JSON
	p, _ := json.Marshal(j.given)    // came from JSON
	d.cloud.Store().SetPrivate(j.id.String(), map[string]string{"template": string(t), "parameters": string(p), "caller": j.caller.ObjectID})
}

// record stores the deployment's document in a state.
func (d *Deployments) record(j *job, state string, failed *provider.Fault) provider.Document {
	doc := d.document(j, state, failed)
	d.cloud.Store().Put(j.id.String(), doc)
	return doc
}

func (d *Deployments) document(j *job, state string, failed *provider.Fault) provider.Document {
	var resources []any
	for _, st := range j.steps {
		resources = append(resources, map[string]any{"id": st.id})
	}
	props := map[string]any{
		"mode": "Incremental", "provisioningState": state, "timestamp": d.cloud.Now().UTC().Format(time.RFC3339Nano),
		"duration": fmt.Sprintf("PT%.3fS", d.cloud.Now().Sub(j.began).Seconds()), "correlationId": uuid.NewString(),
		"parameters": shown(j.template, j.given), "outputResources": resources,
	}
	if failed != nil {
		props["error"] = errorObject(failed)
	}
	return provider.Document{"id": j.id.String(), "name": j.id.Name(), "type": deploymentType, "properties": props}
}

func errorObject(f *provider.Fault) map[string]any {
	e := map[string]any{"code": f.Code, "message": f.Message}
	for _, inner := range f.Details {
		details, _ := e["details"].([]any)
		e["details"] = append(details, errorObject(inner))
	}
	return e
}

// shown are the parameters as a deployment's GET shows them: without secret values.
func shown(template, given map[string]any) map[string]any {
	declared, _ := template["parameters"].(map[string]any)
	view := map[string]any{}
	for name, v := range given {
		_, declaration, _ := lookup(declared, name)
		m, _ := declaration.(map[string]any)
		kind, _ := m["type"].(string)
		value, _ := v.(map[string]any)
		view[name] = map[string]any{"type": kind, "value": value["value"]}
		if strings.HasPrefix(strings.ToLower(kind), "secure") {
			view[name] = map[string]any{"type": kind}
		}
	}
	return view
}

// run writes the resources in order and stops at the first refusal.
func (d *Deployments) run(ctx context.Context, j *job) error {
	d.record(j, "Running", nil)
	for _, st := range j.steps {
		_, err := d.invoke(ctx, j.caller, http.MethodPut, st.id, st.apiVersion, st.body)
		d.operation(j, st, err)
		if err == nil {
			continue
		}
		inner := &provider.Fault{Status: http.StatusInternalServerError, Code: "InternalServerError", Message: "The server encountered an internal error."}
		errors.As(err, &inner)
		failed := &provider.Fault{Status: http.StatusConflict, Code: "DeploymentFailed", Details: []*provider.Fault{inner},
			Message: "At least one resource deployment operation failed. Please list deployment operations for details. Please see https://aka.ms/arm-deployment-operations for usage details."}
		d.record(j, "Failed", failed)
		return failed
	}
	d.record(j, "Succeeded", nil)
	return nil
}

// operation records how the write of one resource ended.
func (d *Deployments) operation(j *job, st step, err error) {
	name := strings.ToUpper(strings.ReplaceAll(uuid.NewSHA1(uuid.NameSpaceOID, []byte(id.Fold(st.id))).String(), "-", ""))[:16]
	at := j.id.Child("operations", name)
	props := map[string]any{"provisioningOperation": "Create", "provisioningState": "Succeeded", "timestamp": d.cloud.Now().UTC().Format(time.RFC3339Nano),
		"statusCode": "OK", "targetResource": map[string]any{"id": st.id, "resourceType": st.kind, "resourceName": st.name}}
	var f *provider.Fault
	if errors.As(err, &f) {
		props["provisioningState"], props["statusCode"] = "Failed", http.StatusText(f.Status)
		props["statusMessage"] = map[string]any{"status": "Failed", "error": errorObject(f)}
	}
	d.cloud.Store().Put(at.String(), provider.Document{"id": at.String(), "name": name, "operationId": name, "type": operationType, "properties": props})
}

// Rerun deploys a stored template again with its parameters and the rights of the
// principal that deployed it, and returns the deployment.
func (d *Deployments) Rerun(ctx context.Context, deployment string) (provider.Document, error) {
	stored, ok := d.cloud.Store().Get(deployment)
	docID, _ := stored["id"].(string)
	at, err := id.Parse(docID)
	if !ok || err != nil {
		return nil, notFound(deployment)
	}
	kept := d.cloud.Store().Private(docID)
	caller, known := d.cloud.Directory().Lookup(kept["caller"])
	if !known {
		return nil, fault(http.StatusConflict, "PrincipalNotFound", "The principal that made deployment '%s' does not exist any more.", deployment)
	}
	var template, given map[string]any
	if err := errors.Join(json.Unmarshal([]byte(kept["template"]), &template), json.Unmarshal([]byte(kept["parameters"]), &given)); err != nil {
		return nil, err
	}
	j, err := d.prepare(at, caller, template, given)
	if err != nil {
		return nil, err
	}
	if err := d.run(ctx, j); err != nil {
		return nil, err
	}
	doc, _ := d.cloud.Store().Get(deployment)
	return doc, nil
}

func (d *Deployments) remove(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	d.cloud.Store().Delete(r.ID.String())
	return &provider.Answer{Status: http.StatusNoContent}, nil
}

// export answers the template as it was deployed.
func (d *Deployments) export(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	return &provider.Answer{Body: []byte(`{"template":` + d.cloud.Store().Private(r.ID.String())["template"] + `}`),
		Header: http.Header{"Content-Type": {"application/json; charset=utf-8"}}}, nil
}
