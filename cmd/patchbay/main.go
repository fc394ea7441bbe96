// Command patchbay joins apps to backing services and keeps them joined.
package main

import (
	"os"

	"github.com/patchbay/patchbay/internal/app"
)

func main() {
	os.Exit(app.Main(os.Args[1:]))
}
