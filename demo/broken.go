package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/patchbay/patchbay/demo/outside"
)

// visitors is how many visits the story makes at first.
const visitors = 3

// visit sends the app one request, at the address its platform gives it.
func (s *story) visit(ctx context.Context, method string) (int, map[string]any, error) {
	site, err := s.cloud.Want(ctx, http.MethodGet, s.site()+"?api-version="+outside.WebVersion, nil, http.StatusOK)
	if err != nil {
		return 0, nil, err
	}
	properties, _ := site["properties"].(map[string]any)
	host, _ := properties["defaultHostName"].(string)
	request, err := http.NewRequestWithContext(ctx, method, "http://"+host+"/count", nil)
	if err != nil {
		return 0, nil, err
	}
	client := http.Client{Timeout: 15 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	var told map[string]any
	if err := json.NewDecoder(response.Body).Decode(&told); err != nil {
		return response.StatusCode, nil, fmt.Errorf("read the app's answer: %w", err)
	}
	return response.StatusCode, told, nil
}

// expected is what the app tells after n visits: one count per service it is joined to.
func (s *story) expected(n int) map[string]any {
	told := map[string]any{"AZURE_REDIS_CONNECTIONSTRING": float64(n)}
	if s.postgres {
		told["AZURE_POSTGRESQL_CONNECTIONSTRING"] = float64(n)
		told["AZURE_POSTGRESQL_REPORTS_CONNECTIONSTRING"] = float64(n)
	}
	return told
}

// ready waits until the app runs with all its settings: n visits are told in every service.
func (s *story) ready(ctx context.Context, n int) error {
	return outside.Until(ctx, startLimit, "the app to reach every service", func() (bool, error) {
		_, told, err := s.visit(ctx, http.MethodGet)
		if err != nil {
			return false, err
		}
		return reflect.DeepEqual(told, s.expected(n)), same("what the app tells", fmt.Sprint(told), fmt.Sprint(s.expected(n)))
	})
}

func (s *story) count(ctx context.Context) error {
	if err := s.ready(ctx, 0); err != nil {
		return err
	}
	for n := 1; n <= visitors; n++ {
		if err := s.visitOnce(ctx, n); err != nil {
			return err
		}
	}
	return nil
}

func (s *story) countOn(ctx context.Context) error {
	if err := s.ready(ctx, visitors); err != nil {
		return err
	}
	return s.visitOnce(ctx, visitors+1)
}

// visitOnce makes the visit that has to be the nth.
func (s *story) visitOnce(ctx context.Context, n int) error {
	status, told, err := s.visit(ctx, http.MethodPost)
	if err != nil {
		return err
	}
	s.say("POST /count: %s", compact(told))
	return errors.Join(
		same("status of POST /count", status, http.StatusOK),
		same("what the app counted", fmt.Sprint(told), fmt.Sprint(s.expected(n))))
}

func compact(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

func (s *story) rerun(ctx context.Context) (err error) {
	if s.before, err = s.read(ctx); err != nil {
		return err
	}
	if err := s.runTemplate(ctx); err != nil {
		return err
	}
	now, err := s.read(ctx)
	if err != nil {
		return err
	}
	return errors.Join(
		s.expectBare(ctx),
		same("connections", fmt.Sprint(now.linkers), fmt.Sprint(s.before.linkers)),
		same("orphaned role assignments", len(outside.Of(s.before.Principal, now.roles)), 1),
		s.expectCount(ctx, http.StatusServiceUnavailable))
}

// driftFound is the exit status of `patchbay drift` when there is some.
const driftFound = 5

func (s *story) drift(ctx context.Context) error {
	if _, err := s.patchbay(ctx, driftFound, "drift", "-g", group, "-n", siteName); err != nil {
		return err
	}
	return s.expectBare(ctx) // looking changed nothing
}

func (s *story) repair(ctx context.Context) error {
	if _, err := s.patchbay(ctx, 0, "repair", "-g", group, "-n", siteName); err != nil {
		return err
	}
	now, err := s.read(ctx)
	if err != nil {
		return err
	}
	was, is := outside.Of(s.before.Principal, s.before.roles), outside.Of(now.Principal, now.roles)
	return errors.Join(
		sameSettings(now.Settings, s.before.Settings),
		same("the site's identity", now.Identity, "SystemAssigned"),
		holds("the identity came back under a new principal", now.Principal != "" && now.Principal != s.before.Principal),
		same("role assignments of the former principal", len(outside.Of(s.before.Principal, now.roles)), 0),
		same("role assignments of the new principal", definitions(is), definitions(was)),
		same("role assignments on the storage account", len(now.roles), len(s.before.roles)),
		same("connections", fmt.Sprint(now.linkers), fmt.Sprint(s.before.linkers)))
}

func definitions(roles []outside.Role) []string {
	var found []string
	for _, r := range roles {
		found = append(found, strings.ToLower(r.Definition))
	}
	slices.Sort(found)
	return found
}

// same is an error that tells both values apart, unless they are equal.
func same[T any](what string, got, want T) error {
	if reflect.DeepEqual(got, want) {
		return nil
	}
	return fmt.Errorf("%s: got %v, want %v", what, got, want)
}

// holds is an error unless a fact is so.
func holds(what string, so bool) error {
	if so {
		return nil
	}
	return errors.New("not so: " + what)
}

// sameSettings names the settings that differ; values may be secrets and are not told.
func sameSettings(got, want map[string]string) error {
	var wrong []string
	for name, value := range want {
		if found, there := got[name]; !there {
			wrong = append(wrong, name+" is missing")
		} else if found != value {
			wrong = append(wrong, name+" has another value")
		}
	}
	for name := range got {
		if _, there := want[name]; !there {
			wrong = append(wrong, name+" is not expected")
		}
	}
	if len(wrong) == 0 {
		return nil
	}
	slices.Sort(wrong)
	return errors.New("settings: " + strings.Join(wrong, ", "))
}
