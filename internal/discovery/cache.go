package discovery

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/periscope-collector/periscope/internal/backoff"
)

const (
	// refreshEvery is how often everything is described again, for names and
	// tags that changed.
	refreshEvery = 10 * time.Minute

	// What is not there is asked for again at the next look, and then at
	// intervals from absentShortest on.
	absentShortest = 30 * time.Second
	absentLongest  = 10 * time.Minute

	// What fails is tried again at intervals from failShortest on.
	failShortest = 30 * time.Second
	failLongest  = time.Minute
)

// A cache holds what AWS said of things by their ids. It belongs to one
// goroutine.
type cache[T any] struct {
	ask   func(ctx context.Context, ids []string) ([]T, error) // with an error, what it had until then
	id    func(*T) string
	apart time.Duration // between two answers that are to agree that something is gone

	items     map[string]*T     // nil: not there
	answers   map[string]answer // of those asked for, by id
	refreshed time.Time         // when all were due last
	failing   failure
}

// An answer is when AWS was asked for something with success, and how often in a
// row it was not there then, of which the pause is.
type answer struct {
	at     time.Time
	misses int
	backoff.Pause
}

func newCache[T any](d *Discovery, ask func(context.Context, []string) ([]T, error), id func(*T) string) cache[T] {
	return cache[T]{ask: ask, id: id, apart: d.poll}
}

// listed asks for all where some are wanted.
func listed[T any](list func(context.Context) ([]T, error)) func(context.Context, []string) ([]T, error) {
	return func(ctx context.Context, _ []string) ([]T, error) { return list(ctx) }
}

// fill asks for what is wanted and not known, and forgets what is not wanted.
// After an error what was known stays, what came before it is known, and only
// the rest is due.
func (c *cache[T]) fill(ctx context.Context, wanted map[string]bool, now time.Time) error {
	if c.items == nil {
		c.items, c.answers = make(map[string]*T), make(map[string]answer)
	}
	maps.DeleteFunc(c.items, func(id string, _ *T) bool { return !wanted[id] })
	maps.DeleteFunc(c.answers, func(id string, _ answer) bool { return !wanted[id] })
	if now.Sub(c.refreshed) >= refreshEvery {
		c.refreshed = now
	}
	var ids []string
	for id := range wanted {
		a := c.answers[id]
		if a.misses > 0 && a.Due(now) || a.misses == 0 && a.at.Before(c.refreshed) {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 || !c.failing.Due(now) {
		return c.failing.err
	}
	slices.Sort(ids)
	found, err := c.ask(ctx, ids)
	c.failing.result(err, now)
	there := make(map[string]*T, len(found))
	for i := range found {
		there[c.id(&found[i])] = &found[i]
	}
	for _, id := range ids {
		if there[id] != nil {
			c.items[id], c.answers[id] = there[id], answer{at: now}
		} else if err == nil {
			c.miss(id, now)
		}
	}
	return err
}

// miss takes it that something was not there. What was known is gone with the
// second answer that says so.
func (c *cache[T]) miss(id string, now time.Time) {
	a := c.answers[id]
	a.misses++
	switch known := c.items[id] != nil; {
	case a.misses > 1:
		a.Extend(now, absentShortest, absentLongest)
		c.items[id] = nil
	case known:
		a.Until = now.Add(c.apart)
	default: // AWS may be late: it is due at the next look
		c.items[id] = nil
	}
	c.answers[id] = a
}
