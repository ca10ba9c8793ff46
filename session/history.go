package session

import (
	"slices"

	"github.com/periscope-collector/periscope/packet"
)

// maxEnded bounds the ended sessions that are remembered: at some
// 1,200 bytes of identity and 64 a worker each, 1,024 of them take 1.5 MiB with
// 4 workers.
const maxEnded = 1024

// A history remembers ended sessions, whose counts still belong to the ledger.
type history struct {
	sessions  []*packet.Session // oldest first
	forgotten packet.Tally
}

// add remembers sessions. Beyond maxEnded the oldest are forgotten, their
// tallies summed.
func (h *history) add(gone []*packet.Session) {
	h.sessions = append(h.sessions, gone...)
	surplus := len(h.sessions) - maxEnded
	if surplus <= 0 {
		return
	}
	for _, s := range h.sessions[:surplus] {
		for i := range s.Tallies {
			addTally(&h.forgotten, &s.Tallies[i])
		}
	}
	h.sessions = slices.Clone(h.sessions[surplus:])
}

func addTally(sum, t *packet.Tally) {
	sum.Delivered.Add(t.Delivered.Load())
	sum.Bytes.Add(t.Bytes.Load())
	sum.NotDelivered.Add(t.NotDelivered.Load())
	sum.Truncated.Add(t.Truncated.Load())
	for d := range sum.Directions {
		sum.Directions[d].Add(t.Directions[d].Load())
	}
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
// those Ended returns, as they were when they were forgotten. Only that sum
// grows; the pointer is valid for the life of the table.
func (t *Table) Forgotten() *packet.Tally { return &t.ended.forgotten }
