package server

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/patchbay/patchbay/internal/api"
	"github.com/patchbay/patchbay/internal/arm/id"
	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/engine"
	"github.com/patchbay/patchbay/internal/problem"
)

// location stands in the address of an operation's status, where ARM has a region.
const location = "EASTUS"

// retryAfter is the number of seconds clients should wait between polls.
const retryAfter = "1"

const wireTime = "2006-01-02T15:04:05.0000000Z"

// statusName is an operation's name on the wire: its id, and a hash of its source
// that tells operations of one source from those of another.
func statusName(op *engine.Operation) string {
	sum := sha256.Sum256([]byte(fold(op.Source)))
	return op.ID + "*" + strings.ToUpper(hex.EncodeToString(sum[:]))
}

// nobodys stands for the subscription of a source that no cloud knows.
const nobodys = "00000000-0000-0000-0000-000000000000"

func statusPath(op *engine.Operation) string {
	subscription := nobodys
	if source, err := id.Parse(op.Source); err == nil && source.Subscription() != "" {
		subscription = source.Subscription()
	}
	return "/subscriptions/" + subscription + "/providers/" + api.Provider + "/locations/" + location + "/operationStatuses/" + statusName(op)
}

// announce sets the headers that lead a client to the operation.
func (x *exchange) announce(op *engine.Operation, byLocation bool) {
	at := x.publicURL() + statusPath(op) + "?api-version=" + api.StatusVersion
	h := x.w.Header()
	h.Set("Azure-AsyncOperation", at)
	h.Set("Retry-After", retryAfter)
	h.Set(api.OperationHeader, op.ID)
	if byLocation {
		h.Set("Location", at)
	}
}

// begin announces an operation that was just accepted. Terraform's client would wait
// ten seconds before its first poll; the last header has it poll at once.
func (x *exchange) begin(op *engine.Operation, byLocation bool) {
	x.announce(op, byLocation)
	x.w.Header().Set("X-Go-Azure-Sdk-Skip-Polling-Delay", "true")
}

// settled waits a moment for an unfinished operation: a client that polls without a
// pause is slowed down, and any client hears of the end sooner.
func (x *exchange) settled(op *engine.Operation) (*engine.Operation, error) {
	held := time.NewTimer(x.Hold)
	defer held.Stop()
	tick := time.NewTicker(x.Follow)
	defer tick.Stop()
	for !op.Status.Done() {
		select {
		case <-x.r.Context().Done():
			return nil, x.r.Context().Err()
		case <-held.C:
			return op, nil
		case <-tick.C:
		}
		var err error
		if op, _, err = x.Engine.Operation(x.r.Context(), op.ID); err != nil {
			return nil, err
		}
	}
	return op, nil
}

// getStatus answers a poll: 200 for writes and for whatever has ended, 202 for
// deletions and validations under way.
func (x *exchange) getStatus() error {
	name, _, _ := strings.Cut(x.place.names[1], "*")
	if _, err := uuid.Parse(name); err != nil {
		return noOperation(x.place.names[1])
	}
	op, _, err := x.Engine.Operation(x.r.Context(), name)
	if err != nil {
		return err
	}
	if !strings.EqualFold(x.place.names[1], statusName(op)) {
		return noOperation(x.place.names[1])
	}
	x.place.source = op.Source
	if err := x.need(rightOn(actionRead, op.Source)); err != nil {
		return err
	}
	if op, err = x.settled(op); err != nil {
		return err
	}
	status, err := x.statusOf(op)
	if err != nil {
		return err
	}
	code := http.StatusOK
	if !op.Status.Done() {
		x.w.Header().Set("Retry-After", retryAfter)
		if op.Verb == engine.VerbDelete || op.Verb == engine.VerbValidate {
			code = http.StatusAccepted
			x.announce(op, true)
		}
	}
	return x.json(code, status)
}

func noOperation(name string) error {
	return problem.New(problem.OperationNotFound, clip(name), "there is no operation %q", clip(name))
}

func (x *exchange) statusOf(op *engine.Operation) (*api.OperationStatus, error) {
	s := &api.OperationStatus{
		ID: statusPath(op), Name: statusName(op), ResourceID: op.Connection,
		Status: statusWord(op), StartTime: op.Accepted.UTC().Format(wireTime),
	}
	if !op.Status.Done() {
		return s, nil
	}
	s.EndTime = op.Ended.UTC().Format(wireTime)
	if op.Status != engine.Succeeded {
		p := opProblem(op)
		failed := detail(p)
		s.Error = &failed
		return s, nil
	}
	properties, err := x.resultOf(op)
	if err != nil {
		return nil, err
	}
	s.Properties, err = json.Marshal(properties)
	return s, err
}

// statusWord is the status as recorded clients know it.
func statusWord(op *engine.Operation) string {
	switch {
	case op.Status.Done():
		return string(op.Status)
	case op.Verb == engine.VerbDelete:
		return connection.StateDeleting
	}
	return connection.StateAccepted
}

func opProblem(op *engine.Operation) *problem.Error {
	if op.Problem == nil {
		return problem.New(problem.OperationState, op.Connection, "operation %s was taken back", op.ID)
	}
	return &problem.Error{Code: problem.Code(op.Problem.Code), Resource: op.Problem.Resource, Detail: op.Problem.Message, Fix: op.Problem.Fix}
}

// resultOf is what properties hold once an operation has succeeded.
func (x *exchange) resultOf(op *engine.Operation) (any, error) {
	switch op.Verb {
	case engine.VerbDelete:
		return nil, nil
	case engine.VerbValidate:
		return x.reportOf(op)
	}
	if op.Message == "" {
		return api.WriteResult{}, nil
	}
	return api.WriteResult{Message: &op.Message}, nil
}

// reportOf reads a validation's report into its two forms.
func (x *exchange) reportOf(op *engine.Operation) (any, error) {
	var found engine.Report
	if len(op.Report) > 0 {
		if err := json.Unmarshal(op.Report, &found); err != nil {
			return nil, problem.New(problem.Internal, op.Connection, "the report of operation %s cannot be read", op.ID).Because(err)
		}
	}
	report := api.ValidationReport{
		LinkerName: op.Connection[strings.LastIndex(op.Connection, "/")+1:], IsConnectionAvailable: found.Available(),
		ValidationDetail:   make([]api.ValidationItem, 0, len(found.Findings)),
		ReportStartTimeUTC: firstTime(op.Started, op.Accepted).UTC().Format(wireTime), ReportEndTimeUTC: op.Ended.UTC().Format(wireTime),
		AuthType: authType(op),
	}
	for _, f := range found.Findings {
		report.ValidationDetail = append(report.ValidationDetail, itemOf(localName(op, f)))
	}
	message, err := json.Marshal(messageOf(report))
	report.Message = string(message)
	return report, err
}

func firstTime(times ...time.Time) time.Time {
	for _, t := range times {
		if !t.IsZero() {
			return t
		}
	}
	return time.Time{}
}

func authType(op *engine.Operation) *string {
	for _, c := range []*connection.Connection{op.Wanted, op.Before} {
		if c != nil && c.Properties.Auth != nil {
			return &c.Properties.Auth.Type
		}
	}
	return nil
}

func itemOf(f engine.Finding) api.ValidationItem {
	item := api.ValidationItem{Name: f.Name, Result: f.Result, ErrorCode: f.Code}
	if f.Description != "" {
		item.Description = &f.Description
	}
	if f.Code != "" {
		item.ErrorMessage = f.Fix
	}
	return item
}

func messageOf(r api.ValidationReport) api.ReportMessage {
	numbers := map[string]int{"success": 0, "failure": 1, "warning": 2}
	m := api.ReportMessage{
		ConnectionName: r.LinkerName, IsConnectionAvailable: r.IsConnectionAvailable, ValidationDetail: make([]api.ReportMessageItem, 0, len(r.ValidationDetail)),
		ReportStartTimeUTC: r.ReportStartTimeUTC, ReportEndTimeUTC: r.ReportEndTimeUTC, AuthType: r.AuthType,
	}
	for _, item := range r.ValidationDetail {
		m.ValidationDetail = append(m.ValidationDetail, api.ReportMessageItem{Name: item.Name, Description: item.Description, Result: numbers[item.Result]})
	}
	return m
}
