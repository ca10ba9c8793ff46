package session

import (
	"slices"
	"sync/atomic"
	"time"

	"github.com/periscope-collector/periscope/packet"
)

// maxEnded bounds the ended sessions that are remembered: at some
// 1,200 bytes of identity and 128 a tally each, 1,024 of them take 1.8 MiB
// with 4 workers.
const maxEnded = 1024

// grace is longer than a worker can hold a session that it has looked up: until
// the end of its batch.
const grace = 10 * time.Second

// A history remembers ended sessions, whose counts still belong to the ledger.
// Those of a session that became another one are the other's in the end.
type history struct {
	sessions  []*packet.Session // oldest first
	fading    []fading          // not to be remembered, but still counted in
	forgotten packet.Tally
}

// A fading is a session that will not be remembered.
type fading struct {
	session *packet.Session
	since   time.Time
}

// became reports whether the counts go to another session.
func (f *fading) became() bool { return f.session.Identified() != f.session }

// add remembers sessions. Beyond maxEnded the oldest are forgotten, their
// tallies summed.
func (h *history) add(gone []*packet.Session) {
	now := time.Now()
	h.settle(now)
	for _, s := range gone {
		if f := (fading{s, now}); f.became() {
			h.fading = append(h.fading, f)
		} else {
			h.sessions = append(h.sessions, s)
		}
	}
	surplus := len(h.sessions) - maxEnded
	if surplus <= 0 {
		return
	}
	for _, s := range h.sessions[:surplus] {
		h.fading = append(h.fading, fading{s, now})
	}
	h.sessions = slices.Clone(h.sessions[surplus:])
}

// settle passes on the counts of sessions that nothing is counted in any more.
// What a session became fades no earlier than the session did, so that its own
// counts have not been passed on.
func (h *history) settle(now time.Time) {
	done := 0
	for ; done < len(h.fading) && now.Sub(h.fading[done].since) >= grace; done++ {
		into := &h.forgotten
		if f := &h.fading[done]; f.became() {
			into = inherited(f.session.Identified())
		}
		addTallies(into, h.fading[done].session.Tallies)
	}
	h.fading = slices.Delete(h.fading, 0, done)
}

func addTallies(sum *packet.Tally, tallies []packet.Tally) {
	for i := range tallies {
		addTally(sum, &tallies[i])
	}
}

func addTally(sum, t *packet.Tally) {
	sum.Delivered.Add(t.Delivered.Load())
	sum.Bytes.Add(t.Bytes.Load())
	sum.NotDelivered.Add(t.NotDelivered.Load())
	sum.Truncated.Add(t.Truncated.Load())
	sum.Mismatched.Add(t.Mismatched.Load())
	for d := range sum.Directions {
		sum.Directions[d].Add(t.Directions[d].Load())
	}
	sum.Records.Add(t.Records.Load())
	sum.TCPBytes.Add(t.TCPBytes.Load())
	sum.LostBytes.Add(t.LostBytes.Load())
	sum.Retransmitted.Add(t.Retransmitted.Load())
	sum.OutOfOrder.Add(t.OutOfOrder.Load())
	sum.Duplicates.Add(t.Duplicates.Load())
	sum.NotIP.Add(t.NotIP.Load())
	raise(&sum.LastSeen, t.LastSeen.Load())
}

// newTallies returns the tallies of a session: one a worker, and what it inherited.
func newTallies(workers int) []packet.Tally { return make([]packet.Tally, workers+1) }

// inherited returns the tally that the table adds to, rather than a worker. Its
// LastSeen may be raised by any goroutine.
func inherited(s *packet.Session) *packet.Tally { return &s.Tallies[len(s.Tallies)-1] }

// raise makes a time at least what it is given. Any number of goroutines may.
func raise(time *atomic.Int64, to int64) {
	for now := time.Load(); now < to && !time.CompareAndSwap(now, to); now = time.Load() {
	}
}

// lastSeen returns the time of the session's last frame, as far as it was counted,
// in ns; 0 if there is none.
func lastSeen(s *packet.Session) (last int64) {
	for i := range s.Tallies {
		last = max(last, s.Tallies[i].LastSeen.Load())
	}
	return last
}

// Account calls f with all sessions whose counts are of the ledger, the live ones
// by name and the ended ones after them, and the sum of those that are not
// remembered. No session ends meanwhile, so that each count is in one place.
func (t *Table) Account(f func(sessions []*packet.Session, forgotten *packet.Tally)) {
	t.reload.Lock()
	defer t.reload.Unlock()
	f(append(t.Sessions(), t.Ended()...), t.Forgotten())
}

// Ended returns the sessions that ended and are remembered, at most the last
// 1,024, oldest first, and after them those that became others and still have
// counts of their own. Frames under way may still be counted in them. The slice
// is the caller's.
func (t *Table) Ended() []*packet.Session {
	t.mu.Lock()
	defer t.mu.Unlock()
	ended := slices.Clone(t.ended.sessions)
	for i := range t.ended.fading {
		if f := &t.ended.fading[i]; f.became() {
			ended = append(ended, f.session)
		}
	}
	return ended
}

// Forgotten returns the sum of the tallies of the sessions that ended before
// those Ended returns. The tally is the caller's.
func (t *Table) Forgotten() *packet.Tally {
	t.mu.Lock()
	defer t.mu.Unlock()
	sum := new(packet.Tally)
	addTally(sum, &t.ended.forgotten)
	for i := range t.ended.fading {
		if f := &t.ended.fading[i]; !f.became() {
			addTallies(sum, f.session.Tallies)
		}
	}
	return sum
}
