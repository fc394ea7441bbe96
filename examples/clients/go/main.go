// Command clients holds a small program per data plane. Each runs with nothing but the
// settings that a connection wrote: it keeps something there and reads it back.
package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

// timeout is enough for any of them.
const timeout = time.Minute

type program func(ctx context.Context, word string) error

func programs() map[string]program {
	return map[string]program{
		"postgres": postgres, "mysql": mySQL, "redis": cache, "blob": blob, "queue": queue, "table": table, "kafka": kafka, "keyvault": keyVault, "appconfig": appConfig,
	}
}

func main() {
	all := programs()
	if len(os.Args) != 2 || all[os.Args[1]] == nil {
		var names []string
		for name := range all {
			names = append(names, name)
		}
		slices.Sort(names)
		fmt.Fprintln(os.Stderr, "usage: clients "+strings.Join(names, "|"))
		os.Exit(2)
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	if err := all[os.Args[1]](ctx, newWord()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		cancel()
		os.Exit(1)
	}
}

// want is what every program ends with.
func want(got, word string) error {
	if got != word {
		return fmt.Errorf("%q came back, not %q", got, word)
	}
	return nil
}
