package splunk

import (
	"testing"
	"time"

	"github.com/periscope-collector/periscope/sink/splunk/hec/hectest"
)

// TestRecordsArriveInTime says that a record is with the server 2 s after it was
// given, when nothing is backed up: alone, the first of several, and the first
// behind a batch. A worker marks every 100 ms, as an idle one does.
func TestRecordsArriveInTime(t *testing.T) {
	bubble(t, func(t *testing.T, server *hectest.Server, c Config) {
		s := open(t, c)
		given, arrived := 0, func() int { return len(server.Events()) }
		for _, flows := range []int{1, 2, 300, 6000, 1} {
			for n := range flows {
				s.Flow(0, flow(given+n))
			}
			given += flows
			start := time.Now()
			for arrived() < given && time.Since(start) < time.Minute {
				s.Mark(0, 0, time.Now().UnixNano())
				after(100 * time.Millisecond)
			}
			if took := time.Since(start); took > 2*time.Second {
				t.Errorf("%d records took %v", flows, took)
			}
		}
		finish(t, s)
		wantOnce(t, numbers(t, server), 0, given)
	})
}
