package flowlog_test

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/sink/flowlog"
)

// Lost frames are of the interval in which they were lost. Shortly after a
// boundary that may be the one before, since counts come late, and shortly before
// it the one behind, since they are read now and then.
func TestLossIsOfItsInterval(t *testing.T) {
	for _, c := range []struct {
		at   time.Duration // from the begin of the middle one of three intervals
		want string        // which have SKIPDATA
	}{
		{-2 * time.Second, "0"},
		{-300 * time.Millisecond, "0"},
		{time.Nanosecond, "01"},
		{1200 * time.Millisecond, "01"},
		{1800 * time.Millisecond, "1"},
		{2900 * time.Millisecond, "1"},
		{3100 * time.Millisecond, "1"},
		{59 * time.Second, "1"},
		{62 * time.Second, "2"},
	} {
		synctest.Test(t, func(t *testing.T) {
			var lost atomic.Uint64
			a, b := newSession(1, "a", "1"), newSession(2, "b", "1")
			l := newLive(t, flowlog.Config{
				Dir: t.TempDir(), Lost: lost.Load,
				Sessions: func() []*packet.Session { return []*packet.Session{a, b} },
			})
			begin := l.next()
			time.AfterFunc(time.Minute+c.at, func() { lost.Add(1) })
			for i := range int64(3) {
				time.Sleep(10 * time.Second)
				l.sink.Flow(0, flow(a, begin+i*minute+second, 1))
				l.mark(time.Second)
				l.next()
				time.Sleep(3 * time.Second)
				l.sink.Cut(0, cut(begin+i*minute))
				l.mark(time.Second)
			}
			finish(t, l.sink)
			got := words(t, l.dir)
			for i := range int64(3) {
				at := fmt.Sprintf(" %d %d", (begin+i*minute)/second, (begin+i*minute)/second+59)
				skip := strings.Contains(c.want, fmt.Sprint(i))
				if slices.Contains(got, "eni-a SKIPDATA"+at) != skip || slices.Contains(got, "eni-b NODATA"+at) == skip {
					t.Errorf("lost at %v: lines %q, want those of %s to be marked", c.at, got, c.want)
				}
			}
		})
	}
}
