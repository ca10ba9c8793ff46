package mirror

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/periscope-collector/periscope/internal/backoff"
)

const (
	gathering = 100 * time.Millisecond // for hints, after the first
	maxHints  = 1000                   // at once; for more everything is looked at
)

// Run does rounds until ctx ends: one for everything at once and then every so
// often, give or take a tenth, and one for hints soon after they come. When looking
// fails it hears nothing for 1 s, doubling up to 1 min, and when calls fail it goes
// on with hints; both end with a look at everything, so that no hint is lost.
func (r *Reconciler) Run(ctx context.Context, every time.Duration, hints <-chan Hint) {
	next := time.NewTimer(0) // look at everything
	defer next.Stop()
	var due time.Time // of that
	in := func(d time.Duration) {
		due = time.Now().Add(d)
		next.Reset(d)
	}
	var trouble backoff.Pause
	for {
		var about []Hint
		select {
		case <-ctx.Done():
			return
		case <-next.C:
		case h, ok := <-hints:
			if !ok {
				hints = nil
				continue
			}
			about = gather(ctx, h, hints)
		}
		report, err := r.Reconcile(ctx, about)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			trouble.Extend(time.Time{}, time.Second, time.Minute)
			r.c.Log.Warn("a round failed", "error", err, "again_in", trouble.Delay)
			switch {
			case report == nil:
				discard(ctx, trouble.Delay, hints)
				in(0)
			case about == nil:
				in(trouble.Delay)
			default: // hints that go on failing do not put it off
				in(min(trouble.Delay, max(time.Until(due), 0)))
			}
		case report.More:
			in(0)
		case about == nil:
			in(jitter(every))
			trouble = backoff.Pause{}
		}
	}
}

// gather returns the hints that come within a moment, each once; none if there are
// more than maxHints.
func gather(ctx context.Context, first Hint, hints <-chan Hint) []Hint {
	enough := time.After(gathering)
	seen := map[Hint]bool{first: true}
	list := []Hint{first}
	for {
		select {
		case <-ctx.Done():
			return list
		case <-enough:
			if len(list) > maxHints {
				return nil
			}
			return list
		case h, ok := <-hints:
			if !ok {
				hints = nil
			} else if !seen[h] && len(list) <= maxHints {
				seen[h] = true
				list = append(list, h)
			}
		}
	}
}

// discard drops hints for a while.
func discard(ctx context.Context, d time.Duration, hints <-chan Hint) {
	over := time.After(d)
	for {
		select {
		case <-ctx.Done():
			return
		case <-over:
			return
		case _, ok := <-hints:
			if !ok {
				hints = nil
			}
		}
	}
}

// jitter returns d, give or take a tenth, so that several do not ask together.
func jitter(d time.Duration) time.Duration {
	return d + time.Duration((rand.Float64()-0.5)/5*float64(d))
}
