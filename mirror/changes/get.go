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

	// maxFailures is how many may fail until the others wait for the next time.
	maxFailures = 8
)

// get gets the entries' objects. The error is the first of those that failed.
func (r *Reader) get(ctx context.Context, entries []entry) error {
	var (
		next, failures atomic.Int64
		mu             sync.Mutex // guards first and the figures
		first          error
		wg             sync.WaitGroup
	)
	work := func() {
		for {
			i := int(next.Add(1)) - 1
			if i >= len(entries) {
				return
			}
			e := &entries[i]
			if e.failed = failures.Load() >= maxFailures; e.failed {
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
				failures.Add(1)
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
