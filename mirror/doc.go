// Package mirror keeps mirror sessions in step with what is wanted: with rules it
// says which interfaces are to be mirrored, where to and how, and what has to be
// done for that.
//
//	rules ──┐
//	        ├─ Plan ─> actions ─> Reconciler ─> Cloud
//	state ──┘                        └─> changes
//
// Plan is a pure function: of equal rules and states it makes equal plans, and it
// asks nobody. A Reconciler looks, plans, acts and says what it did; it may be
// stopped anywhere and begun anew, and another one may act at the same time: of
// what one does twice, the second time changes nothing. Both touch only sessions
// that have the owner's tag.
//
// It does not know how AWS is asked: a Cloud does that.
package mirror
