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

	// A list has pageLen keys, and Next has at most maxPages made, of which one is
	// for each account and region, and one for what else there is.
	pageLen  = 1000
	maxPages = 512

	// maxPlaces is how many accounts and regions are read.
	maxPlaces = 256

	// maxSeen is how many keys are remembered, some 200 bytes each: 100 changes a
	// second for as long as lookBack.
	maxSeen = 1 << 16

	// lookBack is how much earlier than the latest change that was read another one
	// may be that is still to come: clocks differ, and a writer that could not write
	// tries again.
	lookBack = 10 * time.Minute

	// allEvery is how often accounts and regions are looked for that come before
	// the first one known.
	allEvery = time.Minute
)

// A Reader returns the changes of objects, each once, as they are added by however
// many writers. It belongs to one goroutine. It remembers at most 13 MiB of keys:
// with more than 65,536 changes in ten minutes one that comes late may be missed.
type Reader struct {
	objects Objects
	from    time.Time
	places  map[string]*spot
	after   string    // where the pass goes on; "" for a new one
	whole   time.Time // when the last pass from the beginning began
	stats   Stats
	failed  map[string]time.Time // of this pass, the earliest by place
	surplus string               // one of more than maxPlaces places
}

// A spot is how far the keys of one account and region were read.
type spot struct {
	start string              // what is up to it is over
	mark  time.Time           // of the latest key that was read
	seen  map[string]struct{} // keys after start
}

// Stats are a reader's figures since it was made.
type Stats struct {
	Read    uint64 // changes
	Damaged uint64 // objects that are none, though their keys say so
	Damage  error  // the latest; nil for none
}

// NewReader returns a reader of the changes from a time on.
func NewReader(o Objects, from time.Time) *Reader {
	return &Reader{objects: o, from: from, places: make(map[string]*spot), failed: make(map[string]time.Time)}
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
// with an error count; what could not be had is returned another time. A directory
// is listed once, and objects of S3 once for each account and region, and once a
// minute once more.
func (r *Reader) Next(ctx context.Context, now time.Time) (batch []Change, more bool, err error) {
	entries, more, err := r.list(ctx, now)
	failed := r.get(ctx, entries)
	r.note(entries, now, !more && err == nil)
	if err == nil {
		err = failed
	}
	if err == nil && r.surplus != "" {
		err = fmt.Errorf("changes: more than %d accounts and regions: %s is left out", maxPlaces, r.surplus)
		r.surplus = ""
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
			e, next, ok := r.look(key)
			r.after = next
			if next != key { // which may be far behind these keys
				break
			}
			if !ok {
				continue
			}
			found = append(found, e)
			if len(found) == maxBatch {
				return found, true, nil
			}
		}
		if len(keys) < pageLen && (len(keys) == 0 || r.after == keys[len(keys)-1]) {
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
func (r *Reader) look(key string) (e entry, next string, ok bool) {
	l, ok := parseKey(key)
	if !ok {
		return e, beyond(key), false
	}
	s := r.places[l.place]
	switch {
	case s == nil && len(r.places) == maxPlaces:
		r.surplus = l.place
		return e, behind(l.place), false
	case s == nil:
		s = &spot{start: l.place + moment(r.from), seen: make(map[string]struct{})}
		r.places[l.place] = s
	}
	if key <= s.start {
		return e, s.start, false
	}
	_, seen := s.seen[key]
	return entry{key: key, label: l}, key, !seen
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
		s.seen[e.key] = struct{}{}
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
			s.forget(max(s.start, place+moment(mark.Add(-lookBack))))
		}
		if most := maxSeen / len(r.places); len(s.seen) > most {
			keys := slices.Sorted(maps.Keys(s.seen))
			s.forget(keys[len(keys)/2])
		}
	}
	if over {
		clear(failed)
	}
}

// forget takes it that keys are over, up to one.
func (s *spot) forget(start string) {
	s.start = start
	maps.DeleteFunc(s.seen, func(key string, _ struct{}) bool { return key <= start })
}
