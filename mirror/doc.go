// Package mirror keeps mirror sessions in step with what is wanted: with rules it
// says which interfaces are to be mirrored, where to and how, and what has to be
// done for that.
//
//	rules ──┐
//	        ├─ Make ─> Plan ─> Reconciler ─> Cloud
//	state ──┘                      └─> changes
//
// Make is a pure function: of equal rules and states it makes equal plans, and it
// asks nobody. A Reconciler looks, plans, acts and says what it did; it may be
// stopped anywhere and begun anew, and another one may act at the same time: of
// what one does twice, the second time changes nothing. Both touch only sessions
// that have the owner's tag.
//
// A Reconciler remembers what AWS refuses, and for some minutes what it did and what
// failed: some 500 bytes for each interface about which there is something, and at
// most MaxUnwritten changes. A round takes some 2 KiB for each interface and session.
// Its methods may be called from any goroutine; the only one that goes on is Run.
//
// It does not know how AWS is asked: a Cloud does that.
package mirror
