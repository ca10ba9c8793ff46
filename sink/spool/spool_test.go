package spool

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/periscope-collector/periscope/internal/leak"
	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/sink/dir"
)

func TestMain(m *testing.M) {
	if path := os.Getenv("SPOOL_TEST_WRITE"); path != "" {
		appendForever(path)
	}
	leak.Check(m)
}

// open opens a spool that syncs only when it is told to, if Config says nothing else.
func open(t testing.TB, cfg Config) *Spool {
	t.Helper()
	if cfg.Size == 0 {
		cfg.Size = sizeMin
	}
	if cfg.SyncEvery == 0 {
		cfg.SyncEvery = time.Hour
	}
	s, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close(); balanced(t, s) })
	return s
}

func balanced(t testing.TB, s *Spool) {
	t.Helper()
	st := s.Stats()
	out := st.Committed + uint64(st.Pending)
	for _, n := range st.Dropped {
		out += n
	}
	if st.Found+st.Appended != out || st.Pending < 0 || st.Bytes < 0 {
		t.Errorf("account does not balance: %+v", st)
	}
}

func put(t testing.TB, s *Spool, events ...string) {
	t.Helper()
	for _, e := range events {
		if err := s.Append([]byte(e)); err != nil {
			t.Fatal(err)
		}
	}
}

func read(t testing.TB, s *Spool, maxEvents int) *Batch {
	t.Helper()
	b, err := s.Read(maxEvents, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// drain reads and commits all.
func drain(t testing.TB, s *Spool) (events []string) {
	t.Helper()
	for b := read(t, s, 1000); b != nil; b = read(t, s, 1000) {
		for _, e := range b.Events {
			events = append(events, string(e))
		}
		s.Commit(b)
	}
	return events
}

func equal(t testing.TB, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("read %q, want %q", got, want)
	}
}

func TestReadInOrderAndCommitInAny(t *testing.T) {
	path := t.TempDir()
	s := open(t, Config{Dir: path})
	at := s.Next()
	put(t, s, "a", "b", "c", "d", "e")
	a, c, e := read(t, s, 2), read(t, s, 2), read(t, s, 2)
	if a.First != at || a.Last.Offset != at.Offset+recordSize+1 || string(c.Events[0]) != "c" || string(e.Events[0]) != "e" || read(t, s, 1) != nil {
		t.Errorf("%+v %+v %+v", a, c, e)
	}
	s.Commit(c)
	s.Commit(c) // is not out any more
	s.Return(e)
	s.Return(a)
	id := s.ID()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s.Commit(a)

	s = open(t, Config{Dir: path})
	if st := s.Stats(); s.ID() != id || st.Found != 3 || st.Oldest.IsZero() {
		t.Errorf("id %s, was %s; %+v", s.ID(), id, st)
	}
	if next := s.Next(); next.Segment <= at.Segment {
		t.Errorf("next event at %v, where one may have been", next)
	}
	<-s.Ready()
	equal(t, drain(t, s), "a", "b", "e")
}

func TestPositionsAreNeverUsedTwice(t *testing.T) {
	path := t.TempDir()
	seen := map[string]bool{}
	for range 5 {
		s := open(t, Config{Dir: path, SegmentBytes: segmentMin})
		for i := range 40 {
			uid := fmt.Sprint(s.ID(), s.Next())
			if seen[uid] {
				t.Fatalf("%s again", uid)
			}
			seen[uid] = true
			next := s.Next()
			put(t, s, strings.Repeat("x", 100+i*10))
			b := read(t, s, 1)
			if b.First != next {
				t.Fatalf("event at %v, promised %v", b.First, next)
			}
			s.Commit(b)
		}
		if st := s.Stats(); st.Segments > 2 || st.Pending != 0 {
			t.Errorf("segments are not freed: %+v", st)
		}
		s.Close()
	}
}

func TestFull(t *testing.T) {
	s := open(t, Config{Dir: t.TempDir()})
	event := make([]byte, 100<<10)
	var err error
	n := 0
	for ; err == nil; n++ {
		err = s.Append(event)
	}
	if !errors.Is(err, ErrFull) || Reason(err) != packet.DropSpoolFull || s.Stats().Bytes > sizeMin || n < 39 {
		t.Errorf("%v after %d events, %+v", err, n, s.Stats())
	}
	drain(t, s)
	put(t, s, string(event), "b")
	if err := s.Append(make([]byte, MaxEvent+1)); err == nil {
		t.Error("too large an event was taken")
	}
	put(t, s, strings.Repeat("m", MaxEvent))
	if b, err := s.Read(10, 0); err != nil || len(b.Events) != 1 || len(b.Events[0]) != len(event) {
		t.Errorf("%v", err)
	}
	if got := drain(t, s); len(got) != 2 || len(got[1]) != MaxEvent {
		t.Errorf("%d events", len(got))
	}
}

func TestFree(t *testing.T) {
	s := open(t, Config{Dir: t.TempDir(), Free: 1.1})
	if err := s.Append([]byte("a")); Reason(err) != packet.DropDiskFull {
		t.Errorf("%v", err)
	}
}

func TestAge(t *testing.T) {
	now := time.Unix(1000, 0)
	s := open(t, Config{Dir: t.TempDir(), Age: time.Minute, Now: func() time.Time { return now }})
	put(t, s, "a")
	now = now.Add(time.Second)
	put(t, s, "b") // is written together with a, and has its time
	s.Sync()
	put(t, s, "c")
	now = now.Add(time.Minute)
	equal(t, drain(t, s), "c")
	if st := s.Stats(); st.Dropped[packet.DropExpired] != 2 {
		t.Errorf("%+v", st)
	}
}

// A write that fails loses nothing: what was taken stays in the buffer.
func TestDiskFull(t *testing.T) {
	s := open(t, Config{Dir: t.TempDir()})
	put(t, s, "a")
	seg := s.active()
	file := seg.file
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	seg.file = full
	if _, err := s.Read(1, 1); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("%v", err)
	}
	n := 0
	for err = nil; err == nil; n++ {
		err = s.Append(make([]byte, 10<<10))
	}
	if Reason(err) != packet.DropDiskFull || n != 7 {
		t.Errorf("%v after %d", err, n)
	}
	seg.file = file
	if err := s.Append([]byte("y")); Reason(err) != packet.DropDiskFull {
		t.Errorf("tried again before the next sync: %v", err)
	}
	if err := s.Sync(); err != nil {
		t.Error(err)
	}
	put(t, s, "z")
	if got := drain(t, s); len(got) != 8 || got[0] != "a" || got[7] != "z" {
		t.Errorf("%d events", len(got))
	}
	put(t, s, "lost")
	seg.file = full
	if err := s.Close(); !errors.Is(err, unix.ENOSPC) || s.Stats().Dropped[packet.DropDiskFull] != 1 {
		t.Errorf("%v, %+v", err, s.Stats())
	}
	file.Close()
}

func TestPrivateAndLocked(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a", "b")
	s := open(t, Config{Dir: path})
	put(t, s, "a")
	if err := s.Sync(); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]os.FileMode{path: os.ModeDir | 0o700, s.path(1): 0o600, filepath.Join(path, checkpointName): 0o600} {
		if fi, err := os.Stat(file); err != nil || fi.Mode() != want {
			t.Errorf("%s: %v, %v", file, fi.Mode(), err)
		}
	}
	var locked *dir.LockedError
	if _, err := Open(Config{Dir: path, Size: sizeMin}); !errors.As(err, &locked) {
		t.Errorf("%v", err)
	}
	s.Close()
	if _, err := s.Read(1, 1); !errors.Is(err, ErrClosed) || !errors.Is(s.Append([]byte("a")), ErrClosed) {
		t.Errorf("%v", err)
	}
}

func TestAppendAllocatesNothing(t *testing.T) {
	s := open(t, Config{Dir: t.TempDir(), Size: 1 << 30})
	event := make([]byte, 600)
	if n := testing.AllocsPerRun(5000, func() { s.Append(event) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
