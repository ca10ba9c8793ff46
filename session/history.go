package session

import (
	"slices"
	"time"

	"github.com/periscope-collector/periscope/packet"
)

// maxEnded bounds the ended sessions that are remembered: at some
// 1,200 bytes of identity and 128 a worker each, 1,024 of them take 1.7 MiB
// with 4 workers.
const maxEnded = 1024

// grace is longer than a worker can hold a session that it has looked up: until
// the end of its batch.
const grace = 10 * time.Second

// A history remembers ended sessions, whose counts still belong to the ledger.
type history struct {
	sessions  []*packet.Session // oldest first
	fading    []fading          // no longer remembered, but still counted in
	forgotten packet.Tally
}

// A fading is the tallies of a session that is no longer remembered.
type fading struct {
	tallies []packet.Tally
	since   time.Time
}

// add remembers sessions. Beyond maxEnded the oldest are forgotten, their
// tallies summed.
func (h *history) add(gone []*packet.Session) {
	h.sessions = append(h.sessions, gone...)
	now := time.Now()
	done := 0
	for ; done < len(h.fading) && now.Sub(h.fading[done].since) >= grace; done++ {
		addTallies(&h.forgotten, h.fading[done].tallies)
	}
	h.fading = slices.Delete(h.fading, 0, done)
	surplus := len(h.sessions) - maxEnded
	if surplus <= 0 {
		return
	}
	for _, s := range h.sessions[:surplus] {
		h.fading = append(h.fading, fading{s.Tallies, now})
	}
	h.sessions = slices.Clone(h.sessions[surplus:])
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
	sum.LastSeen.Store(max(sum.LastSeen.Load(), t.LastSeen.Load()))
}

// Ended returns the sessions that ended, at most the last 1,024, oldest first.
// Frames under way may still be counted in them. The slice is the caller's.
func (t *Table) Ended() []*packet.Session {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.ended.sessions)
}

// Forgotten returns the sum of the tallies of the sessions that ended before
// those Ended returns. The tally is the caller's.
func (t *Table) Forgotten() *packet.Tally {
	t.mu.Lock()
	defer t.mu.Unlock()
	sum := new(packet.Tally)
	addTally(sum, &t.ended.forgotten)
	for i := range t.ended.fading {
		addTallies(sum, t.ended.fading[i].tallies)
	}
	return sum
}
