package pcap

import (
	"sync/atomic"

	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/sink"
)

// The counters of one goroutine: each worker has a set, and the writer. What
// goes into chunks is counted by the workers, what comes out of them by the
// writer, apart from what became of it.
const (
	countOffered = iota
	countIn      // frames put into a chunk
	countOut     // frames taken out of a chunk
	countStored
	countLate
	countDropped // the first of packet.NumDrops
	numCounts    = countDropped + int(packet.NumDrops)
)

type counts [numCounts]uint64

// A tally shows one goroutine's counters to others, all as of one moment.
type tally struct {
	version atomic.Uint64 // odd while values change
	values  [numCounts]atomic.Uint64
}

// publish is called by the goroutine that owns the tally alone.
func (t *tally) publish(c *counts) {
	t.version.Add(1)
	for i := range c {
		if t.values[i].Load() != c[i] {
			t.values[i].Store(c[i])
		}
	}
	t.version.Add(1)
}

func (t *tally) addTo(sum *counts) {
	for {
		version := t.version.Load()
		var c counts
		for i := range c {
			c[i] = t.values[i].Load()
		}
		if version%2 == 0 && t.version.Load() == version {
			for i := range c {
				sum[i] += c[i]
			}
			return
		}
	}
}

// Ledger returns the account in frames, as of the last hand-over or Mark of
// each worker. Stored means that the kernel has the frame.
func (s *Sink) Ledger() sink.Ledger {
	// The writer first: a worker publishes what is in a chunk before the
	// writer sees it, so what came out is never more than what went in.
	var c counts
	s.tally.addTo(&c)
	for i := range s.workers {
		s.workers[i].tally.addTo(&c)
	}
	l := sink.Ledger{
		Offered: c[countOffered],
		Stored:  c[countStored],
		Pending: c[countIn] - c[countOut],
		Late:    c[countLate],
	}
	copy(l.Dropped[:], c[countDropped:])
	return l
}

// A Cause says why a file was rotated, or removed.
type Cause uint8

// The causes. A file is rotated for BySize, ByTime, ByPackets or ByEnd, and
// removed for BySize, ByAge or ByFree.
const (
	BySize    Cause = iota
	ByTime          // Rotate.Every
	ByPackets       // Rotate.Packets
	ByEnd           // the session ended, or the sink was closed
	ByAge           // Retain.Age
	ByFree          // Retain.Free
	NumCauses
)

var causeNames = [NumCauses]string{"size", "time", "packets", "end", "age", "free"}

// String returns the word that metrics and logs use.
func (c Cause) String() string { return causeNames[c] }

// Stats is what the sink has done since Open and what it holds now. Its fields
// are read one after another, not as of one moment.
type Stats struct {
	Late uint64 // frames written out of order

	FilesCompleted   uint64            // synced and renamed
	FilesIncomplete  uint64            // given up: removed or replaced by others, not cut back to whole records, or not made durable
	Rotations        [NumCauses]uint64 // files ended, by cause
	FilesOpen        int               // descriptors open for writing
	FilesCompleting  int               // waiting to be synced and renamed
	BytesWritten     uint64            // to files, headers included
	BufferBytes      int64             // of chunks in use
	BufferLimitBytes int64             // of all chunks

	// WriteErrors counts failed attempts, under DropDiskFull and DropIO.
	WriteErrors [packet.NumDrops]uint64

	// Failing counts sessions, or groups, whose last write failed; 0 when all is
	// well.
	Failing int

	RetainedFiles int   // complete, live only
	RetainedBytes int64 // of those
	RemovedFiles  [NumCauses]uint64
	RemovedBytes  [NumCauses]uint64
}

// gauges are the counters that several goroutines show, each in its own field.
type gauges struct {
	completed, incomplete atomic.Uint64
	rotations             [NumCauses]atomic.Uint64
	open, completing      atomic.Int64
	unfinishedBytes       atomic.Int64 // in files that have not got their names
	written               atomic.Uint64
	writeErrors           [packet.NumDrops]atomic.Uint64
	failing               atomic.Int64
	retainedFiles         atomic.Int64
	retainedBytes         atomic.Int64
	retainedSeconds       atomic.Int64
	removedFiles          [NumCauses]atomic.Uint64
	removedBytes          [NumCauses]atomic.Uint64
	progress              atomic.Uint64
}

// Stats may be called by any goroutine at any time.
func (s *Sink) Stats() Stats {
	g := &s.gauges
	st := Stats{
		Late:             s.Ledger().Late,
		FilesCompleted:   g.completed.Load(),
		FilesIncomplete:  g.incomplete.Load(),
		FilesOpen:        int(g.open.Load()),
		FilesCompleting:  int(g.completing.Load()),
		BytesWritten:     g.written.Load(),
		BufferBytes:      s.pool.used(),
		BufferLimitBytes: int64(s.pool.total) * s.pool.cost,
		Failing:          int(g.failing.Load()),
		RetainedFiles:    int(g.retainedFiles.Load()),
		RetainedBytes:    g.retainedBytes.Load(),
	}
	for i := range st.Rotations {
		st.Rotations[i] = g.rotations[i].Load()
		st.RemovedFiles[i] = g.removedFiles[i].Load()
		st.RemovedBytes[i] = g.removedBytes[i].Load()
	}
	for i := range st.WriteErrors {
		st.WriteErrors[i] = g.writeErrors[i].Load()
	}
	return st
}

// Progress returns a number that grows as long as the writer is alive, many
// times a second, whether or not there is anything to write.
func (s *Sink) Progress() uint64 { return s.gauges.progress.Load() }

// RetainedSeconds estimates how far back the captures reach at the present
// rate, in seconds: what Config.Retain lets them hold, divided by the rate of
// writing over the last five minutes; or, if that is less or nothing bounds
// them, the time since the first frame of the oldest complete file. It is 0
// while there is none, and in replay.
func (s *Sink) RetainedSeconds() float64 { return float64(s.gauges.retainedSeconds.Load()) }
