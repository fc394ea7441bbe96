package seal

import (
	"encoding/base64"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
)

// asChild makes the test binary print the fingerprint of a text and end, as another
// process that opens the same key file.
const asChild = "SEAL_TEST_KEY_FILE"

func TestMain(m *testing.M) {
	if path := os.Getenv(asChild); path != "" {
		b, err := OpenKeyFile(path)
		if err != nil {
			os.Stderr.WriteString(err.Error())
			os.Exit(1)
		}
		os.Stdout.WriteString(b.MAC("text"))
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func TestKeyFileIsCreatedOnceForItsOwnerAlone(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "deep", "er", "key")
	a, err := OpenKeyFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b, err := OpenKeyFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if a.MAC("x") != b.MAC("x") {
		t.Error("second opening has another key")
	}
	if runtime.GOOS == "windows" {
		return
	}
	for p, want := range map[string]fs.FileMode{path: 0o600, filepath.Dir(path): 0o700} {
		info, err := os.Stat(p)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != want {
			t.Errorf("%s has mode %#o", filepath.Base(p), info.Mode().Perm())
		}
	}
	left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), ".key-*"))
	if len(left) != 0 {
		t.Errorf("left over: %v", left)
	}
}

func TestRacingGoroutinesEndWithOneKey(t *testing.T) {
	t.Parallel()
	path, macs := filepath.Join(t.TempDir(), "key"), make([]string, 32)
	var wg sync.WaitGroup
	for i := range macs {
		wg.Go(func() {
			b, err := OpenKeyFile(path)
			if err != nil {
				t.Error(err)
				return
			}
			macs[i] = b.MAC("text")
		})
	}
	wg.Wait()
	for _, m := range macs {
		if m != macs[0] {
			t.Fatal("two keys")
		}
	}
}

func TestRacingProcessesEndWithOneKey(t *testing.T) {
	t.Parallel()
	path, macs := filepath.Join(t.TempDir(), "key"), make([]string, 4)
	var wg sync.WaitGroup
	for i := range macs {
		wg.Go(func() {
			c := exec.Command(os.Args[0])
			c.Env = append(os.Environ(), asChild+"="+path)
			out, err := c.CombinedOutput()
			if err != nil {
				t.Errorf("%v: %s", err, out)
			}
			macs[i] = string(out)
		})
	}
	wg.Wait()
	for _, m := range macs {
		if m != macs[0] || m == "" {
			t.Fatal("two keys")
		}
	}
}

func TestKeyFileRefusals(t *testing.T) {
	t.Parallel()
	key := base64.StdEncoding.EncodeToString(make([]byte, KeySize))
	for name, c := range map[string]struct {
		text string
		mode fs.FileMode
		want string
	}{
		"group may read":   {keyPrefix + key, 0o640, "chmod 600"},
		"others may read":  {keyPrefix + key, 0o604, "chmod 600"},
		"others may write": {keyPrefix + key, 0o602, "chmod 600"},
		"empty":            {"", 0o600, "not a patchbay key file"},
		"something else":   {"hello", 0o600, "not a patchbay key file"},
		"short key":        {keyPrefix + key[:20], 0o600, "damaged"},
		"no key":           {keyPrefix, 0o600, "damaged"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "key")
			if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(path, c.mode); err != nil {
				t.Fatal(err)
			}
			_, err := OpenKeyFile(path)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, want %q", err, c.want)
			}
			if strings.Contains(err.Error(), key[:20]) {
				t.Error("the error holds the key")
			}
			if got, _ := os.ReadFile(path); string(got) != c.text {
				t.Error("the file was changed")
			}
		})
	}
}

func TestKeyFileMustBeAFile(t *testing.T) {
	t.Parallel()
	if _, err := OpenKeyFile(t.TempDir()); err == nil {
		t.Error("a folder was accepted")
	}
	plain := filepath.Join(t.TempDir(), "plain")
	if err := os.WriteFile(plain, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenKeyFile(filepath.Join(plain, "key")); err == nil {
		t.Error("a file below a file was accepted")
	}
}

func FuzzParseKey(f *testing.F) {
	f.Add(keyPrefix + base64.StdEncoding.EncodeToString(make([]byte, KeySize)))
	f.Add("patchbay-key-1")
	f.Add("patchbay-key-1 AAAA\n")
	f.Fuzz(func(t *testing.T, text string) {
		if key, err := parseKey(text); err == nil && len(key) != KeySize {
			t.Fatalf("key of %d bytes", len(key))
		}
	})
}
