package connection

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestFileID: paths survive ids that are compared folded.
func TestFileID(t *testing.T) {
	t.Parallel()
	for _, names := range [][]string{{"/srv/app/compose.yaml", "web"}, {`C:\Apps\c.yml`, "Web-1"}, {"/a b/ü#?%.yaml", "x.y_z"}, {".", ".."}} {
		id := FileID(TypeComposeService, names...)
		back, err := FileNames(TypeComposeService, FoldID(id))
		if d := cmp.Diff(names, back); d != "" || err != nil {
			t.Errorf("%s: %v %s", id, err, d)
		}
		if !IsFile(id) || TypeOf(id) != TypeComposeService || strings.ContainsAny(id, " #?%\\") {
			t.Errorf("%s is no id", id)
		}
	}
	if _, err := FileNames(TypeEnvFile, FileID(TypeComposeService, "/a", "b")); err == nil {
		t.Error("an id of another type is read")
	}
	if IsFile("/subscriptions/s/resourceGroups/g/providers/Patchbay.Files/envFiles/x") {
		t.Error("a resource of the cloud is a file")
	}
}

func FuzzFileID(f *testing.F) {
	f.Add("/srv/App-1/.env")
	f.Fuzz(func(t *testing.T, path string) {
		if path == "" {
			return
		}
		back, err := FileNames(TypeEnvFile, FoldID(FileID(TypeEnvFile, path)))
		if err != nil || back[0] != path {
			t.Errorf("%q came back as %q, %v", path, back, err)
		}
	})
}
