package compose

import (
	"strings"
	"testing"
)

// files are Compose files as people write them; each has a service web.
var files = map[string]string{
	"plain":     "services:\n  web:\n    image: x\n",
	"comments":  "# top\nname: a # n\n\nservices:\n  # about web\n  web: # here\n    # image below\n    image: x   # why\n\n    ports:\n      - \"80:80\" # p\n  db:\n    image: y\n",
	"no end":    "services:\n  web:\n    env_file:\n      - a.env\n      - b.env",
	"no end 2":  "services:\n  web:\n    image: x",
	"crlf":      "services:\r\n  web:\r\n    image: \"a\\tb\"\r\n    env_file:\r\n      - a.env\r\n",
	"tab":       "services:\n  web:\n    command: \"a\tb\"\n    image: 'x\ty'\n",
	"scalar":    "services:\n  web:\n    env_file: a.env   # theirs\n    image: x\n",
	"quoted":    "services:\n  web:\n    env_file: 'a b.env'\n    image: x\n",
	"flow list": "services:\n  web:\n    env_file: [ a.env, \"b.env\" ] # two\n    image: x\n",
	"flow one":  "services:\n  web:\n    env_file: [a.env]\n    image: x\n",
	"flow none": "services:\n  web:\n    env_file: []\n    image: x\n",
	"flow wide": "services:\n  web:\n    env_file: [\n      a.env, # one\n      b.env,\n    ]\n    image: x\n",
	"long":      "services:\n  web:\n    env_file:\n      - path: a.env\n        required: false\n      - path: b.env # last\n        required: true\n\n    image: x\n",
	"dashes":    "services:\n  web:\n    env_file:\n    - a.env\n    image: x\n",
	"anchors":   "x-a: &a\n  image: x\n  logging: &l {driver: none}\nservices:\n  web:\n    <<: *a\n    labels: &lab\n      q: \"1\"\n  db:\n    <<: *a\n    labels: *lab\n",
	"flow map":  "services:\n  web: {image: x, ports: [\"80:80\"]}\n",
	"json":      "{\"services\": {\"web\": {\"image\": \"x\"}, \"db\": {\"image\": \"y\"}}}\n",
	"literal":   "services:\n  web:\n    image: x\n    command: |+\n      a\n      b\n\n\n",
	"secrets":   "services:\n  web:\n    image: x\n    secrets:\n      - theirs\nsecrets:\n  theirs: # s\n    file: ./t\nvolumes: {}\n",
	"documents": "services:\n  web:\n    image: x\n---\nservices:\n  other:\n    image: y\n",
	"bom":       "\ufeffservices:\n  web:\n    image: x\n",
	"multiline": "services:\n  web:\n    image: x\n    env_file:\n      - a.env\n      - >-\n        b.env\n\n    tty: true\n",
	"marked":    "services: # patchbay\n  web:\n    image: x # patchbay\n",
}

func mustParse(t *testing.T, raw []byte) *document {
	t.Helper()
	d, err := parse(raw)
	if err != nil {
		t.Fatalf("%v in:\n%s", err, raw)
	}
	return d
}

var at = service{"/srv/compose.yaml", "web"}

// TestEntries: an entry comes and goes in every way of writing, and leaves no byte behind.
func TestEntries(t *testing.T) {
	t.Parallel()
	for name, text := range files {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, second := at.envList("./.patchbay/web.env"), at.envList("./more$.env")
			before := mustParse(t, []byte(text))
			first, err := l.add(before, "./.patchbay/web.env")
			if err != nil {
				t.Fatal(err)
			}
			both, err := second.add(mustParse(t, first), "./more$.env")
			if err != nil {
				t.Fatalf("%v in:\n%s", err, first)
			}
			for _, line := range strings.Split(strings.TrimRight(text, "\r\n"), "\n") {
				if !strings.Contains(line, "env_file") && name != "json" && name != "flow map" && !strings.Contains(string(both), line) {
					t.Errorf("the line %q is gone:\n%s", line, both)
				}
			}
			secret, err := editSecret(mustParse(t, both), at, "web_A", "./.patchbay/secrets/web/A", true)
			if err != nil {
				t.Fatalf("%v in:\n%s", err, both)
			}
			again, err := editSecret(mustParse(t, secret), at, "web_A", "./.patchbay/secrets/web/A", false)
			if err != nil || string(again) != string(both) {
				t.Errorf("%v after the secret:\n%s\nwas:\n%s\nwith it:\n%s", err, again, both, secret)
			}
			less, err := second.drop(mustParse(t, both))
			if err != nil || string(less) != string(first) {
				t.Errorf("%v after the second:\n%s\nwas:\n%s", err, less, first)
			}
			back, err := l.drop(mustParse(t, less))
			if err != nil || string(back) != text {
				t.Errorf("%v back:\n%q\nwas:\n%q\nwith:\n%q", err, back, text, first)
			}
			if other, err := l.drop(mustParse(t, both)); err != nil || l.has(mustParse(t, other)) || !second.has(mustParse(t, other)) {
				t.Errorf("the first alone: %v\n%s", err, other)
			}
		})
	}
}

// TestRefusedEdits: what would change another part of the file is refused with a reason.
func TestRefusedEdits(t *testing.T) {
	t.Parallel()
	for text, why := range map[string]string{
		"services:\n  web: &w\n    image: x\n  two:\n    <<: *w\n":                                        "other parts",
		"x: &x\n  env_file: [a]\nservices:\n  web:\n    <<: *x\n":                                         "hide",
		"x: &x [a]\nservices:\n  web:\n    env_file: *x\n":                                                "shared",
		"services:\n  web:\n    env_file: &e [a]\n    image: x\n  two:\n    env_file: *e\n    image: y\n": "shared",
		"services:\n  web: null\n":                                                                        "written out",
		"services:\n  two: {}\n":                                                                          "no such",
		"services:\n  web:\n    env_file:\n    image: x\n":                                                "cannot be added",
		"services:\n  web:\n    env_file: {a: b}\n    b: c":                                               "cannot be added",
	} {
		raw, err := at.envList("./o.env").add(mustParse(t, []byte(text)), "./o.env")
		if err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%q gave %v\n%s", text, err, raw)
		}
	}
}

func FuzzSplice(f *testing.F) {
	for _, text := range files {
		f.Add(text, "web")
	}
	f.Fuzz(func(t *testing.T, text, name string) {
		d, err := parse([]byte(text))
		if err != nil {
			return
		}
		one := service{"/srv/compose.yaml", name}
		for _, l := range []list{one.envList("./o.env"), one.secretList("s")} {
			was := l.has(d)
			raw, err := l.add(d, "./o.env")
			if l.key == keySecrets {
				raw, err = l.add(d, "s")
			}
			if err != nil || was {
				continue
			}
			after, err := parse(raw)
			if err != nil || !l.has(after) || l.rest(after) != l.rest(d) {
				t.Fatalf("%v\n%q\n%q", err, text, raw)
			}
			back, err := l.drop(after)
			if err != nil {
				t.Fatalf("%v\n%q\n%q", err, text, raw)
			}
			if last, err := parse(back); err != nil || l.has(last) || l.rest(last) != l.rest(d) {
				t.Fatalf("%v\n%q\n%q\n%q", err, text, raw, back)
			}
		}
		s := declared{"web_A"}
		if s.has(d) {
			return
		}
		raw, err := s.add(d, "./f")
		if err != nil {
			return
		}
		after, err := parse(raw)
		if err != nil || !s.has(after) {
			t.Fatalf("%v\n%q\n%q", err, text, raw)
		}
		if _, err := s.drop(after); err != nil {
			t.Fatalf("%v\n%q\n%q", err, text, raw)
		}
	})
}
