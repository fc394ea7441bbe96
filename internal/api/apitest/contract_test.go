package apitest_test

import (
	"net/http"
	"testing"

	"github.com/patchbay/patchbay/internal/api"
	"github.com/patchbay/patchbay/internal/api/apitest"
)

const linker = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Web/sites/a/providers/Microsoft.ServiceLinker/linkers/c"

// The judge says no to what is not in the document.
func TestJudge(t *testing.T) {
	t.Parallel()
	c, err := apitest.Load(api.Newest)
	if err != nil {
		t.Fatal(err)
	}
	started := http.Header{"Azure-Asyncoperation": {"x"}, "Retry-After": {"1"}, "X-Patchbay-Operation": {"o"}}
	good := `{"id":"/i","name":"c","type":"t","properties":{"targetService":{"type":"AzureResource"},"provisioningState":"Accepted"}}`
	for name, judged := range map[string]struct {
		err error
		ok  bool
	}{
		"right":             {c.Response(http.MethodPut, linker, 201, started, []byte(good)), true},
		"an error":          {c.Response(http.MethodPut, linker, 404, nil, []byte(`{"error":{"code":"a","message":"b","details":[]}}`)), true},
		"a request":         {c.Request(http.MethodPost, linker+"/validateLinker", nil), true},
		"a component":       {c.Schema("Linker", []byte(good)), true},
		"header missing":    {c.Response(http.MethodPut, linker, 201, http.Header{}, []byte(good)), false},
		"status unknown":    {c.Response(http.MethodPut, linker, 202, started, []byte(good)), false},
		"route unknown":     {c.Response(http.MethodPut, "/elsewhere", 200, nil, nil), false},
		"request unknown":   {c.Request(http.MethodPut, "/elsewhere", nil), false},
		"no JSON":           {c.Response(http.MethodGet, linker, 200, nil, []byte("<html>")), false},
		"wrong body":        {c.Response(http.MethodGet, linker, 200, nil, []byte(`{"properties":7}`)), false},
		"error without":     {c.Response(http.MethodGet, linker, 404, nil, []byte(`{}`)), false},
		"component unknown": {c.Schema("Teapot", []byte(good)), false},
	} {
		if (judged.err == nil) != judged.ok {
			t.Errorf("%s: %v", name, judged.err)
		}
	}
	for _, wrong := range []string{"{", `{"openapi":"3.0.3","info":{"title":"t","version":"1"},"paths":{"/a":{"get":{}}}}`} {
		if _, err := apitest.Parse([]byte(wrong)); err == nil {
			t.Errorf("%s is taken for a document", wrong)
		}
	}
}
