// Package interop holds Patchbay to clients it did not write: its tests (build tag
// interop, run by `make interop`, which installs the clients) drive the real Azure
// CLI through a connection's whole life against a local cloud, and after each
// command read the world by plain HTTP. What the CLI prints is checked too, but it
// is never the proof. Nothing of the product is imported.
package interop
