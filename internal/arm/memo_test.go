package arm

import (
	"cmp"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sync/errgroup"
)

type counting struct {
	n      atomic.Int32
	status int // 0 is 200
}

func (c *counting) Do(*http.Request) (*http.Response, error) {
	c.n.Add(1)
	return &http.Response{StatusCode: cmp.Or(c.status, 200), Header: http.Header{}, Body: io.NopCloser(strings.NewReader(`{"a":1}`))}, nil
}

func TestMemoAsksOnce(t *testing.T) {
	t.Parallel()
	cases := []struct {
		method, path string
		want         int32
	}{
		{"GET", "/a", 1}, {"POST", "/a/listKeys", 1}, {"POST", "/a/config/appsettings/list", 1},
		{"PUT", "/a", 8}, {"POST", "/a/restart", 8},
	}
	for _, c := range cases {
		next := &counting{}
		ctx := WithMemo(t.Context())
		var g errgroup.Group
		for range 8 {
			g.Go(func() error {
				req, err := http.NewRequestWithContext(ctx, c.method, "https://x"+c.path, nil)
				if err != nil {
					return err
				}
				resp, err := Memo(next).Do(req)
				if err != nil {
					return err
				}
				body, err := io.ReadAll(resp.Body)
				if string(body) != `{"a":1}` {
					t.Errorf("body = %s", body)
				}
				return err
			})
		}
		if err := g.Wait(); err != nil {
			t.Fatal(err)
		}
		if got := next.n.Load(); got != c.want {
			t.Errorf("%s %s was sent %d times, want %d", c.method, c.path, got, c.want)
		}
	}
}

// TestMemoForgetsWhatPasses: an answer that may be another one at once, after a pause or
// with another token, is not kept.
func TestMemoForgetsWhatPasses(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]int32{200: 1, 403: 1, 404: 1, 401: 2, 429: 2, 500: 2, 503: 2} {
		next := &counting{status: status}
		ctx := WithMemo(t.Context())
		for range 2 {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://x/a", nil)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := Memo(next).Do(req)
			if err != nil || resp.StatusCode != status {
				t.Fatalf("%d: %v %v", status, resp, err)
			}
			resp.Body.Close()
		}
		if got := next.n.Load(); got != want {
			t.Errorf("%d was asked for %d times, want %d", status, got, want)
		}
	}
}
