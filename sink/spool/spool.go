package spool

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/sink/dir"
)

const (
	bufferBytes  = 64 << 10
	unsyncedMax  = 1 << 20
	segmentMax   = 1 << 30 // so that offsets are far from 4 GiB
	segmentMin   = 4 << 10
	checkEvery   = time.Second
	complainOnce = 10 * time.Second
)

var (
	// ErrFull says that an event does not fit in Config.Size.
	ErrFull = errors.New("spool is full")
	// ErrClosed says that the spool was closed.
	ErrClosed = errors.New("spool is closed")

	errScarce = fmt.Errorf("spool leaves the rest of the file system free: %w", unix.ENOSPC)
)

// Reason returns the reason for which what Append did not take is dropped.
func Reason(err error) packet.Drop {
	if errors.Is(err, ErrFull) {
		return packet.DropSpoolFull
	}
	return dir.DropReason(err)
}

// Config is what a spool is opened with.
type Config struct {
	Dir          string
	SegmentBytes int64         // 0 is 64 MiB; at most 1 GiB and an eighth of Size, at least 4 KiB
	Size         int64         // bound in bytes of all segments; required
	Age          time.Duration // older events that nobody has are dropped as expired; 0 is no bound
	Free         float64       // share of the file system that stays free, 0 to 1
	SyncEvery    time.Duration // 0 is 200 ms

	Now func() time.Time // safe for concurrent use; nil is time.Now
	Log *slog.Logger     // nil is none
}

// A Position is where an event begins.
type Position struct {
	Segment uint64
	Offset  uint32
}

// A segment is a file of the spool.
type segment struct {
	number uint64
	size   int64    // without what is in the buffer
	left   int      // events not committed or dropped, with those in the buffer
	file   *os.File // nil when nothing more is written to it
}

// A Spool is an open directory. See the package for what may be called at once.
type Spool struct {
	cfg  Config
	lock *dir.Lock // nil when the directory is given up
	id   string

	ready chan struct{}
	kick  chan struct{} // much is not synced
	stop  chan struct{}
	done  chan struct{}
	reads sync.Mutex // one Read at a time; before syncs and mu
	syncs sync.Mutex // one sync at a time, which alone writes the checkpoint; before mu

	mu       sync.Mutex
	closed   bool       // or about to be
	segments []*segment // by number; the last may be the one that is written
	next     uint64     // number of the next segment
	buf      []byte     // records behind the last segment's size
	buffered int        // events in buf
	since    int64      // time of the first of them
	unsynced int64
	sealed   []*os.File // to be synced and closed
	scarce   bool       // less is free than Config.Free
	fault    error      // why Append could not write, until the next sync
	todo     []span     // not read, by position
	out      map[*Batch]struct{}
	spare    []*Batch
	changed  bool // since the last checkpoint
	journal  journal
	checked  time.Time
	complain time.Time
	stats    Stats
}

func (s *Spool) path(number uint64) string {
	return filepath.Join(s.cfg.Dir, segmentName(number))
}

// ID returns 16 hexadecimal digits made at random for the directory. With a
// Position they name an event.
func (s *Spool) ID() string { return s.id }

// Ready returns a channel that receives when there may be something to read;
// after an error of Read not before the next sync.
func (s *Spool) Ready() <-chan struct{} { return s.ready }

func (s *Spool) signal() {
	select {
	case s.ready <- struct{}{}:
	default:
	}
}

// active returns the segment that is written, or nil.
func (s *Spool) active() *segment {
	if n := len(s.segments); n > 0 && s.segments[n-1].file != nil {
		return s.segments[n-1]
	}
	return nil
}

// segment returns the segment of a number, or nil.
func (s *Spool) segment(number uint64) *segment {
	for _, seg := range s.segments {
		if seg.number == number {
			return seg
		}
	}
	return nil
}

// warn logs what may happen again and again, once in a while.
func (s *Spool) warn(msg string, args ...any) {
	if now := s.cfg.Now(); now.Sub(s.complain).Abs() >= complainOnce {
		s.complain = now
		s.cfg.Log.Warn(msg, append(args, "dir", s.cfg.Dir)...)
	}
}
