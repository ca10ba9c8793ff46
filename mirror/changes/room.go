package changes

import (
	"fmt"
	"strings"
	"time"
)

const (
	// maxAccounts is how many accounts are read, and maxRegions how many regions of
	// each: some 8,000 spots of 500 bytes, and as many lists of S3 in a pass at
	// worst.
	maxAccounts = 256
	maxRegions  = 32

	// maxSeen is how many keys are remembered, some 200 bytes each, and up to
	// maxBatch more.
	maxSeen = 1 << 16
)

// An account is what is read of one.
type account struct {
	places map[string]*spot
	kept   int // keys that are remembered
}

// A spot is how far the keys of one account and region were read.
type spot struct {
	of    *account
	start string              // what is up to it is over
	mark  time.Time           // of the latest key that was read
	seen  map[string]struct{} // keys after start
}

// spot returns that of a place, unless there are too many.
func (r *Reader) spot(place string) (*spot, error) {
	if s := r.places[place]; s != nil {
		return s, nil
	}
	id, region, _ := strings.Cut(place, "/")
	a := r.accounts[id]
	switch {
	case a == nil && len(r.accounts) == maxAccounts:
		return nil, fmt.Errorf("changes: more than %d accounts: %s is left out", maxAccounts, id)
	case a == nil:
		a = &account{places: make(map[string]*spot)}
		r.accounts[id] = a
	case len(a.places) == maxRegions:
		return nil, fmt.Errorf("changes: more than %d regions of account %s: %s is left out", maxRegions, id, strings.TrimSuffix(region, "/"))
	}
	s := &spot{of: a, start: place + moment(r.from), seen: make(map[string]struct{})}
	r.places[place], a.places[place] = s, s
	return s, nil
}

// afterwards returns after which key to go on where a place is left out: at the next
// one of its account that is read, and if there is none behind the account.
func (r *Reader) afterwards(left string) string {
	id, _, _ := strings.Cut(left, "/")
	next := behind(id)
	if a := r.accounts[id]; a != nil {
		for place, s := range a.places {
			if place > left && s.start < next {
				next = s.start
			}
		}
	}
	return next
}

// full reports whether an account has as many keys as there is room left for all: so
// one may have half of it, each of two a third, and there is some for the next one.
func (r *Reader) full(a *account) bool { return a.kept >= maxSeen-r.kept }

func (r *Reader) remember(s *spot, key string) {
	before := len(s.seen)
	s.seen[key] = struct{}{}
	r.count(s, before)
}

// forget takes it that keys are over, up to one.
func (r *Reader) forget(s *spot, start string) {
	before := len(s.seen)
	s.start = start
	for key := range s.seen {
		if key <= start {
			delete(s.seen, key)
		}
	}
	r.count(s, before)
}

func (r *Reader) count(s *spot, before int) {
	s.of.kept += len(s.seen) - before
	r.kept += len(s.seen) - before
}

// relieve makes room where an account is full: what was read is over when it is
// older than lookBack. What waits is later, and not over.
func (r *Reader) relieve(place string, s *spot, now time.Time) {
	start, latest := s.start, place+moment(now.Add(-lookBack))
	for key := range s.seen {
		if key <= latest {
			start = max(start, key)
		}
	}
	r.forget(s, start)
}
