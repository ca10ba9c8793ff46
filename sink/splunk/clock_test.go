package splunk

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/periscope-collector/periscope/sink/splunk/hec/hectest"
)

// TestClockSetBack says that the ledger and what is sent beyond a budget come each
// minute all the same.
func TestClockSetBack(t *testing.T) {
	bubble(t, func(t *testing.T, server *hectest.Server, c Config) {
		var back atomic.Int64
		c.now = func() time.Time { return time.Now().Add(-time.Duration(back.Load())) }
		c.Ledger = true
		c.Report = func() []byte { return []byte(`{}`) }
		c.Budget = Budget{Flow: 1, Top: 10}
		s := open(t, c)
		came := func() (ledgers, flows int) {
			for _, a := range arrivals(t, server) {
				if a.Sourcetype == "periscope:ledger" {
					ledgers++
				} else {
					flows++
				}
			}
			return ledgers, flows
		}
		after(5*time.Minute + 30*time.Second)
		before, _ := came()
		back.Store(int64(100 * time.Minute))
		give(s, 0, 1)
		after(5 * time.Minute)
		ledgers, flows := came()
		if n := ledgers - before; n < 5 || n > 6 {
			t.Errorf("%d ledger events in the 5 minutes after, want one each", n)
		}
		if flows != 1 {
			t.Errorf("%d flows beyond the budget came, want 1", flows)
		}
		finish(t, s)
	})
}
