package changes

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"
)

// A Log puts changes into objects, and finds them there again. Its methods may be
// called from any goroutine; several logs, also of several processes, may have the
// same objects.
type Log struct{ objects Objects }

// NewLog returns a log in objects.
func NewLog(o Objects) *Log { return &Log{o} }

// ErrInvalid says that a change can never be written.
var ErrInvalid = errors.New("no change that can be written")

// Put writes a change, which is durable when it returns. The same one a second time
// changes nothing. After ErrInvalid there is no use in trying again.
func (l *Log) Put(ctx context.Context, c Change) error {
	c.At = c.At.UTC()
	data, err := encode(&c)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	err = l.objects.Put(ctx, keyOf(&c, data), data)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	return err
}

// maxRefusals is how many changes Refusals and Done return at most.
const maxRefusals = 10_000

// Refusals returns the refusals of a place, or of all for the zero value, from a time
// on after which nothing was done to their interface, in the order in which they were
// made, and if there are more than 10,000 the latest. It gets no other objects, so it
// is what a process may begin with, also one that may get those of its place alone.
func (l *Log) Refusals(ctx context.Context, of Place, since time.Time) ([]Change, error) {
	r := NewReader(l.objects, since)
	refused := make(map[source][]entry) // in order
	held := 0
	for more := true; more; {
		var entries []entry
		var err error
		if entries, more, err = r.list(ctx, time.Now()); err != nil {
			return nil, err
		}
		for _, e := range entries {
			switch {
			case of != Place{} && e.place != place(of.Account, of.Region):
			case e.kind == Refused:
				refused[e.source()] = append(refused[e.source()], e)
				held++
			default:
				held -= len(refused[e.source()])
				delete(refused, e.source())
			}
		}
		if held > 2*maxRefusals {
			held = 0
			all := latest(refused)
			clear(refused)
			for _, e := range all {
				refused[e.source()] = append(refused[e.source()], e)
				held++
			}
		}
		r.note(entries, time.Now(), !more)
	}
	chosen := latest(refused)
	err := r.get(ctx, chosen)
	return changesOf(chosen), err
}

// Done returns what was done in a place from a time on, in the order in which it was,
// and if that is more than 10,000 changes the latest. It gets no other objects.
func (l *Log) Done(ctx context.Context, of Place, since time.Time) ([]Change, error) {
	r := NewReader(l.objects, since)
	var done []entry
	for more := true; more; {
		var entries []entry
		var err error
		if entries, more, err = r.list(ctx, time.Now()); err != nil {
			return nil, err
		}
		for _, e := range entries {
			if e.kind != Refused && e.place == place(of.Account, of.Region) && !e.at.Before(since) {
				done = append(done, e)
			}
		}
		if len(done) > 2*maxRefusals {
			done = latest(map[source][]entry{{}: done})
		}
		r.note(entries, time.Now(), !more)
	}
	done = latest(map[source][]entry{{}: done})
	err := r.get(ctx, done)
	return changesOf(done), err
}

// A source is an interface as keys name it: those of one place say nothing of
// another one's.
type source struct{ place, iface string }

func (e *entry) source() source { return source{e.place, e.iface} }

// latest returns the latest entries, at most maxRefusals, in order.
func latest(entries map[source][]entry) []entry {
	var all []entry
	for _, list := range entries {
		all = append(all, list...)
	}
	slices.SortStableFunc(all, func(a, b entry) int { return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.key, b.key)) })
	return all[max(0, len(all)-maxRefusals):]
}
