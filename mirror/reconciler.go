package mirror

import (
	"context"
	"log/slog"
	"time"

	"github.com/periscope-collector/periscope/mirror/changes"
)

// A Config is what a Reconciler works with.
type Config struct {
	Rules   *Rules
	Cloud   Cloud
	Account string // twelve digits
	Region  string

	// Changes keeps a change. One that it does not take is kept and offered again.
	// Nil keeps none.
	Changes func(context.Context, changes.Change) error

	Now func() time.Time // nil means time.Now
	Log *slog.Logger     // nil means none
}

// A Reconciler makes what is what is wanted. Its methods may be called from any
// goroutine; one round at a time is done.
type Reconciler struct{}

// New returns a Reconciler that has done nothing yet.
func New(c Config) *Reconciler { return &Reconciler{} }

// Restore takes the refusals of changes in order of time, so that a process that
// begins anew waits as the one before did. Those of the last day will do. It is to be
// called before anything else.
func (r *Reconciler) Restore(list []changes.Change) {}

// Plan looks, and says what Reconcile would do.
func (r *Reconciler) Plan(ctx context.Context, hints []Hint) (*Plan, error) { return &Plan{}, nil }

// Reconcile does one round: it looks, plans and acts. Without hints everything is
// looked at. The error says that looking failed, then there is no report, or that
// calls did which may succeed later. A refusal is no error.
func (r *Reconciler) Reconcile(ctx context.Context, hints []Hint) (*Report, error) {
	return &Report{Plan: &Plan{}}, nil
}

// Run does rounds until ctx ends: one for everything at once and then every so
// often, give or take a tenth, and one for hints soon after they come.
func (r *Reconciler) Run(ctx context.Context, every time.Duration, hints <-chan Hint) {}

// Refused returns what AWS refuses at present, by interface.
func (r *Reconciler) Refused() map[string][]Refused { return nil }

// A Report is what became of a round.
type Report struct {
	Plan    *Plan
	Results []Result // of the actions, in the order they were tried
	More    bool     // another round has something to do at once

	// Unwritten is how many changes are kept, since they could not be written;
	// Lost how many had to make room for later ones in this round.
	Unwritten, Lost int
}

// A Result is what became of an action.
type Result struct {
	Action  Action
	Outcome Outcome
	Session Session // that was made, with its id; else the action's
	Err     error   // of Refused and Failed
}

// An Outcome says what became of an action.
type Outcome string

// All outcomes.
const (
	Done    Outcome = "done"
	Gone    Outcome = "gone"    // what it was about is not there; to delete it, that is as good
	Denied  Outcome = "refused" // by AWS; it is tried again later
	Failed  Outcome = "failed"  // it may succeed in the next round
	Delayed Outcome = "delayed" // not tried in this round
)
