package flowlog_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/sink/flowlog"
)

// learn has a session become a known one, as the table of sessions does.
func learn(s *packet.Session, id uint32, name, account string) *packet.Session {
	known := newSession(id, name, account)
	s.Become(known)
	s.Ended.Store(true)
	return known
}

// A line is in the file of who the session is by the time it is written, and says
// so; what was written before stays.
func TestLinesAreOfWhatTheSessionBecame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLive(t, flowlog.Config{Dir: t.TempDir()})
		begin := l.next()
		before := &packet.Session{ID: 1, Name: "vni-7", VNI: 7}
		l.sink.Flow(0, flow(before, begin+second, 1))
		l.mark(time.Second)
		l.sink.Flow(0, flow(before, begin+2*second, 2))
		learn(before, 2, "web", "1111") // while the record waits
		l.mark(time.Second)
		finish(t, l.sink)
		if got, want := words(t, l.dir), []string{"eni-web OK", "eni-web OK", "- OK", "- OK"}; !slices.Equal(got, want) {
			t.Errorf("lines %q, want %q", got, want)
		}
		accounts := make(map[string]bool)
		for name := range tree(t, l.dir) {
			accounts[strings.Split(name, "/")[1]] = true
		}
		if got := slices.Sorted(maps.Keys(accounts)); fmt.Sprint(got) != "[1111 unknown]" {
			t.Errorf("accounts %q", got)
		}
	})
}

// A session that had traffic before it was known has no NODATA line of that
// interval, and one SKIPDATA line; the intervals that follow have what every
// known session's have.
func TestStatusOfWhatTheSessionBecame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lost atomic.Uint64
		before := &packet.Session{ID: 1, Name: "vni-7", VNI: 7}
		l := newLive(t, flowlog.Config{
			Dir: t.TempDir(), Lost: lost.Load,
			Sessions: func() []*packet.Session { return []*packet.Session{before.Identified()} },
		})
		begin := l.next()
		over := func(of int64) {
			l.next()
			l.sink.Cut(0, cut(begin+of*minute))
			l.mark(10 * time.Second)
		}
		over(0) // unknown and without traffic: nothing is said
		l.sink.Flow(0, flow(before, begin+minute+second, 1))
		l.mark(time.Second)
		known := learn(before, 2, "web", "1111")
		over(1) // known since, no traffic since
		over(2)
		next := &packet.Session{ID: 3, Name: "vni-8", VNI: 8}
		l.sink.Flow(0, flow(next, begin+3*minute+second, 1))
		l.mark(time.Second)
		lost.Add(1)
		learned := learn(next, 4, "db", "1111")
		l.sink.Flow(0, flow(learned, begin+3*minute+2*second, 1))
		l.sink.Flow(0, flow(known, begin+3*minute+2*second, 1))
		over(3)
		finish(t, l.sink)
		status := slices.DeleteFunc(words(t, l.dir), func(w string) bool { return strings.HasSuffix(w, " OK") })
		at := func(of int64) string {
			return fmt.Sprintf("%d %d", (begin+of*minute)/second, (begin+of*minute)/second+59)
		}
		want := []string{"eni-web NODATA " + at(2), "eni-db SKIPDATA " + at(3), "eni-web SKIPDATA " + at(3)}
		if !slices.Equal(status, want) {
			t.Errorf("lines %q, want %q", status, want)
		}
	})
}
