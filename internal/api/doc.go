// Package api holds the wire types of the server: Microsoft.ServiceLinker per
// api-version, our own Patchbay namespace, and the client both faces use.
//
// It promises one internal model (package connection) projected per version:
// what a version does not know is dropped on output and ignored on input. It
// opens no listener and decides nothing.
package api
