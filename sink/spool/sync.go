package spool

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/periscope-collector/periscope/sink/dir"
)

// run syncs every Config.SyncEvery, and when much is not synced, until Close.
func (s *Spool) run() {
	defer close(s.done)
	tick := time.NewTicker(s.cfg.SyncEvery)
	defer tick.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-tick.C:
		case <-s.kick:
		}
		s.sync(false)
	}
}

// Sync makes durable what was appended and committed before.
func (s *Spool) Sync() error { return s.sync(true) }

func (s *Spool) sync(checkpoint bool) error {
	s.syncs.Lock()
	defer s.syncs.Unlock()
	s.mu.Lock()
	err := s.flush()
	files, unsynced := s.sealed, s.unsynced
	s.sealed, s.unsynced = nil, 0
	sealed := len(files)
	if seg := s.active(); seg != nil && unsynced > 0 {
		files = append(files, seg.file)
	}
	s.mu.Unlock()

	start := time.Now()
	var syncErr error
	for i, f := range files {
		syncErr = errors.Join(syncErr, f.Sync())
		if i < sealed {
			syncErr = errors.Join(syncErr, f.Close())
		}
	}
	scarce := s.cfg.Free > 0 && free(s.cfg.Dir) < s.cfg.Free

	s.mu.Lock()
	defer s.mu.Unlock()
	s.scarce = scarce
	if len(files) > 0 {
		s.stats.Syncs++
		s.stats.SyncTime += time.Since(start)
	}
	if syncErr != nil {
		s.stats.SyncErrors++
	}
	now := s.cfg.Now()
	if due := now.Sub(s.checked).Abs() >= checkEvery; s.changed && (due || checkpoint) {
		s.checked = now
		err = errors.Join(err, s.writeCheckpoint())
	}
	err = errors.Join(err, syncErr)
	if err != nil {
		s.warn("spool is not durable", "err", err)
	}
	return err
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
	err := s.Sync()
	s.reads.Lock()
	defer s.reads.Unlock()
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
	s.lock.Release()
	if err != nil {
		return fmt.Errorf("spool %s: %w", s.cfg.Dir, err)
	}
	return nil
}
