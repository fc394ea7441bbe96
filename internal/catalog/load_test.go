package catalog

import "testing"

// BenchmarkHeads is what every start of the program pays.
func BenchmarkHeads(b *testing.B) {
	for b.Loop() {
		c, err := open(files)
		if err != nil {
			b.Fatal(err)
		}
		c.Support(nil)
	}
}

// BenchmarkEveryFile is the whole catalog, which no command needs.
func BenchmarkEveryFile(b *testing.B) {
	for b.Loop() {
		if _, err := read(files); err != nil {
			b.Fatal(err)
		}
	}
}
