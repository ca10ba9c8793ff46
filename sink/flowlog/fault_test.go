package flowlog_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"github.com/periscope-collector/periscope/internal/lab"
	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/sink/flowlog"
)

func resize(t *testing.T, dir, size string) {
	t.Helper()
	if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_REMOUNT, "size="+size); err != nil {
		t.Fatal(err)
	}
}

// noise gives n records that do not compress well.
func (l *live) noise(s *packet.Session, begin int64, n int) {
	for i := range n {
		r := flow(s, begin+second, uint16(i*7919))
		r.Addr[1] = packet.AddrFrom4([4]byte{203, byte(i * 31), byte(i >> 3), byte(i * 17)})
		r.Side[0].Bytes = uint64(i) * 2654435761
		l.sink.Flow(0, r)
		if i%5000 == 4999 {
			l.mark(1100 * time.Millisecond)
		}
	}
	l.mark(1100 * time.Millisecond)
}

// okLines returns how many lines of records are in the files, all of which must
// be whole.
func okLines(t *testing.T, dir string) (n uint64) {
	for _, line := range lines(t, dir) {
		if strings.HasSuffix(line, "OK\n") {
			n++
		}
	}
	return n
}

func TestDiskFullAndBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLive(t, flowlog.Config{Dir: lab.Disk(t, 128<<10)})
		a := newSession(1, "a", "1")
		begin := l.next()
		l.noise(a, begin, 1000)
		l.want(1000, 0, 0, 0)
		l.noise(a, begin, 20_000)
		full := l.sink.Ledger()
		dropped := full.Dropped[packet.DropDiskFull]
		if full.Stored <= 1000 || full.Pending == 0 || dropped == 0 {
			t.Errorf("full: %+v", full)
		}
		if n := okLines(t, l.dir); n != 2*full.Stored {
			t.Errorf("full: %d lines of %d records", n, full.Stored)
		}
		st := l.sink.Stats()
		if st.Failing != 1 || st.FilesOpen != 1 || st.WriteErrors[packet.DropDiskFull] < 3 || strings.Count(l.log.String(), "cannot be written") != 1 {
			t.Errorf("%+v, log\n%s", st, l.log)
		}
		l.sink.Cut(0, cut(begin)) // SKIPDATA waits too
		l.mark(time.Second)
		resize(t, l.dir, "4m")
		l.mark(2 * time.Second)
		l.want(full.Stored+full.Pending, 0, dropped, 0)
		finish(t, l.sink)
		if n := okLines(t, l.dir); n != 2*(full.Stored+full.Pending) {
			t.Errorf("with room again: %d lines of %d records", n, full.Stored+full.Pending)
		}
		last := lines(t, l.dir)
		if !strings.HasSuffix(last[len(last)-1], "SKIPDATA\n") || !strings.Contains(l.log.String(), "written again") {
			t.Errorf("last line %q, log\n%s", last[len(last)-1], l.log)
		}
		if st := l.sink.Stats(); st.Failing != 0 || st.FilesCompleted != 1 || st.FilesIncomplete != 0 {
			t.Errorf("%+v", st)
		}
	})
}

// A disk that is full from the start: no empty files. What waits at the end is
// lost, and counted.
func TestDiskFullFromTheStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := lab.Disk(t, 64<<10)
		l := newLive(t, flowlog.Config{Dir: dir})
		os.WriteFile(filepath.Join(dir, "filler"), make([]byte, 1<<20), 0o600)
		a := newSession(1, "a", "1")
		begin := l.next()
		l.sink.Flow(0, flow(a, begin, 1))
		l.mark(3 * time.Second)
		l.want(0, 1, 0, 0)
		if got := names(tree(t, dir)); len(got) != 1 {
			t.Errorf("files %q", got)
		}
		finish(t, l.sink)
		l.want(0, 0, 1, 0)
		if got := names(tree(t, dir)); len(got) != 1 {
			t.Errorf("files %q", got)
		}
		if st := l.sink.Stats(); st.Failing != 0 || st.FilesOpen != 0 {
			t.Errorf("%+v", st)
		}
	})
}

// With the disk full a file that is needed no more gives way, and what is lost
// with it is said once there is room again.
func TestDiskFullOfManyFiles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := lab.Disk(t, 64<<10)
		l := newLive(t, flowlog.Config{Dir: dir, OpenFiles: 2})
		filler := filepath.Join(dir, "filler")
		os.WriteFile(filler, make([]byte, 1<<20), 0o600)
		begin := l.next()
		for i := range 3 {
			l.sink.Flow(0, flow(newSession(uint32(i), fmt.Sprint(i), fmt.Sprint(i)), begin, 1))
		}
		l.mark(3 * time.Second)
		l.want(0, 2, 1, 0)
		os.Remove(filler)
		l.sink.Cut(0, cut(begin))
		l.mark(3 * time.Second)
		l.want(2, 0, 1, 0)
		finish(t, l.sink)
		if got := words(t, dir); len(got) != 5 || !strings.HasPrefix(got[0], "eni-0 SKIPDATA") {
			t.Errorf("lines %q", got)
		}
	})
}

// NODATA lines that wait for a full disk are bounded too, and counted.
func TestDiskFullOfStatusLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 10_000
		sessions := make([]*packet.Session, n)
		for i := range sessions {
			sessions[i] = newSession(uint32(i), fmt.Sprintf("%05d", i), "1")
		}
		dir := lab.Disk(t, 64<<10)
		l := newLive(t, flowlog.Config{Dir: dir, Sessions: func() []*packet.Session { return sessions }})
		filler := filepath.Join(dir, "filler")
		os.WriteFile(filler, make([]byte, 1<<20), 0o600)
		begin := l.next()
		l.sink.Cut(0, cut(begin-minute))
		l.mark(time.Second)
		lost := l.sink.Stats().LostLines
		if lost == 0 || lost == n {
			t.Errorf("%d lines lost", lost)
		}
		resize(t, dir, "4m")
		l.mark(2 * time.Second)
		if st := l.sink.Stats(); st.Lines != n-lost || st.NoDataLines != n {
			t.Errorf("%+v", st)
		}
		os.WriteFile(filler, make([]byte, 8<<20), 0o600)
		l.next()
		l.sink.Cut(0, cut(begin)) // no room, and the end
		finish(t, l.sink)
		st := l.sink.Stats()
		if st.NoDataLines != 2*n || st.Lines+st.LostLines != 2*n {
			t.Errorf("%+v", st)
		}
		os.Remove(filler)
		if got := lines(t, dir); uint64(len(got)) != st.Lines {
			t.Errorf("%d lines, want %d", len(got), st.Lines)
		}
	})
}

// Where a directory should be is a file.
func TestCannotMakeDirectory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLive(t, flowlog.Config{Dir: t.TempDir()})
		blocker := filepath.Join(l.dir, "AWSLogs")
		os.WriteFile(blocker, nil, 0o600)
		l.sink.Flow(0, flow(newSession(1, "a", "1"), l.next(), 1))
		l.mark(3 * time.Second)
		l.want(0, 1, 0, 0)
		if st := l.sink.Stats(); st.WriteErrors[packet.DropIO] < 2 || st.Failing != 1 {
			t.Errorf("%+v", st)
		}
		os.Remove(blocker)
		l.mark(3 * time.Second)
		l.want(1, 0, 0, 0)
		finish(t, l.sink)
	})
}

// A directory that was removed and is written by another process by the time it
// is missed stays the other's.
func TestLockLost(t *testing.T) {
	dir := t.TempDir()
	log, text := logger()
	s := open(t, flowlog.Config{Dir: dir, Replay: true, Log: log})
	os.Remove(dir + "/.lock")
	other := open(t, flowlog.Config{Dir: dir})
	s.Flow(0, flow(newSession(1, "a", "1"), base, 1))
	finish(t, s)
	if l := s.Ledger(); l.Dropped[packet.DropIO] != 1 || !strings.Contains(text.String(), "is being written by pid") {
		t.Errorf("ledger %+v, log\n%s", l, text)
	}
	finish(t, other)
}

func TestNothingStaysOpen(t *testing.T) {
	dir := t.TempDir()
	s := open(t, flowlog.Config{Dir: dir})
	for i := range 10 {
		s.Flow(0, flow(newSession(uint32(i), "a", fmt.Sprint(i)), base, 1))
	}
	finish(t, s)
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		if path, _ := os.Readlink("/proc/self/fd/" + fd.Name()); strings.HasPrefix(path, dir) {
			t.Errorf("%s is open", path)
		}
	}
}
