package spool

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/periscope-collector/periscope/sink/dir"
)

const (
	suffix  = ".spool"
	sizeMin = 4 << 20 // of which a segment is an eighth, beside one event
)

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
	if err := s.load(); err != nil {
		s.lock.Release()
		return err
	}
	if s.id == "" {
		var id [idSize / 2]byte
		rand.Read(id[:])
		s.id = hex.EncodeToString(id[:])
	}
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
	var text []byte
	f, err := os.Open(filepath.Join(s.cfg.Dir, checkpointName))
	if err == nil {
		text, err = io.ReadAll(io.LimitReader(f, checkpointMax+1))
		f.Close()
	}
	if err != nil && !os.IsNotExist(err) {
		return err
	}
	points := parseCheckpoint(text)
	if points == nil && len(text) > 0 {
		s.cfg.Log.Warn("checkpoint is damaged; all events in the spool are sent again", "dir", s.cfg.Dir)
	}
	entries, err := os.ReadDir(s.cfg.Dir)
	if err != nil {
		return err
	}
	var numbers []uint64
	for _, entry := range entries {
		digits, ok := strings.CutSuffix(entry.Name(), suffix)
		n, err := strconv.ParseUint(digits, 10, 64)
		if !ok || err != nil || n == math.MaxUint64 || filepath.Base(s.path(n)) != entry.Name() {
			continue
		}
		numbers = append(numbers, n)
	}
	slices.Sort(numbers)
	for _, n := range numbers {
		s.next = n + 1
		if err := s.loadSegment(n, points[n]); err != nil {
			return err
		}
	}
	return nil
}

// loadSegment finds what is pending in a segment: what the checkpoint says, and
// all that was written after it.
func (s *Spool) loadSegment(number uint64, point *checkpoint) error {
	f, err := os.OpenFile(s.path(number), os.O_RDWR|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return err
	}
	if fi.Size() < headerSize { // from before the segment's name was durable
		return os.Remove(f.Name())
	}
	head := make([]byte, headerSize)
	if _, err := f.ReadAt(head, 0); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	id, ok := parseHeader(head, number)
	if !ok || fi.Size() > math.MaxUint32 {
		s.cfg.Log.Warn("file is not a segment and is left as it is", "file", f.Name())
		return nil
	}
	s.id = id
	seg := &segment{number: number, size: fi.Size()}
	if point == nil || point.size < headerSize || point.size > seg.size {
		point = &checkpoint{size: headerSize}
	}
	to, events, first, err := scan(f, point.size, seg.size)
	if err != nil {
		return err
	}
	if to < seg.size {
		s.cfg.Log.Info("incomplete end of a segment is cut off", "file", f.Name(), "bytes", seg.size-to)
		if err := f.Truncate(to); err != nil {
			return err
		}
		s.stats.CutBytes += uint64(seg.size - to)
		seg.size = to
	}
	pending := point.pending
	slices.SortFunc(pending, span.compare)
	if events > 0 {
		pending = append(pending, span{number, uint32(point.size), uint32(to), events, first})
	}
	for _, sp := range pending {
		seg.left += sp.events
	}
	s.todo = append(s.todo, pending...)
	s.segments = append(s.segments, seg)
	s.stats.Bytes += seg.size
	s.stats.Pending += seg.left
	return nil
}
