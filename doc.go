// Package patchbay is the root of the module and holds no code: the program is in
// cmd/patchbay, everything it is made of under internal. What is here beside this
// comment are the tests that hold the source tree to its own rules.
package patchbay
