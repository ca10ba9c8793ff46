package spool

import (
	"cmp"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/periscope-collector/periscope/sink/dir"
)

// flushes is how often the kernel gets what is in the buffer for each time that
// it is synced.
const flushes = 4

// run syncs every Config.SyncEvery, and when much is not synced, until Close.
func (s *Spool) run() {
	defer close(s.done)
	tick := time.NewTicker(max(s.cfg.SyncEvery/flushes, 1))
	defer tick.Stop()
	for n := 1; ; n++ {
		select {
		case <-s.stop:
			return
		case <-tick.C:
			if n%flushes != 0 {
				s.mu.Lock()
				s.flush() // if that fails, the next sync says so
				s.mu.Unlock()
				continue
			}
		case <-s.kick:
		}
		s.syncs.Lock()
		s.sync(false)
		s.syncs.Unlock()
		s.expire()
	}
}

// Sync makes durable what was appended and committed before.
func (s *Spool) Sync() error {
	s.syncs.Lock()
	defer s.syncs.Unlock()
	return s.sync(true)
}

// sync is for who has syncs. The checkpoint is of what is synced before it.
func (s *Spool) sync(checkpoint bool) error {
	s.mu.Lock()
	if s.lock == nil {
		s.mu.Unlock()
		return ErrClosed
	}
	err := s.flush()
	s.fault = nil
	if len(s.todo) > 0 {
		s.signal()
	}
	files, sealed := s.sealed, len(s.sealed)
	if seg := s.active(); seg != nil && s.unsynced > 0 {
		files = append(files, seg.file)
	}
	s.sealed, s.unsynced = nil, 0
	var text []byte
	now := s.cfg.Now()
	if due := now.Sub(s.checked).Abs() >= checkEvery; s.changed && (due || checkpoint) {
		s.checked, s.changed = now, false
		text = s.checkpoint()
		s.journal.turn()
	}
	s.mu.Unlock()

	start := time.Now()
	var syncErr, checkErr error
	for i, f := range files {
		syncErr = cmp.Or(syncErr, f.Sync())
		if i < sealed {
			syncErr = cmp.Or(syncErr, f.Close())
		}
	}
	took := time.Since(start)
	if text != nil {
		checkErr = writeCheckpoint(s.cfg.Dir, text)
	}
	scarce := s.cfg.Free > 0 && free(s.cfg.Dir) < s.cfg.Free

	s.mu.Lock()
	defer s.mu.Unlock()
	s.scarce = scarce
	if len(files) > 0 {
		s.stats.Syncs++
		s.stats.SyncTime += took
	}
	if syncErr != nil {
		s.stats.SyncErrors++
	}
	s.changed = s.changed || checkErr != nil
	if text != nil {
		s.journal.covered = checkErr == nil
	}
	if err = cmp.Or(err, syncErr, checkErr); err != nil {
		s.warn("spool is not durable", "err", err)
	}
	return err
}

// expire drops what is too old of what is read next, also when nobody reads.
func (s *Spool) expire() {
	if s.cfg.Age <= 0 {
		return
	}
	s.mu.Lock()
	old := len(s.todo) > 0 && s.todo[0].since < s.cfg.Now().Add(-s.cfg.Age).UnixNano()
	s.mu.Unlock()
	if !old {
		return
	}
	if b, _ := s.Read(1, bufferBytes); b != nil { // an error is for who reads
		s.Return(b)
	}
}

// free returns the share of a file system that is free for this user; 1 if it
// is not known.
func free(path string) float64 {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil || st.Blocks == 0 {
		return 1
	}
	return float64(st.Bavail) / float64(st.Blocks)
}

// Close makes durable what was appended and committed, and gives up the
// directory. What is left is read after the next Open. The error says what could
// not be written; events that are lost with it are counted as dropped.
func (s *Spool) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	s.mu.Unlock()
	close(s.stop)
	<-s.done
	s.reads.Lock()
	defer s.reads.Unlock()
	s.syncs.Lock()
	defer s.syncs.Unlock()
	err := s.sync(true)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.buffered > 0 {
		err = fmt.Errorf("%d events are lost: %w", s.buffered, err)
		s.stats.Dropped[dir.DropReason(err)] += uint64(s.buffered)
		s.stats.Pending -= s.buffered
		s.active().left -= s.buffered
		s.buffered = 0
	}
	if seg := s.active(); seg != nil {
		seg.file.Close()
		seg.file = nil
	}
	s.journal.close(err == nil)
	s.lock.Release()
	s.lock = nil
	if err != nil {
		return fmt.Errorf("spool %s: %w", s.cfg.Dir, err)
	}
	return nil
}
