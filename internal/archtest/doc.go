// Package archtest holds the tests of how packages may import each other. It
// has no code of its own.
package archtest
