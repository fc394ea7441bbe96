// Command figures measures what release notes report: the size of the binary, how
// long the command line takes to start, the memory of an idle local cloud, and
// lines of test for each line of code.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/patchbay/patchbay/demo/outside"
)

func main() {
	binary := flag.String("patchbay", filepath.Join("bin", "patchbay"), "the built `binary`")
	flag.Parse()
	if err := measure(context.Background(), *binary); err != nil {
		fmt.Fprintln(os.Stderr, "figures:", err)
		os.Exit(1)
	}
}

func measure(ctx context.Context, binary string) (err error) {
	info, err := os.Stat(binary)
	if err != nil {
		return err
	}
	fmt.Printf("binary size                %6.1f MB\n", float64(info.Size())/1e6)
	program, err := outside.NewProgram(binary)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(program.Dir)) }()
	if err := startUp(ctx, program); err != nil {
		return err
	}
	if err := idle(ctx, program); err != nil {
		return err
	}
	return lines()
}

// startUp runs the cheapest command many times.
func startUp(ctx context.Context, p *outside.Program) error {
	const runs = 21
	var took []time.Duration
	for range runs {
		begun := time.Now()
		if _, err := p.Must(ctx, "version"); err != nil {
			return err
		}
		took = append(took, time.Since(begun))
	}
	slices.Sort(took)
	fmt.Printf("command line start-up      %6.1f ms (median of %d)\n", float64(took[runs/2])/float64(time.Millisecond), runs)
	return nil
}

// idle starts a local cloud and reads what it holds in memory, where the system tells.
func idle(ctx context.Context, p *outside.Program) error {
	begun := time.Now()
	cloud, err := outside.Start(ctx, p)
	if err != nil {
		return err
	}
	fmt.Printf("local cloud ready after    %6.2f s\n", time.Since(begun).Seconds())
	err = resident(ctx, p)
	return errors.Join(err, cloud.Stop(ctx))
}

func resident(ctx context.Context, p *outside.Program) error {
	out, err := p.Must(ctx, "local", "status", "-o", "json")
	if err != nil {
		return err
	}
	var status struct{ PID int }
	if err := json.Unmarshal([]byte(out), &status); err != nil {
		return fmt.Errorf("read local status: %w", err)
	}
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", status.PID))
	if errors.Is(err, fs.ErrNotExist) {
		fmt.Println("local cloud, idle            not told by this system")
		return nil
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			var kB float64
			if _, err := fmt.Sscan(rest, &kB); err != nil {
				return fmt.Errorf("read resident memory: %w", err)
			}
			fmt.Printf("local cloud, idle          %6.1f MB resident\n", kB*1024/1e6)
		}
	}
	return err
}

// lines counts Go source below the working directory, blank lines too. Packages
// named after what they test (ledgertest) count as test.
func lines() error {
	var code, test int
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && strings.HasPrefix(d.Name(), ".") && path != ".":
			return fs.SkipDir
		case filepath.Ext(path) != ".go":
			return nil
		}
		b, err := os.ReadFile(path)
		n := strings.Count(string(b), "\n")
		if strings.HasSuffix(path, "_test.go") || strings.HasSuffix(filepath.Dir(path), "test") {
			test += n
		} else {
			code += n
		}
		return err
	})
	fmt.Printf("lines                      %d code, %d test, %.2f test for each of code\n", code, test, float64(test)/float64(code))
	return err
}
