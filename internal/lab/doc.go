// Package lab builds a mirror session out of the kernel's own parts, for tests:
// a client and a host that talk, and a collector that gets a copy of every
// frame on the host's interfaces, in VXLAN, as AWS VPC Traffic Mirroring sends
// it.
//
//	client            host                         collector
//	  m0 ──────────── m0 ─ tc mirred ─> x0 ┐
//	                                       ├─ u0 ─────── u0   UDP 4789
//	  m1 ──────────── m1 ─ tc mirred ─> x1 ┘
//
// Each is a network namespace; nothing of the machine's own network is used or
// changed. The lab owns the namespaces and every program started in them, and
// removes both when the test ends, or, where a test was killed, when the next
// lab is built. It needs root, Linux and a few programs; a test that cannot
// have them is skipped with the reason and the remedy, or fails where the
// environment says CI=true.
//
// Methods fail the test rather than return an error, and are for the test's
// own goroutine. Only _test files import this package.
package lab
