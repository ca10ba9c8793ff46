package flowlog

import (
	"sync"
	"sync/atomic"

	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/sink"
)

// counts are the writer's, in records but for the last part.
type counts struct {
	taken   uint64 // out of the queue
	held    uint64 // in the memory of files
	stored  uint64
	dropped [packet.NumDrops]uint64

	lines, noData, skipData, statusLost uint64
	bytes                               uint64
	open, failing                       int
	errors                              [packet.NumDrops]uint64
}

// shown is what the writer lets others see of its counts, all as of one moment.
type shown struct {
	mu     sync.Mutex
	counts counts
}

func (s *shown) set(c *counts) {
	s.mu.Lock()
	s.counts = *c
	s.mu.Unlock()
}

func (s *shown) get() counts {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counts
}

// filesDone counts files that are no longer written.
type filesDone struct {
	completed, incomplete, salvaged atomic.Uint64
	failing                         atomic.Int64
}

// Ledger returns the account in records: one for a flow and interval, whether
// it takes one line or two. Stored means that the kernel has its lines.
func (s *Sink) Ledger() sink.Ledger {
	c := s.shown.get() // first: the writer counts nothing that was not offered before
	l := sink.Ledger{Stored: c.stored, Dropped: c.dropped}
	var full uint64
	for i := range s.workers {
		full += s.workers[i].dropped.Load() // before offered, which is counted first
		l.Offered += s.workers[i].offered.Load()
	}
	l.Dropped[packet.DropQueueFull] += full
	l.Pending = l.Offered - full - c.taken + c.held
	return l
}

// Stats is what the sink has done since Open and what it holds now. Its fields
// are read one after another, not as of one moment.
type Stats struct {
	Lines         uint64 // in files, headers excepted
	NoDataLines   uint64 // due
	SkipDataLines uint64 // due
	LostLines     uint64 // of those two, that could not be written, or not be noted for lack of room
	BytesWritten  uint64 // to files, compressed

	FilesOpen       int
	FilesCompleted  uint64 // synced and renamed
	FilesIncomplete uint64 // given up with the suffix .partial, or removed or changed by others
	FilesSalvaged   uint64 // of an earlier process, completed by Open

	// WriteErrors counts failed attempts, under DropDiskFull and DropIO.
	WriteErrors [packet.NumDrops]uint64

	// Failing counts open files whose last write failed, and files that could
	// not be completed and are tried again; 0 when all is well.
	Failing int
}

// Stats may be called by any goroutine at any time.
func (s *Sink) Stats() Stats {
	c := s.shown.get()
	return Stats{
		Lines:           c.lines,
		NoDataLines:     c.noData,
		SkipDataLines:   c.skipData,
		LostLines:       c.statusLost,
		BytesWritten:    c.bytes,
		FilesOpen:       c.open,
		FilesCompleted:  s.files.completed.Load(),
		FilesIncomplete: s.files.incomplete.Load(),
		FilesSalvaged:   s.files.salvaged.Load(),
		WriteErrors:     c.errors,
		Failing:         c.failing + int(s.files.failing.Load()),
	}
}

// Progress returns a number that grows as long as the writer is alive, several
// times a second, whether or not there is anything to write.
func (s *Sink) Progress() uint64 { return s.progress.Load() }
