package api_test

import (
	"testing"

	"github.com/patchbay/patchbay/internal/api"
	"github.com/patchbay/patchbay/internal/api/apitest"
)

func TestDocumentsAreValid(t *testing.T) {
	t.Parallel()
	for _, v := range api.Versions() {
		if _, err := apitest.Load(v); err != nil {
			t.Errorf("%s: %v", v, err)
		}
	}
	if _, err := apitest.LoadPatchbay(); err != nil {
		t.Error(err)
	}
	if _, err := api.Document("2020-01-01"); err == nil {
		t.Error("an unknown version has a document")
	}
}
