package spool

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/periscope-collector/periscope/sink/dir"
)

const sizeMin = 4 << 20 // of which a segment is an eighth, beside one event

// Open locks a directory, which it makes, and finds what is not committed in it.
// The error is a *dir.LockedError if another process has it.
func Open(cfg Config) (*Spool, error) {
	if cfg.Size < sizeMin {
		return nil, fmt.Errorf("spool %s: size of %d bytes; it must be %d or more", cfg.Dir, cfg.Size, sizeMin)
	}
	if cfg.SegmentBytes <= 0 {
		cfg.SegmentBytes = 64 << 20
	}
	cfg.SegmentBytes = max(segmentMin, min(cfg.SegmentBytes, cfg.Size/8, segmentMax))
	if cfg.SyncEvery <= 0 {
		cfg.SyncEvery = 200 * time.Millisecond
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	s := &Spool{
		cfg:   cfg,
		next:  1,
		ready: make(chan struct{}, 1),
		kick:  make(chan struct{}, 1),
		stop:  make(chan struct{}),
		done:  make(chan struct{}),
		out:   make(map[*Batch]struct{}),
		buf:   make([]byte, 0, bufferBytes),
	}
	if err := s.open(); err != nil {
		return nil, fmt.Errorf("spool %s: %w", cfg.Dir, err)
	}
	if s.changed {
		s.Sync() // before the journals begin anew; it logs what fails
	}
	go s.run()
	return s, nil
}

func (s *Spool) open() error {
	err := dir.Make(s.cfg.Dir)
	if err == nil {
		err = os.Chmod(s.cfg.Dir, 0o700)
	}
	if err == nil {
		s.lock, err = dir.TakeLock(s.cfg.Dir)
	}
	if err != nil {
		return err
	}
	if err = s.load(); err == nil {
		err = s.shorten()
	}
	if err != nil {
		s.lock.Release()
		return err
	}
	if s.id == "" {
		var id [idSize / 2]byte
		rand.Read(id[:])
		s.id = hex.EncodeToString(id[:])
	}
	s.journal = journal{dir: s.cfg.Dir, id: s.id}
	s.scarce = s.cfg.Free > 0 && free(s.cfg.Dir) < s.cfg.Free
	s.stats.Found = uint64(s.stats.Pending)
	if s.stats.Found > 0 {
		s.signal()
	}
	s.free()
	return nil
}

// load finds the segments and what is pending in them.
func (s *Spool) load() error {
	points, damaged, err := readCheckpoint(s.cfg.Dir)
	if err != nil {
		return err
	}
	if damaged {
		s.cfg.Log.Warn("checkpoint is damaged; all events in the spool are sent again", "dir", s.cfg.Dir)
	}
	gone, err := readJournals(s.cfg.Dir)
	if err != nil {
		return err
	}
	numbers, err := listSegments(s.cfg.Dir)
	if err != nil {
		return err
	}
	for _, n := range numbers {
		s.next = n + 1
		if err := s.loadSegment(n, points[n], gone); err != nil {
			return err
		}
	}
	s.changed = len(gone) > 0
	return nil
}

// loadSegment takes over a segment and cuts off its incomplete end.
func (s *Spool) loadSegment(number uint64, point *checkpoint, gone map[place][]span) error {
	f, err := os.OpenFile(s.path(number), os.O_RDWR|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	found, err := examine(f, number, point, gone)
	switch {
	case errors.Is(err, errNoHeader): // from before the segment's name was durable
		return os.Remove(f.Name())
	case errors.Is(err, errNoSegment):
		s.cfg.Log.Warn("file is not a segment and is left as it is", "file", f.Name())
		return nil
	case err != nil:
		return err
	}
	if found.to < found.size {
		s.cfg.Log.Info("incomplete end of a segment is cut off", "file", f.Name(), "bytes", found.size-found.to)
		if err := f.Truncate(found.to); err != nil {
			return err
		}
		s.stats.CutBytes += uint64(found.size - found.to)
	}
	s.id = found.id
	s.todo = append(s.todo, found.pending...)
	s.segments = append(s.segments, &segment{number: number, size: found.to, left: found.events})
	s.stats.Bytes += found.to
	s.stats.Pending += found.events
	return nil
}

// shorten leaves the newest segment, which is kept for its number, nothing but
// its header when all of it is committed: it may be larger than Config.Size is
// now. The checkpoint need not say so; one of a longer segment is not used.
func (s *Spool) shorten() error {
	if len(s.segments) == 0 {
		return nil
	}
	seg := s.segments[len(s.segments)-1]
	if seg.left > 0 || seg.size == headerSize {
		return nil
	}
	f, err := os.OpenFile(s.path(seg.number), os.O_WRONLY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Truncate(headerSize); err != nil {
		return err
	}
	s.stats.Bytes -= seg.size - headerSize
	seg.size = headerSize
	return f.Sync() // before a checkpoint has the new size
}
