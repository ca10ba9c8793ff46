package tap

import (
	"fmt"
	"log/slog"
	"strings"
)

// Stats are the counts of a Tap since it was opened, in frames unless said. What
// the kernel put together, or has yet to cut, counts as the frames it stands for.
type Stats struct {
	Mirrored  uint64 // the kernel took them to send
	Bytes     uint64 // of them, as mirrored
	Filtered  uint64 // the filter did not accept them
	Cut       uint64 // mirrored, without what does not fit into the path MTU
	Truncated uint64 // mirrored likewise, and stand for several that could not be told apart
	Announced uint64 // announcements, which are not among the others

	// Dropped are those not mirrored, by reason: rate (the bound), full (a socket
	// or the interface's queue is), path (the network refuses them), ring (the
	// kernel found it full), paused (an estimate: what the interface moved while
	// the tap was paused).
	Dropped map[string]uint64

	// Refused is how many datagrams the collector's host said nothing listens
	// for. They are among the mirrored.
	Refused uint64

	// Pauses is how often the tap paused.
	Pauses uint64
}

// The reasons of Stats.Dropped, as indices.
const (
	dropRate = iota
	dropFull
	dropPath
	dropRing
	dropPaused
	reasons
)

var reasonNames = [reasons]string{"rate", "full", "path", "ring", "paused"}

// counts are Stats while they are counted, by one goroutine.
type counts struct {
	mirrored, bytes, filtered, cut, truncated, announced, refused, pauses uint64
	dropped                                                               [reasons]uint64
}

func (c *counts) stats() Stats {
	s := Stats{Mirrored: c.mirrored, Bytes: c.bytes, Filtered: c.filtered, Cut: c.cut, Truncated: c.truncated,
		Announced: c.announced, Refused: c.refused, Pauses: c.pauses, Dropped: make(map[string]uint64, reasons)}
	for i, n := range c.dropped {
		s.Dropped[reasonNames[i]] = n
	}
	return s
}

// Stats returns the counts, at most 0.1 s old. Any goroutine may call it.
func (t *Tap) Stats() Stats {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.published.stats()
}

func (t *Tap) publish() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.published = t.now
}

// String returns the counts as a sentence.
func (s Stats) String() string {
	var dropped strings.Builder
	for _, name := range reasonNames {
		if n := s.Dropped[name]; n > 0 {
			fmt.Fprintf(&dropped, ", %s %d", name, n)
		}
	}
	lost := "dropped none"
	if dropped.Len() > 0 {
		lost = "dropped:" + dropped.String()[1:]
	}
	return fmt.Sprintf("mirrored %d frames, %d bytes; filtered %d, cut %d, truncated %d; %s",
		s.Mirrored, s.Bytes, s.Filtered, s.Cut, s.Truncated, lost)
}

// LogValue returns the counts as attributes.
func (s Stats) LogValue() slog.Value {
	attrs := []slog.Attr{
		slog.Uint64("mirrored", s.Mirrored), slog.Uint64("bytes", s.Bytes), slog.Uint64("filtered", s.Filtered),
		slog.Uint64("cut", s.Cut), slog.Uint64("truncated", s.Truncated), slog.Uint64("announced", s.Announced),
		slog.Uint64("refused", s.Refused), slog.Uint64("pauses", s.Pauses),
	}
	for _, name := range reasonNames {
		attrs = append(attrs, slog.Uint64("dropped_"+name, s.Dropped[name]))
	}
	return slog.GroupValue(attrs...)
}
