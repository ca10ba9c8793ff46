package flowlog_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/sink/flowlog"
)

// A live run of one worker in the fake time of synctest.
type live struct {
	t    *testing.T
	dir  string
	sink *flowlog.Sink
	log  fmt.Stringer
}

func newLive(t *testing.T, c flowlog.Config) *live {
	log, text := logger()
	c.Log = log
	return &live{t: t, dir: c.Dir, sink: open(t, c), log: text}
}

// next waits for the next multiple of a minute, which it returns.
func (l *live) next() int64 {
	now := time.Now().UnixNano()
	begin := now - now%minute + minute
	time.Sleep(time.Duration(begin - now))
	return begin
}

// mark ends a batch and waits, so that the writer has done what it does in that
// time.
func (l *live) mark(wait time.Duration) {
	l.t.Helper()
	for i := range 2 {
		l.sink.Mark(0, 0, time.Now().UnixNano()+int64(i)*second)
	}
	time.Sleep(wait)
	synctest.Wait()
	if ledger := l.sink.Ledger(); ledger.Imbalance() != 0 {
		l.t.Errorf("ledger %+v", ledger)
	}
}

func (l *live) want(stored, pending, diskFull, io uint64) {
	l.t.Helper()
	got := l.sink.Ledger()
	if got.Stored != stored || got.Pending != pending || got.Dropped[packet.DropDiskFull] != diskFull || got.Dropped[packet.DropIO] != io {
		l.t.Errorf("ledger %+v, want %d stored, %d pending, %d disk_full, %d io_error", got, stored, pending, diskFull, io)
	}
}

// words returns the interface, the log status and, for status lines, the times
// of every line.
func words(t *testing.T, dir string) (all []string) {
	for _, line := range lines(t, dir) {
		f := strings.Fields(line)
		word := f[2] + " " + f[13]
		if f[13] != "OK" {
			word += " " + f[10] + " " + f[11]
		}
		all = append(all, word)
	}
	return all
}

// A line is in the file within a second of its record, and when the interval is
// over; each time the file is whole.
func TestLinesAreOnDiskInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLive(t, flowlog.Config{Dir: t.TempDir()})
		a := newSession(1, "a", "1")
		begin := l.next()
		l.sink.Flow(0, flow(a, begin+second, 1))
		l.mark(900 * time.Millisecond)
		l.want(1, 0, 0, 0)
		if n := len(lines(t, l.dir)); n != 2 {
			t.Errorf("%d lines after a second", n)
		}
		l.next()
		l.sink.Flow(0, flow(a, begin+minute-1, 2))
		l.sink.Cut(0, cut(begin))
		l.mark(0)
		l.want(2, 0, 0, 0)
		if n := len(lines(t, l.dir)); n != 4 {
			t.Errorf("%d lines after the cut", n)
		}
		finish(t, l.sink)
		if got := names(tree(t, l.dir)); len(got) != 1 || strings.HasSuffix(got[0], ".partial") {
			t.Errorf("files %q", got)
		}
	})
}

func TestCompleteLive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLive(t, flowlog.Config{Dir: t.TempDir()})
		a := newSession(1, "a", "1")
		begin := l.next()
		for begin%(5*minute) != 0 {
			begin = l.next()
		}
		l.sink.Flow(0, flow(a, begin, 1))
		for i := range int64(6) {
			l.next()
			if st := l.sink.Stats(); st.FilesCompleted != 0 {
				t.Fatalf("complete %d minutes after the window began", i+1)
			}
			l.sink.Cut(0, cut(begin+i*minute))
			l.mark(time.Second)
		}
		if st := l.sink.Stats(); st.FilesCompleted != 1 || st.FilesOpen != 0 {
			t.Errorf("%+v", st)
		}
		finish(t, l.sink)
	})
}

func TestNoDataAndSkipData(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lost atomic.Uint64
		a, b, gone, later := newSession(1, "a", "1"), newSession(2, "b", "1"), newSession(3, "gone", "1"), newSession(4, "later", "1")
		unknown := &packet.Session{ID: 9, Name: "vni-9"}
		later.From = (time.Now().UnixNano()/minute + 3) * minute
		gone.Ended.Store(true)
		l := newLive(t, flowlog.Config{
			Dir: t.TempDir(), Workers: 2,
			Sessions: func() []*packet.Session { return []*packet.Session{unknown, b, gone, later, a} },
			Lost:     lost.Load,
		})
		begin := l.next()
		interval := func(of int64, sessions ...*packet.Session) {
			begin := begin + of*minute
			for _, s := range sessions {
				l.sink.Flow(0, flow(s, begin+second, 1))
			}
			l.next()
			l.sink.Cut(0, cut(begin))
			l.mark(time.Second)
			l.sink.Cut(1, cut(begin))
			l.sink.Mark(1, 0, time.Now().UnixNano())
			l.mark(time.Second)
		}
		interval(0, a)
		time.Sleep(10 * time.Second)
		lost.Add(1)
		interval(1, a)
		interval(2, a, b)
		lost.Add(1)
		interval(3, later, unknown)
		finish(t, l.sink)

		at := func(of int64) string {
			return fmt.Sprintf("%d %d", (begin+of*minute)/second, (begin+of*minute)/second+59)
		}
		want := []string{
			"eni-a OK", "eni-a OK", "eni-b NODATA " + at(0),
			"eni-a OK", "eni-a OK", "eni-a SKIPDATA " + at(1),
			"eni-a OK", "eni-a OK", "eni-b OK", "eni-b OK", "eni-later NODATA " + at(2),
			"eni-later OK", "eni-later OK", "eni-later SKIPDATA " + at(3),
			"- OK", "- OK", "- SKIPDATA " + at(3),
		}
		if got := words(t, l.dir); !slices.Equal(got, want) {
			t.Errorf("lines\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		if st := l.sink.Stats(); st.NoDataLines != 2 || st.SkipDataLines != 3 || st.Lines != 17 {
			t.Errorf("%+v", st)
		}
	})
}

// The lines of the last interval are of the whole interval.
func TestLastInterval(t *testing.T) {
	for _, c := range []struct {
		last packet.Cut
		want []string
	}{
		{packet.Cut{Begin: base, End: base + minute, Last: true}, []string{"eni-a OK", "eni-a OK", "eni-b NODATA 1768471200 1768471259"}},
		{packet.Cut{Begin: base, End: base, Last: true}, []string{"eni-a OK", "eni-a OK", "eni-b NODATA 1768471200 1768471259"}},
		{packet.Cut{Last: true}, []string{"eni-a OK", "eni-a OK", "eni-b NODATA 1768471200 1768471259"}},
	} {
		a, b := newSession(1, "a", "1"), newSession(2, "b", "1")
		dir := t.TempDir()
		s := open(t, flowlog.Config{Dir: dir, Replay: true, Workers: 2, Sessions: func() []*packet.Session { return []*packet.Session{b, a} }})
		s.Settle(t.Context())
		s.Flow(0, flow(a, base+second, 1))
		s.Cut(0, c.last)
		finish(t, s)
		if got := words(t, dir); !slices.Equal(got, c.want) {
			t.Errorf("%+v: %q, want %q", c.last, got, c.want)
		}
	}
}

func TestStatusInJSON(t *testing.T) {
	dir := t.TempDir()
	a := newSession(1, "a", "1")
	s := open(t, flowlog.Config{Dir: dir, Replay: true, Format: flowlog.JSON, Sessions: func() []*packet.Session { return []*packet.Session{a} }})
	s.Cut(0, cut(base))
	finish(t, s)
	want := `{"log_status":"NODATA","interval_begin":"2026-01-15T10:00:00.000000Z","interval_end":"2026-01-15T10:01:00.000000Z",` +
		`"session":"a","vni":1,"interface_id":"eni-a","account_id":"1","region":"eu-central-1"}` + "\n"
	if got := lines(t, dir); len(got) != 1 || got[0] != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// What a live worker finds no room for is dropped and counted, and said in the
// file. The writer stands still meanwhile, in its call for the sessions.
func TestDropsLive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newSession(1, "a", "1"), newSession(2, "b", "1")
		hold := make(chan struct{})
		l := newLive(t, flowlog.Config{
			Dir: t.TempDir(), Buffer: 1, // 512 records
			Sessions: func() []*packet.Session { <-hold; return []*packet.Session{a, b} },
		})
		begin := l.next()
		l.sink.Cut(0, cut(begin-minute))
		l.mark(0) // the writer waits now
		for i := range 2000 {
			l.sink.Flow(0, flow(a, begin+second, uint16(i)))
		}
		l.sink.Flow(0, flow(b, begin+second, 1))
		l.sink.Cut(0, cut(begin)) // no room either
		l.mark(0)
		got := l.sink.Ledger()
		dropped := got.Dropped[packet.DropQueueFull]
		if got.Offered != 2001 || dropped < 1400 || got.Pending != 2001-dropped {
			t.Errorf("ledger %+v", got)
		}
		close(hold)
		l.mark(time.Second)
		l.mark(time.Second)
		l.want(2001-dropped, 0, 0, 0)
		skips := slices.DeleteFunc(words(t, l.dir), func(w string) bool { return !strings.Contains(w, "SKIPDATA") })
		at := fmt.Sprintf(" SKIPDATA %d %d", begin/second, begin/second+59)
		if want := []string{"eni-a" + at, "eni-b" + at}; !slices.Equal(skips, want) {
			t.Errorf("%q, want %q", skips, want)
		}
		finish(t, l.sink)
	})
}

func TestProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, flowlog.Config{Dir: t.TempDir()})
		before := s.Progress()
		time.Sleep(time.Second)
		synctest.Wait()
		if n := s.Progress() - before; n < 3 {
			t.Errorf("%d steps in an idle second, want 3 or more", n)
		}
		finish(t, s)
	})
}

func TestFileTakenAway(t *testing.T) {
	for name, act := range map[string]func(dir, file string){
		"file removed":      func(dir, file string) { os.Remove(file) },
		"file replaced":     func(dir, file string) { os.Rename(file, dir+"/elsewhere"); os.WriteFile(file, nil, 0o600) },
		"file cut":          func(dir, file string) { os.Truncate(file, 30) },
		"directory moved":   func(dir, file string) { os.Rename(dir+"/AWSLogs", dir+"/elsewhere") },
		"directory removed": func(dir, file string) { os.RemoveAll(dir) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLive(t, flowlog.Config{Dir: filepath.Join(t.TempDir(), "flows")})
				a := newSession(1, "a", "1")
				begin := l.next()
				l.sink.Flow(0, flow(a, begin, 1))
				l.mark(time.Second)
				before := names(tree(t, l.dir))
				act(l.dir, filepath.Join(l.dir, before[0]))
				l.sink.Flow(0, flow(a, begin, 2))
				l.mark(time.Second)
				l.want(2, 0, 0, 0)
				finish(t, l.sink)
				var found []string
				for name, content := range tree(t, l.dir) {
					if strings.HasSuffix(name, ".log.gz") {
						found = append(found, unzip(t, content))
					}
				}
				if len(found) != 1 || strings.Count(found[0], "\n") != 3 {
					t.Errorf("complete files %q", found)
				}
				if st := l.sink.Stats(); st.FilesIncomplete != 1 || !strings.Contains(l.log.String(), "removed or changed") {
					t.Errorf("%+v, log\n%s", st, l.log)
				}
				if _, err := os.Stat(l.dir + "/.lock"); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// Live there is no NODATA line of an interval that the sink has not seen whole:
// the one it was opened in, and the one it is closed in.
func TestNoDataOfWholeIntervals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(30 * time.Second)
		quiet := newSession(1, "quiet", "1")
		l := newLive(t, flowlog.Config{Dir: t.TempDir(), Sessions: func() []*packet.Session { return []*packet.Session{quiet} }})
		first := l.next()
		l.sink.Cut(0, cut(first-minute))
		l.mark(time.Second)
		then := l.next()
		l.sink.Cut(0, cut(first))
		l.mark(1)
		last := cut(then)
		last.Last = true
		l.sink.Settle(t.Context())
		l.sink.Cut(0, last)
		finish(t, l.sink)
		want := []string{fmt.Sprintf("eni-quiet NODATA %d %d", first/1e9, first/1e9+59)}
		if got := words(t, l.dir); !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	})
}
