package changes

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

const (
	// maxBatch is how many objects Next gets at most: 16 MiB of 64 KiB each, some
	// 512 KiB as they are.
	maxBatch = 256

	// A list has pageLen keys, and Next has at most maxPages made.
	pageLen  = 1000
	maxPages = 512

	// lookBack is how much earlier than the latest change that was read another one
	// may be that is still to come, and how far ahead of now: clocks differ, and a
	// writer that could not write tries again.
	lookBack = 10 * time.Minute

	// allEvery is how often accounts and regions are looked for that come before
	// the first one known.
	allEvery = time.Minute
)

// A Reader returns the changes of objects, each once, as they are added by however
// many writers. It belongs to one goroutine. It remembers at most 13 MiB of keys.
//
// An account that writes too much is in nobody's way but its own. Of its regions 32
// are read. When as many of its changes are remembered as there is room left, which
// for one account is with some 32,000 in ten minutes, its further ones wait, and of
// them one that comes late may be missed. What is dated more than ten minutes ahead
// waits until it is not.
type Reader struct {
	objects  Objects
	from     time.Time
	places   map[string]*spot
	accounts map[string]*account
	kept     int       // keys that are remembered
	after    string    // where the pass goes on; "" for a new one
	whole    time.Time // when the last pass from the beginning began
	stats    Stats
	failed   map[string]time.Time // of this pass, the earliest by place
	passed   error                // of this pass, the first
}

// Stats are a reader's figures since it was made.
type Stats struct {
	Read    uint64 // changes
	Damaged uint64 // objects that are none, though their keys say so
	Damage  error  // the latest; nil for none
	Passed  error  // why changes were passed over when all was looked through last; nil: none were
}

// NewReader returns a reader of the changes from a time on.
func NewReader(o Objects, from time.Time) *Reader {
	return &Reader{
		objects: o, from: from, places: make(map[string]*spot), accounts: make(map[string]*account),
		failed: make(map[string]time.Time),
	}
}

// Stats returns the figures.
func (r *Reader) Stats() Stats { return r.stats }

// A Place is an account and a region.
type Place struct{ Account, Region string }

// Places returns those of which there is anything, of any age, as far as read.
func (r *Reader) Places() []Place {
	var all []Place
	for _, key := range slices.Sorted(maps.Keys(r.places)) {
		account, rest, _ := strings.Cut(key, "/")
		all = append(all, Place{account, strings.TrimSuffix(rest, "/")})
	}
	return all
}

// Next returns changes that were not returned before, at most 256, in the order in
// which they were made, and whether there may be more right now. Those that come
// with an error count; what could not be had is returned another time. It
// makes 512 lists at most.
func (r *Reader) Next(ctx context.Context, now time.Time) (batch []Change, more bool, err error) {
	entries, more, err := r.list(ctx, now)
	failed := r.get(ctx, entries)
	r.note(entries, now, !more && err == nil)
	if err == nil {
		err = failed
	}
	batch = changesOf(entries)
	slices.SortStableFunc(batch, func(a, b Change) int { return a.At.Compare(b.At) })
	return batch, more, err
}

// An entry is an object that a list has.
type entry struct {
	key string
	label
	change *Change // nil: it is none, or is not there any more
	failed bool    // it could not be had
}

func changesOf(entries []entry) []Change {
	var all []Change
	for i := range entries {
		if c := entries[i].change; c != nil {
			all = append(all, *c)
		}
	}
	return all
}

// list goes on with the pass, and returns what is new. At the end of the pass there
// is no more.
func (r *Reader) list(ctx context.Context, now time.Time) (found []entry, more bool, err error) {
	if r.after == "" {
		r.after = r.first(now)
	}
	for range maxPages {
		keys, err := r.objects.List(ctx, r.after, pageLen)
		if err != nil {
			return found, false, err
		}
		for _, key := range keys {
			if key <= r.after {
				continue
			}
			e, next, ok := r.look(key, now)
			r.after = next // which may be far behind these keys
			if !ok {
				continue
			}
			found = append(found, e)
			if len(found) == maxBatch {
				return found, true, nil
			}
		}
		if len(keys) < pageLen {
			r.after = ""
			return found, false, nil
		}
	}
	return found, true, nil
}

// first returns where a pass begins: at the account and region that come first, now
// and then at the beginning.
func (r *Reader) first(now time.Time) string {
	if len(r.places) == 0 || now.Sub(r.whole) >= allEvery {
		r.whole = now
		return ""
	}
	return r.places[slices.Min(slices.Collect(maps.Keys(r.places)))].start
}

// look returns what is to be got of a key, if anything, and after which key the
// next ones are that may be new.
func (r *Reader) look(key string, now time.Time) (e entry, next string, ok bool) {
	l, ok := parseKey(key)
	if !ok {
		return e, beyond(key), false
	}
	s, err := r.spot(l.place)
	if err != nil {
		r.pass(err)
		return e, r.afterwards(l.place), false
	}
	if key <= s.start {
		return e, s.start, false
	}
	_, seen := s.seen[key]
	switch {
	case seen:
		return e, key, false
	case l.at.After(now.Add(lookBack)): // and so are the others
		r.pass(fmt.Errorf("changes: %s is dated more than %v ahead, and waits", key, lookBack))
		return e, behind(l.place), false
	case r.full(s.of):
		r.pass(fmt.Errorf("changes: too many in %v: %s and later ones of its account wait", lookBack, key))
		return e, behind(l.place), false
	}
	return entry{key: key, label: l}, key, true
}

// pass takes down why something is passed over.
func (r *Reader) pass(why error) {
	if r.passed == nil {
		r.passed = why
	}
}

// behind returns a key after all those that begin with a path, which ends with a
// slash: 0 comes after that.
func behind(path string) string { return strings.TrimSuffix(path, "/") + "0" }

// beyond returns after which key to go on that is not of a change: what is of no
// account or region is passed over whole.
func beyond(key string) string {
	parts := strings.SplitN(key, "/", 3)
	switch {
	case len(parts) > 1 && !validAccount(parts[0]):
		return behind(parts[0])
	case len(parts) > 2 && !validRegion(parts[1]):
		return behind(parts[0] + "/" + parts[1])
	}
	return key
}

// note takes down what became of entries. At the end of a pass what is older than
// lookBack is over, unless it could not be had.
func (r *Reader) note(entries []entry, now time.Time, over bool) {
	failed := r.failed
	for i := range entries {
		e := &entries[i]
		s := r.places[e.place]
		if e.failed {
			if at, ok := failed[e.place]; !ok || e.at.Before(at) {
				failed[e.place] = e.at
			}
			continue
		}
		r.remember(s, e.key)
		if at := e.at; at.After(s.mark) { // a clock may be ahead
			s.mark = at
			if at.After(now) {
				s.mark = now
			}
		}
	}
	for place, s := range r.places {
		if over {
			mark := s.mark
			if at, ok := failed[place]; ok && at.Before(mark) {
				mark = at
			}
			r.forget(s, max(s.start, place+moment(mark.Add(-lookBack))))
		}
		if r.full(s.of) {
			r.relieve(place, s, now)
		}
	}
	if over {
		clear(failed)
		r.stats.Passed, r.passed = r.passed, nil
	}
}
