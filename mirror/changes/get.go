package changes

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"sync/atomic"
)

const (
	// atOnce is how many objects are got at the same time.
	atOnce = 8

	// maxFailures is how many of a place may fail until its others wait for the next
	// time: who writes what cannot be got holds up nobody else.
	maxFailures = 8
)

// get gets the entries' objects. The error is the first of those that failed.
func (r *Reader) get(ctx context.Context, entries []entry) error {
	var (
		next     atomic.Int64
		mu       sync.Mutex // guards failures, first and the figures
		failures = make(map[string]int)
		first    error
		wg       sync.WaitGroup
	)
	hopeless := func(place string) bool {
		mu.Lock()
		defer mu.Unlock()
		return failures[place] >= maxFailures
	}
	work := func() {
		for {
			i := int(next.Add(1)) - 1
			if i >= len(entries) {
				return
			}
			e := &entries[i]
			if e.failed = hopeless(e.place); e.failed {
				continue
			}
			c, err := r.one(ctx, e.key)
			mu.Lock()
			switch {
			case err == nil:
				e.change = c
				r.stats.Read++
			case errors.Is(err, fs.ErrNotExist): // removed since it was listed
			case errors.Is(err, errDamaged):
				r.stats.Damaged++
				r.stats.Damage = err
			default:
				e.failed = true
				failures[e.place]++
				if first == nil {
					first = err
				}
			}
			mu.Unlock()
		}
	}
	for range min(atOnce, len(entries)) {
		wg.Go(work)
	}
	wg.Wait()
	return first
}

var errDamaged = errors.New("the object is not the change that its key says")

// one gets one change.
func (r *Reader) one(ctx context.Context, key string) (*Change, error) {
	data, err := r.objects.Get(ctx, key)
	if errors.Is(err, ErrTooLong) {
		return nil, fmt.Errorf("%s: %w: %w", key, errDamaged, err)
	}
	if err != nil {
		return nil, err
	}
	c, err := Parse(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %w", key, errDamaged, err)
	}
	if keyOf(&c, data) != key {
		return nil, fmt.Errorf("%s: %w", key, errDamaged)
	}
	return &c, nil
}
