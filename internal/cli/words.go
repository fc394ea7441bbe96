package cli

import (
	"io"
	"os"
	"strings"

	"github.com/spf13/pflag"

	"github.com/patchbay/patchbay/internal/problem"
)

// Options that take the words after them, as the Azure CLI has them. The parser
// underneath knows one value per option only, so expandWords rewrites
// "--secret name=u secret=p" to "--secret=name=u --secret=secret=p".
func wordOptions() map[string]wordKind {
	return map[string]wordKind{
		"secret": manyWords, "system-identity": manyWords, "user-identity": manyWords,
		"service-principal": manyWords, "workload-identity": manyWords, "user-account": manyWords, "opt-out": manyWords,
		"customized-keys": manyWords, "roles": manyWords, "access-key": manyWords, "connstr-props": manyWords, "fact": manyWords,
		"dapr-metadata": manyWords, "dapr-scopes": manyWords,
		"service-endpoint": oneBool, "private-endpoint": oneBool,
	}
}

type wordKind int

const (
	manyWords wordKind = iota + 1 // any number of words, up to the next option
	oneBool                       // nothing, or one of true and false
)

// expandWords gives every word of a many-word option its own option. It keeps the
// order, touches nothing after "--", and leaves shell completion alone.
func expandWords(args []string) []string {
	if len(args) > 0 && strings.HasPrefix(args[0], "__complete") {
		return args
	}
	kinds := wordOptions()
	out := make([]string, 0, len(args))
	for i := 0; i < len(args); i++ {
		if args[i] == "--" {
			return append(out, args[i:]...)
		}
		name, isOption := strings.CutPrefix(args[i], "--")
		bare, _, hasValue := strings.Cut(name, "=")
		kind := kinds[bare]
		switch {
		case !isOption || kind == 0:
			out = append(out, args[i])
		case kind == oneBool:
			if !hasValue && i+1 < len(args) && isBool(args[i+1]) {
				i++
				out = append(out, "--"+bare+"="+strings.ToLower(args[i]))
				continue
			}
			out = append(out, args[i])
		default:
			n := wordsAfter(args[i+1:])
			if hasValue || n == 0 {
				out = append(out, withEquals(args[i], hasValue))
			}
			for _, word := range args[i+1 : i+1+n] {
				out = append(out, "--"+bare+"="+word)
			}
			i += n
		}
	}
	return out
}

func withEquals(arg string, has bool) string {
	if has {
		return arg
	}
	return arg + "="
}

// wordsAfter counts the words up to the next option.
func wordsAfter(args []string) int {
	for i, a := range args {
		if strings.HasPrefix(a, "-") {
			return i
		}
	}
	return len(args)
}

func isBool(word string) bool {
	w := strings.ToLower(word)
	return w == "true" || w == "false"
}

// aliasFlags gives options their second long names.
func aliasFlags(_ *pflag.FlagSet, name string) pflag.NormalizedName {
	if name == "tg" {
		name = "target-resource-group"
	}
	return pflag.NormalizedName(name)
}

// wordList is an option of many words. Given tells "not there" from "there, without words".
type wordList struct {
	Given bool
	Words []string
	bare  bool // takes no words, for help
}

// Set takes one word; an empty one only says that the option is there.
func (w *wordList) Set(word string) error {
	w.Given = true
	if word != "" {
		w.Words = append(w.Words, word)
	}
	return nil
}

// String prints nothing: words may be secrets, and help shows defaults.
func (w *wordList) String() string { return "" }

// Type is the word in help; the parser underneath prints none for bool.
func (w *wordList) Type() string {
	if w.bare {
		return "bool"
	}
	return "words"
}

// pairs reads NAME=VALUE words. allowed lists the names, nil allows any. An error
// never repeats a value. Names of a fixed list compare folded, as the Azure CLI does.
func (w *wordList) pairs(option string, allowed []string) (map[string]string, error) {
	out := make(map[string]string, len(w.Words))
	for i, word := range w.Words {
		name, value, ok := strings.Cut(word, "=")
		if !ok || name == "" {
			return nil, usage("word %d after %s is not NAME=VALUE", i+1, option)
		}
		if allowed != nil {
			name = strings.ToLower(name)
			if !contains(allowed, name) {
				return nil, usage("%s knows no %s=; %s", option, name, oneOf(name, allowed))
			}
		}
		if _, twice := out[name]; twice {
			return nil, usage("%s has %s= twice", option, name)
		}
		out[name] = value
	}
	return out, nil
}

// secretValue reads a secret that may be somewhere else than on the command line:
// @FILE is a file's content, - is standard input, @@TEXT is the text @TEXT. One
// line break at the end is dropped.
func secretValue(text string, stdin io.Reader) (string, error) {
	switch {
	case text == "-":
		return readSecret("standard input", func() ([]byte, error) { return io.ReadAll(io.LimitReader(stdin, maxSecret+1)) })
	case strings.HasPrefix(text, "@@"):
		return text[1:], nil
	case strings.HasPrefix(text, "@"):
		return readSecret(text[1:], func() ([]byte, error) { return os.ReadFile(text[1:]) })
	}
	return text, nil
}

// maxSecret bounds what is read as a secret, in bytes.
const maxSecret = 64 << 10

func readSecret(from string, read func() ([]byte, error)) (string, error) {
	b, err := read()
	if err != nil {
		// The name may itself be a password that begins with @.
		return "", problem.New(problem.UsageInvalid, "", "the file named after @ cannot be read").
			WithFix("give the path of a readable file, or write @@ for a secret that begins with @")
	}
	if len(b) > maxSecret {
		return "", usage("%s holds more than %d bytes, which is no secret", from, maxSecret)
	}
	text := strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r")
	if text == "" {
		return "", usage("%s holds no secret", from)
	}
	return text, nil
}
