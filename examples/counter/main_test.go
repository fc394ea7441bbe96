package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/alicebob/miniredis/v2"
)

// ask sends one request to the handler and returns status and body.
func ask(t *testing.T, add int) (int, map[string]any) {
	t.Helper()
	w := httptest.NewRecorder()
	answer(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/count", nil), add)
	var told map[string]any
	if err := json.NewDecoder(w.Body).Decode(&told); err != nil {
		t.Fatal(err)
	}
	return w.Code, told
}

func TestWithoutSettingsNothingIsCounted(t *testing.T) {
	t.Setenv("AZURE_REDIS_CONNECTIONSTRING", "")
	t.Setenv("AZURE_POSTGRESQL_CONNECTIONSTRING", "")
	if status, told := ask(t, 1); status != http.StatusServiceUnavailable || told["error"] == nil {
		t.Errorf("answered %d %v", status, told)
	}
}

func TestCountsAndReconnects(t *testing.T) {
	server := miniredis.RunT(t)
	server.RequireAuth("key")
	t.Setenv("AZURE_POSTGRESQL_CONNECTIONSTRING", "")
	t.Setenv("AZURE_REDIS_CONNECTIONSTRING", "redis://:key@"+server.Addr()+"/0")
	for _, want := range []float64{1, 2} {
		if status, told := ask(t, 1); status != http.StatusOK || told["AZURE_REDIS_CONNECTIONSTRING"] != want {
			t.Errorf("answered %d %v, want %v", status, told, want)
		}
	}
	server.RequireAuth("another")
	if status, _ := ask(t, 1); status != http.StatusServiceUnavailable {
		t.Errorf("with a wrong key it answered %d", status)
	}
	server.RequireAuth("key")
	if status, told := ask(t, 0); status != http.StatusOK || told["AZURE_REDIS_CONNECTIONSTRING"] != 2.0 {
		t.Errorf("after the key was right again it answered %d %v", status, told)
	}
}

func TestTokenComesFromThePlatform(t *testing.T) {
	platform := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-IDENTITY-HEADER") != "proof" || r.URL.Query().Get("resource") != databases {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_, _ = w.Write([]byte(`{"access_token":"a.b.c"}`))
	}))
	defer platform.Close()
	t.Setenv("IDENTITY_ENDPOINT", platform.URL)
	t.Setenv("IDENTITY_HEADER", "proof")
	if got, err := token(t.Context(), databases); err != nil || got != "a.b.c" {
		t.Errorf("token: %q, %v", got, err)
	}
	t.Setenv("IDENTITY_HEADER", "none")
	if _, err := token(t.Context(), databases); err == nil || !strings.Contains(err.Error(), "401") {
		t.Errorf("refused token: %v", err)
	}
}
