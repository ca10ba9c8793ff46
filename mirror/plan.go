package mirror

import "time"

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
	Actions []Action // by verb: create, modify, delete; then by interface
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
	Token   string  // to create: of equal tokens only one session comes
}

// A Held is an interface that rules want mirrored, and is not, or not as they want.
type Held struct {
	Source  *Source
	Session Session // that it has; ID is "" for none
	Rule    string
	Reason  string
	Refused *Refused // what it waits for to pass, or nil
	Room    bool     // it waits for room, which a deletion may make
}

// A Notice is a quota that is near, at 80 %, or reached.
type Notice struct {
	Quota       string // sources of target, sessions of account, VNIs of range
	ID          string // of the target, or ""
	Used, Limit int    // once the plan is done
}

// A Refused is a wish that AWS did not grant, and until when it is not repeated.
type Refused struct {
	Refusal
	Session Session   // the wish; its ID is "" if it was to be made
	First   time.Time // when it was refused first
	At      time.Time // when it was refused last
	Until   time.Time // it waits
	Times   int       // from 1
}

// Make makes a plan. It is pure: of equal arguments it makes equal plans, and it
// keeps and changes none of them. refused is by interface.
func Make(rules *Rules, state *State, refused map[string][]Refused) *Plan { return &Plan{} }
