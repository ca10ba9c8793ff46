package spool

import (
	"time"

	"github.com/periscope-collector/periscope/packet"
)

// Stats is the state and the account of a spool as of one moment, in events
// since Open unless it says otherwise.
type Stats struct {
	Bytes    int64 // on disk and in the buffer
	Capacity int64 // Config.Size
	Segments int
	Oldest   time.Time // when the oldest pending event was appended, or a little before; zero if none

	Found     uint64 // by Open, from earlier processes
	Appended  uint64
	Committed uint64
	Dropped   [packet.NumDrops]uint64 // of what was found or appended
	Pending   int                     // appended or found, and not committed or dropped

	CutBytes   uint64 // of incomplete or corrupt ends, cut off by Open
	Syncs      uint64
	SyncErrors uint64 // after one the kernel may have lost what was not synced
	SyncTime   time.Duration
}

// Stats may be called at any time, after Close too.
func (s *Spool) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	stats := s.stats
	stats.Capacity, stats.Segments = s.cfg.Size, len(s.segments)
	var oldest int64
	note := func(since int64) {
		if oldest == 0 || since < oldest {
			oldest = since
		}
	}
	for _, sp := range s.todo {
		note(sp.since)
	}
	for b := range s.out {
		note(b.span.since)
	}
	if s.buffered > 0 {
		note(s.since)
	}
	if oldest != 0 {
		stats.Oldest = time.Unix(0, oldest)
	}
	return stats
}
