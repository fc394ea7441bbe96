// Package cli is the command line of Patchbay: one file per command, each with
// its options, a constructor that only parses, and a run function that only acts.
//
// It speaks the Azure CLI's grammar for connections (webapp connection create
// redis --secret …) and adds what that tool cannot say: plans, drift, repair,
// operations. Data goes to standard output and nothing else does; notes, progress
// and errors go to standard error. It reaches an API, a local cloud and a server
// only through the functions of Deps, so that a command which needs none of them
// starts none of them. It decides nothing about the world, keeps no state, and
// never prints a secret that was not asked for.
package cli
