package discovery

import (
	"context"
	"maps"
	"slices"
	"time"
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
	failLongest  = 5 * time.Minute
)

// A cache holds what AWS said of things by their ids. It belongs to one
// goroutine.
type cache[T any] struct {
	ask func(ctx context.Context, ids []string) ([]T, error)
	id  func(*T) string

	items     map[string]*T    // nil: not there
	absent    map[string]pause // of those not there
	refreshed time.Time        // when all were asked for
	failing   failure
}

// fill asks for what is wanted and not known, and forgets what is not wanted.
// After an error what was known stays.
func (c *cache[T]) fill(ctx context.Context, wanted map[string]bool, now time.Time) error {
	if c.items == nil {
		c.items, c.absent, c.refreshed = make(map[string]*T), make(map[string]pause), now
	}
	maps.DeleteFunc(c.items, func(id string, _ *T) bool { return !wanted[id] })
	maps.DeleteFunc(c.absent, func(id string, _ pause) bool { return !wanted[id] })
	all := now.Sub(c.refreshed) >= refreshEvery
	var ids []string
	for id := range wanted {
		item, known := c.items[id]
		p := c.absent[id]
		if all && item != nil || !known || item == nil && p.due(now) {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 || !c.failing.due(now) {
		return c.failing.err
	}
	slices.Sort(ids)
	found, err := c.ask(ctx, ids)
	if c.failing.result(err, now); err != nil {
		return err
	}
	if all {
		c.refreshed = now
	}
	c.take(ids, found, now)
	return nil
}

// take keeps an answer.
func (c *cache[T]) take(ids []string, found []T, now time.Time) {
	there := make(map[string]*T, len(found))
	for i := range found {
		there[c.id(&found[i])] = &found[i]
	}
	for _, id := range ids {
		before, known := c.items[id]
		c.items[id] = there[id]
		p := c.absent[id]
		switch {
		case there[id] != nil:
			delete(c.absent, id)
		case !known || before != nil:
			c.absent[id] = pause{} // AWS may be late
		default:
			p.extend(now, absentShortest, absentLongest)
			c.absent[id] = p
		}
	}
}
