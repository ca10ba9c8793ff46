package changes

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"time"
)

// A Log puts changes into objects, and finds them there again. Its methods may be
// called from any goroutine; several logs, also of several processes, may have the
// same objects.
type Log struct{ objects Objects }

// NewLog returns a log in objects.
func NewLog(o Objects) *Log { return &Log{o} }

// Put writes a change, which is durable when it returns. The same one a second time
// changes nothing.
func (l *Log) Put(ctx context.Context, c Change) error {
	c.At = c.At.UTC()
	data, err := encode(&c)
	if err != nil {
		return fmt.Errorf("change: %w", err)
	}
	err = l.objects.Put(ctx, keyOf(&c, data), data)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	return err
}

// maxSince is how many changes Since returns at least if there are more.
const maxSince = 10_000

// Since returns the changes from a time on in the order in which they were made, and
// if there are more than 10,000 the first ones: a Reader reads them all. Objects that
// are no changes are left out.
func (l *Log) Since(ctx context.Context, at time.Time) ([]Change, error) {
	r := NewReader(l.objects, at)
	var all []Change
	for len(all) < maxSince {
		batch, more, err := r.Next(ctx, time.Now())
		all = append(all, batch...)
		if err != nil || !more {
			return all, err
		}
	}
	return all, nil
}

// Refusals returns the refusals from a time on of interfaces that no later change is
// about, in the order in which they were made, and if there are more than 10,000 the
// latest. It gets no other objects, so it is what a process may begin with.
func (l *Log) Refusals(ctx context.Context, since time.Time) ([]Change, error) {
	r := NewReader(l.objects, since)
	refused := make(map[string]entry) // by interface
	for more := true; more; {
		var entries []entry
		var err error
		if entries, more, err = r.list(ctx, time.Now()); err != nil {
			return nil, err
		}
		for _, e := range entries { // those of one interface are in order
			if delete(refused, e.iface); e.kind == Refused {
				refused[e.iface] = e
			}
		}
		if len(refused) > 2*maxSince {
			refused = latest(refused)
		}
		r.note(entries, time.Now(), !more)
	}
	chosen := slices.SortedFunc(maps.Values(latest(refused)), func(a, b entry) int { return a.at.Compare(b.at) })
	err := r.get(ctx, chosen)
	return changesOf(chosen), err
}

// latest returns the latest entries, at most maxSince.
func latest(entries map[string]entry) map[string]entry {
	if len(entries) <= maxSince {
		return entries
	}
	all := slices.SortedFunc(maps.Values(entries), func(a, b entry) int { return b.at.Compare(a.at) })
	kept := make(map[string]entry, maxSince)
	for _, e := range all[:maxSince] {
		kept[e.iface] = e
	}
	return kept
}
