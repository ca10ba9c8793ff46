package mirror

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/periscope-collector/periscope/mirror/changes"
)

const (
	// MaxActions is how many calls change something in one round at most.
	MaxActions = 100

	// maxStreak is after how many failures in a row the round goes on with
	// another kind of call: a service that is away need not be asked a hundred times.
	maxStreak = 5

	// LastCall is how long a call that is under way when the context of a round ends may
	// still take, together with writing what it changed: else a process that is stopped
	// leaves sessions of which nobody says anything.
	LastCall = 3 * time.Second
)

// outlive returns a context that ends LastCall later.
func outlive(ctx context.Context) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(LastCall, cancel) })
	return longer, func() { stop(); cancel() }
}

// act does what the plan says. When ctx ends it begins no other call; those under way
// have lasting.
func (r *Reconciler) act(ctx, lasting context.Context, report *Report) error {
	actions := slices.Clone(report.Plan.Actions)
	removing := func(a Action) int {
		if a.Verb == Delete {
			return 1
		}
		return 0
	}
	// What failed goes last, so that it holds up nothing else.
	slices.SortStableFunc(actions, func(a, b Action) int {
		return cmp.Or(removing(a)-removing(b), r.pauses[a.key()].Until.Compare(r.pauses[b.key()].Until))
	})
	var tried, failed, streak, freed int
	var first error
	for i, a := range actions {
		if i > 0 && removing(a) != removing(actions[i-1]) {
			streak = 0
		}
		result := Result{Action: a, Outcome: Delayed, Session: a.Session}
		if tried == MaxActions {
			report.More = true
		} else if paused := r.pauses[a.key()]; ctx.Err() == nil && streak < maxStreak && paused.Due(r.c.Now()) {
			tried++
			streak++
			r.do(lasting, &result)
		}
		switch result.Outcome {
		case Failed:
			failed++
			first = cmp.Or(first, fmt.Errorf("%s session of %s: %w", a.Verb, a.Session.InterfaceID, result.Err))
		case Done, Gone, Denied:
			streak = 0
		}
		if a.Verb == Delete && (result.Outcome == Done || result.Outcome == Gone) {
			freed++
		}
		// A session that is gone can be made, and another target may have room.
		report.More = report.More || result.Outcome == Gone && (a.Verb == Modify || errors.Is(result.Err, errStale)) || result.Outcome == Denied && elsewhere(result.Err)
		report.Results = append(report.Results, result)
	}
	report.More = report.More || freed > 0 && slices.ContainsFunc(report.Plan.Held, func(h Held) bool { return h.Room })
	if first != nil {
		return fmt.Errorf("%d of %d calls failed, the first: %w", failed, tried, first)
	}
	return nil
}

// elsewhere reports whether a refusal is one that another target may not get.
func elsewhere(err error) bool {
	var refusal *Refusal
	return errors.As(err, &refusal) && ofTarget[refusal.Code]
}

// key tells calls apart: of each there is one in a round.
func (a *Action) key() string { return string(a.Verb) + a.Session.InterfaceID + a.Session.ID }

// do does one action, and takes down what became of it.
func (r *Reconciler) do(ctx context.Context, result *Result) {
	a := &result.Action
	var made Session
	var err error
	switch a.Verb {
	case Create:
		if made, err = r.c.Cloud.Create(ctx, a.Session, a.Token); err == nil {
			err = r.given(&made, r.c.Now())
		}
		result.Session.ID = made.ID
		result.Session.OwnerID = cmp.Or(made.OwnerID, a.Session.OwnerID)
	case Modify:
		err = r.c.Cloud.Modify(ctx, a.Session)
	case Delete:
		err = r.c.Cloud.Delete(ctx, a.Session.ID)
	}
	now := r.c.Now()
	var refusal *Refusal
	switch {
	case err == nil:
		result.Outcome = Done
		r.succeeded(ctx, result, now)
	case errors.Is(err, errStale):
		result.Outcome, result.Err = Gone, err
		r.c.Log.Info("a session is made once more: AWS answers with one of before, which is gone", append(about(a), "session", made.ID)...)
	case errors.Is(err, ErrGone):
		result.Outcome, result.Err = Gone, err
		r.missed(ctx, result, now)
	case errors.As(err, &refusal):
		result.Outcome, result.Err = Denied, err
		r.deny(ctx, a, *refusal, now)
	default:
		result.Outcome, result.Err = Failed, err
		r.pause(a, now)
		r.c.Log.Warn("a call failed, and will be tried again", append(about(a), "error", err)...)
	}
}

func (r *Reconciler) succeeded(ctx context.Context, result *Result, now time.Time) {
	a := &result.Action
	delete(r.pauses, a.key())
	said := a.Verb == Create && r.echoes[result.Session.ID].said
	r.echoes[result.Session.ID] = echo{session: result.Session, gone: a.Verb == Delete, said: true, at: now}
	r.mu.Lock()
	delete(r.refused, a.Session.InterfaceID)
	r.mu.Unlock()
	kind := map[Verb]string{Create: changes.Created, Modify: changes.Modified, Delete: changes.Deleted}[a.Verb]
	r.c.Log.Info("session "+kind, append(about(a), "session", result.Session.ID, "reason", a.Reason)...)
	if !said {
		r.say(ctx, a.change(kind, &result.Session, now))
	}
}

// missed takes down that what an action was about is not there. An interface that
// is not there may be listed for some time, one that is new may not be there yet.
func (r *Reconciler) missed(ctx context.Context, result *Result, now time.Time) {
	switch a := &result.Action; a.Verb {
	case Create:
		r.pause(a, now)
		r.c.Log.Info("an interface is gone before it was mirrored", about(a)...)
	case Modify:
		r.echoes[a.Session.ID] = echo{session: a.Before, gone: true, at: now}
	case Delete:
		r.succeeded(ctx, result, now)
	}
}

// about returns what a log line says of an action.
func about(a *Action) []any {
	args := []any{"interface", a.Session.InterfaceID, "target", a.Session.TargetID, "vni", a.Session.VNI}
	if a.Rule != "" {
		args = append(args, "rule", a.Rule)
	}
	if a.Source != nil && a.Source.Task != nil {
		args = append(args, slog.String("task", a.Source.Task.ARN))
	}
	return args
}

// pause keeps a call that failed from being made again at once.
func (r *Reconciler) pause(a *Action, now time.Time) {
	p := r.pauses[a.key()]
	p.Extend(now, time.Second, time.Minute)
	r.pauses[a.key()] = p
}
