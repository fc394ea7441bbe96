package api_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/patchbay/patchbay/internal/api"
	"github.com/patchbay/patchbay/internal/api/apitest"
	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/problem"
)

const somewhere = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Web/sites/shop/providers/Microsoft.ServiceLinker/linkers/c1"

// Every wrong body is caught twice: by the published document, and by the server's
// own reading, which names the member.
func TestWrongBodies(t *testing.T) {
	t.Parallel()
	for _, v := range api.Versions() {
		contract, err := apitest.Load(v)
		if err != nil {
			t.Fatal(err)
		}
		archive, err := txtar.ParseFile("testdata/wrong/" + string(v) + ".txtar")
		if err != nil {
			t.Fatal(err)
		}
		if len(archive.Files) < 10 {
			t.Errorf("%s: only %d wrong bodies", v, len(archive.Files))
		}
		for _, f := range archive.Files {
			t.Run(string(v)+" "+f.Name, func(t *testing.T) {
				words := strings.Fields(f.Name)
				method, pointer := words[1], words[2]
				if err := contract.Request(strings.ToUpper(method), somewhere, f.Data); err == nil {
					t.Error("the document accepts it")
				}
				if method == "put" {
					_, _, err = api.Decode(v, f.Data)
				} else {
					_, _, err = api.Merge(v, &connection.Connection{}, f.Data)
				}
				if !problem.Is(err, problem.BodyInvalid) {
					t.Fatalf("the server says %v", err)
				}
				if got := problem.As(err).Resource; got != pointer || !strings.Contains(err.Error(), pointer) {
					t.Errorf("the server blames %q: %v", got, err)
				}
			})
		}
	}
}

// What the cases of TestBodies send, the document of their version takes; what the
// server would answer to a GET, too.
func TestRightBodies(t *testing.T) {
	t.Parallel()
	contracts := map[api.Version]*apitest.Contract{}
	for _, v := range api.Versions() {
		c, err := apitest.Load(v)
		if err != nil {
			t.Fatal(err)
		}
		contracts[v] = c
	}
	// These leave a required secret out because it is stored.
	lenient := map[string]bool{"what a GET answered comes back without its secret": true, "a stored service principal needs no repeating": true}
	for file, method := range map[string]string{"put": http.MethodPut, "replace": http.MethodPut, "patch": http.MethodPatch} {
		for name, c := range cases(t, "testdata/bodies/"+file+".txtar") {
			body := c["given"]
			if name == "empty strings and nulls mean absent" {
				body = strings.Replace(body, `"id": 7, "name": ["ignored"], `, "", 1)
			}
			err := contracts[api.Version(c["version"])].Request(method, somewhere, []byte(body))
			if (err != nil) != lenient[name] {
				t.Errorf("%s: %v", name, err)
			}
			checkAnswers(t, contracts, name, c["want"])
		}
	}
}
