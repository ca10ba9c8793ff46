package pipeline

import (
	"math/bits"
	"slices"

	"github.com/periscope-collector/periscope/packet"
)

// sessionRuns sum up a worker's frames by session, so that a session's tally,
// which others read, is touched once a batch and not once a frame. There are as
// many as a word has bits: where a batch holds more sessions than that, those
// that share a place flush each other out. They take 6 KiB a worker.
type sessionRuns struct {
	runs [64]sessionRun // by the low bits of the session's ID
	used uint64         // those that hold something
}

// of returns the run of a session.
func (s *sessionRuns) of(session *packet.Session, worker int) *sessionRun {
	i := session.ID % uint32(len(s.runs))
	r := &s.runs[i]
	if r.session != session {
		r.flush(worker)
		r.session = session
		s.used |= 1 << i
	}
	return r
}

// flush adds every run to its tally, and ends it.
func (s *sessionRuns) flush(worker int) {
	for ; s.used != 0; s.used &= s.used - 1 {
		s.runs[bits.TrailingZeros64(s.used)].flush(worker)
	}
}

// A sessionRun sums up frames of one session.
type sessionRun struct {
	session                              *packet.Session // nil: none
	source                               packet.Addr     // of the latest frame that was delivered
	stray                                bool            // what that source is
	delivered, bytes, missing, truncated uint64
	mismatched                           uint64
	directions                           [packet.NumDirections]uint64
	last                                 int64
}

func (r *sessionRun) flush(worker int) {
	if r.session == nil {
		return
	}
	t := &r.session.Tallies[worker]
	t.Delivered.Add(r.delivered)
	t.Bytes.Add(r.bytes)
	if r.missing != 0 {
		t.NotDelivered.Add(r.missing)
	}
	if r.truncated != 0 {
		t.Truncated.Add(r.truncated)
	}
	if r.mismatched != 0 {
		t.Mismatched.Add(r.mismatched)
	}
	for d, n := range r.directions {
		if n != 0 {
			t.Directions[d].Add(n)
		}
	}
	if r.last != 0 {
		t.LastSeen.Store(r.last)
	}
	*r = sessionRun{}
}

// stray reports whether a frame comes from none of the addresses that its
// session's interface has, where these are known. A session of one source takes
// no others.
func stray(f *packet.Frame) bool {
	s := f.Session
	return s.Source.IsZero() && len(s.Addresses) > 0 && !f.Source.IsZero() && !slices.Contains(s.Addresses, f.Source)
}
