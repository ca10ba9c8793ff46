package mirror

import (
	"cmp"
	"slices"
	"time"
)

// A Verb is what an Action does to a session.
type Verb string

// All verbs.
const (
	Create Verb = "create"
	Modify Verb = "modify"
	Delete Verb = "delete"
)

// A Plan is what has to be done, in this order, so that what is becomes what is
// wanted; and what cannot be done.
type Plan struct {
	Actions []Action // to create, to modify, to delete; each by interface
	Held    []Held   // by interface
	Notices []Notice
}

// An Action makes, changes or deletes one session.
type Action struct {
	Verb    Verb
	Session Session // as it shall be; as it is, to delete it
	Before  Session // as it is, to modify it
	Source  *Source // nil if it is not known
	Rule    string  // that wants it; "" to delete
	Reason  string  // in a few words
	Token   string  // to create: of equal tokens one session comes
}

// A Held is an interface that is not as rules want it, and cannot be made so now.
type Held struct {
	Source  *Source // nil if it is not known
	Session Session // that it has; only InterfaceID is set if it has none
	Rule    string  // "" if no rule wants the session, or it is not known which does
	Reason  string
	Refused *Refused // that it waits after, or nil
	Room    bool     // it waits for room, which a deletion may make
}

// A Notice is a quota that is near, at 80 %, or reached. What the plan makes is
// counted, what it deletes too: that goes last.
type Notice struct {
	Quota       string // which one: QuotaSources, QuotaSessions or QuotaVNIs
	ID          string // of the target of QuotaSources
	Used, Limit int
}

// A Refused is a wish that AWS did not grant, and until when it is not repeated.
type Refused struct {
	Refusal
	Session Session   // the wish; its ID is "" if it was to be made
	First   time.Time // when it was refused first
	At      time.Time // when it was refused last
	Until   time.Time // it waits
	Times   int       // from 1

	restored bool // from changes, and not refused again since
}

// about reports whether s is the same wish. Which one of the range its VNI is,
// nobody wished for.
func (r *Refused) about(s *Session, own VNIRange) bool {
	return r.Session.ID == s.ID && r.Session.InterfaceID == s.InterfaceID &&
		r.Session.TargetID == s.TargetID && r.Session.FilterID == s.FilterID &&
		r.Session.Number == s.Number && r.Session.PacketLength == s.PacketLength &&
		(r.Session.VNI == s.VNI || own.has(r.Session.VNI) && own.has(s.VNI))
}

// Make makes a plan. It is pure: of equal arguments it makes equal plans, and it
// changes none of them; Sources of the plan are those of the state. refused is by
// interface.
func Make(rules *Rules, state *State, refused map[string][]Refused) *Plan {
	p := newPlanner(rules, state, refused)
	for _, s := range p.sources {
		p.source(s)
	}
	for id, sessions := range p.own {
		if _, known := p.known[id]; !known && (p.gone[id] || state.Whole && !state.fresh[id]) {
			p.remove(nil, sessions, "its interface is gone")
		}
	}
	order := map[Verb]int{Create: 0, Modify: 1, Delete: 2}
	slices.SortFunc(p.plan.Actions, func(a, b Action) int {
		return cmp.Or(cmp.Compare(order[a.Verb], order[b.Verb]),
			cmp.Compare(a.Session.InterfaceID, b.Session.InterfaceID), cmp.Compare(a.Session.ID, b.Session.ID))
	})
	slices.SortFunc(p.plan.Held, func(a, b Held) int {
		return cmp.Or(cmp.Compare(a.Session.InterfaceID, b.Session.InterfaceID), cmp.Compare(a.Session.ID, b.Session.ID))
	})
	p.notices()
	return p.plan
}
