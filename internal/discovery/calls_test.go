package discovery

import (
	"fmt"
	"net/netip"
	"os"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/periscope-collector/periscope/internal/awsfake"
)

// runTasks is runTask for many.
func (w *whole) runTasks(n int) {
	address := netip.MustParseAddr("10.0.1.0")
	w.Change(func(s *awsfake.State) { s.Quotas.Sessions, s.Quotas.SourcesPerTarget = n+1000, n+1000 })
	for i := range n {
		task, err := w.RunTask(awsfake.Run{Account: home, Region: region, Cluster: "prod", Service: "web", Address: address})
		if err != nil {
			w.t.Fatal(err)
		}
		if _, err := w.Mirror(home, region, task.Interface(), uint32(i+1)); err != nil {
			w.t.Fatal(err)
		}
		address = address.Next()
	}
}

// calls returns how many calls were made, those for instance metadata left out.
func (w *whole) calls() (sum uint64) {
	for _, n := range w.scopes[0].api.Calls() {
		sum += n
	}
	return sum
}

// TestCallsPerHour holds the figures of docs/operations.md. SESSIONS=10000 in the
// environment has it count those of as many, which takes minutes.
func TestCallsPerHour(t *testing.T) {
	tests := []struct {
		sessions int
		start    uint64 // calls of the first look
		hour     uint64 // of the hour after it, if nothing changes
		change   uint64 // of a look that finds one task replaced
	}{
		{10, 10, 150, 6},
		{100, 10, 150, 6},
		{10_000, 266, 1524, 114},
	}
	page, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range tests {
		row := fmt.Sprintf(`(?m)^\| %s \|.*\| %s \| %d \| %d \|$`,
			humanize.Comma(int64(tt.sessions)), humanize.Comma(int64(tt.hour)), tt.start, tt.change)
		if !regexp.MustCompile(row).Match(page) {
			t.Errorf("docs/operations.md has no row %s", row)
		}
		if n, _ := strconv.Atoi(os.Getenv("SESSIONS")); tt.sessions > max(100, n) {
			continue
		}
		t.Run(fmt.Sprint(tt.sessions), func(t *testing.T) {
			w := newWhole(t, nil)
			collector, _, err := w.RunInstance(home, region, "collector", netip.MustParseAddr("10.0.0.9"))
			if err != nil {
				t.Fatal(err)
			}
			w.Change(func(s *awsfake.State) { s.Self = awsfake.Self{Account: home, Region: region, Instance: collector.ID} })
			w.runTasks(tt.sessions)
			w.after(time.Second)
			if n := len(w.tenures); n != tt.sessions || w.tenures[n-1].Workload.TaskARN == "" {
				t.Fatalf("%d sessions, the last %+v", n, w.tenures[n-1])
			}
			if n := w.calls(); n != tt.start {
				t.Errorf("%d calls at the start, want %d: %v", n, tt.start, w.scopes[0].api.Calls())
			}
			before := w.calls()
			for range 120 {
				w.after(30 * time.Second)
			}
			if n := w.calls() - before; n != tt.hour {
				t.Errorf("%d calls an hour, want %d: %v", n, tt.hour, w.scopes[0].api.Calls())
			}
			before = w.calls()
			if _, err := w.StopTask(w.tenures[0].Workload.TaskARN); err != nil {
				t.Fatal(err)
			}
			w.runTask(77)
			w.after(30 * time.Second)
			if n := w.calls() - before; n != tt.change {
				t.Errorf("%d calls for a change, want %d: %v", n, tt.change, w.scopes[0].api.Calls())
			}
		})
	}
}
