package mirror

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/periscope-collector/periscope/internal/backoff"
	"github.com/periscope-collector/periscope/mirror/changes"
)

// A Config is what a Reconciler works with.
type Config struct {
	Rules   *Rules
	Cloud   Cloud
	Account string // twelve digits
	Region  string

	// Changes keeps a change. One that it does not take is kept and offered again,
	// unless the error is changes.ErrInvalid. Nil keeps none.
	Changes func(context.Context, changes.Change) error

	Now func() time.Time // nil means time.Now
	Log *slog.Logger     // nil means none
}

// A Reconciler makes what is what is wanted. Its methods may be called from any
// goroutine; one round at a time is done.
type Reconciler struct {
	c       Config
	round   sync.Mutex // held for a round, and for all below but refused
	echoes  echoes
	pauses  map[string]backoff.Pause // of calls that failed
	unsaid  unsaid
	noticed map[Notice]bool  // as logged last
	held    map[holding]bool // the same

	mu      sync.Mutex
	refused map[string][]Refused // by interface
}

// New returns a Reconciler that has done nothing yet.
func New(c Config) *Reconciler {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return &Reconciler{c: c, echoes: make(echoes), pauses: make(map[string]backoff.Pause),
		unsaid: unsaid{write: c.Changes, log: c.Log}, refused: make(map[string][]Refused)}
}

// A Report is what became of a round.
type Report struct {
	Plan    *Plan
	Results []Result // of the actions, in the order they were tried
	More    bool     // another round has something to do at once

	// Unwritten is how many changes are kept, since they could not be written;
	// Lost how many more than MaxUnwritten there were in this round.
	Unwritten, Lost int
}

// A Result is what became of an action.
type Result struct {
	Action  Action
	Outcome Outcome
	Session Session // that was made, with its id; else the action's
	Err     error   // unless it is done or delayed
}

// An Outcome says what became of an action.
type Outcome string

// All outcomes.
const (
	Done    Outcome = "done"
	Gone    Outcome = "gone"    // what it was about is not there; to delete it, that is as good
	Denied  Outcome = "refused" // by AWS; the same is tried again later
	Failed  Outcome = "failed"  // it may succeed in another round
	Delayed Outcome = "delayed" // to another round
)

// Plan looks, and says what Reconcile would do.
func (r *Reconciler) Plan(ctx context.Context, hints []Hint) (*Plan, error) {
	r.round.Lock()
	defer r.round.Unlock()
	_, plan, err := r.look(ctx, hints)
	return plan, err
}

// Reconcile does one round: it looks, plans and acts, with at most MaxActions calls.
// Without hints everything is looked at. The error says that looking failed, then
// there is no report, or that calls did that may succeed later, then there is one. A
// refusal is no error.
func (r *Reconciler) Reconcile(ctx context.Context, hints []Hint) (*Report, error) {
	r.round.Lock()
	defer r.round.Unlock()
	lasting, cancel := outlive(ctx)
	defer cancel()
	r.unsaid.again(lasting)
	state, plan, err := r.look(ctx, hints)
	if err != nil {
		return nil, err
	}
	r.forget(state, plan)
	r.notice(state, plan)
	report := &Report{Plan: plan}
	err = r.act(ctx, lasting, report)
	report.Unwritten, report.Lost = len(r.unsaid.list), r.unsaid.lost
	if report.Unwritten > 0 {
		r.c.Log.Warn("changes could not be written, and are kept", "changes", report.Unwritten, "lost", report.Lost, "error", r.unsaid.err)
	}
	return report, err
}

// look returns the state as it is believed to be, and the plan for it.
func (r *Reconciler) look(ctx context.Context, hints []Hint) (*State, *Plan, error) {
	state, err := r.c.Cloud.Look(ctx, hints)
	if err != nil {
		return nil, nil, fmt.Errorf("look at what is mirrored: %w", err)
	}
	now := r.c.Now()
	state.At = cmp.Or(state.At, now)
	state.Account = cmp.Or(state.Account, r.c.Account)
	r.echoes.correct(state, r.c.Rules.Owner, now)
	return state, Make(r.c.Rules, state, r.Refused()), nil
}

// Refused returns what AWS refuses at present, by interface.
func (r *Reconciler) Refused() map[string][]Refused {
	r.mu.Lock()
	defer r.mu.Unlock()
	refused := maps.Clone(r.refused)
	for id, list := range refused {
		refused[id] = slices.Clone(list)
	}
	return refused
}
