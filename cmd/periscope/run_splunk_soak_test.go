//go:build soak

package main

import (
	"fmt"
	"testing"
	"time"

	"github.com/periscope-collector/periscope/internal/pipeline"
)

// How long the indexer is away, and refuses the token; a tenth with -short.
const (
	outage  = 5 * time.Minute
	refused = 10 * time.Minute
)

// splunkRate is how many flows come in a second. The race detector makes the
// collector, and more so the indexer in the test, several times slower.
func splunkRate() float64 {
	if raceEnabled {
		return 4000
	}
	return 20_000
}

func shortened(d time.Duration) time.Duration {
	if testing.Short() {
		return d / 10
	}
	return d
}

// eventBytes is more than a crowd's event takes in the spool.
const eventBytes = 1000

// crowded is a collector for a load that waits in the spool for a while.
func crowded(t *testing.T, x *indexer, wait time.Duration) (*collector, *crowd) {
	t.Helper()
	size := int(splunkRate()*wait.Seconds()*1.2) * eventBytes >> 20
	c := collectSplunk(t, setup{
		sinks:  splunkSink(x.url(), "flow", fmt.Sprintf("%dMiB", max(size, 64))),
		more:   smallTable,
		rotate: "size: 16MiB", retain: "size: 128MiB",
	})
	return c, &crowd{t: t, to: c.vxlan}
}

// follow looks at the account every 100 ms, and shows it every 10 s, until done
// says so. It gives up after a while.
func (c *collector) follow(x *indexer, limit time.Duration, done func(pipeline.SinkLedger) bool) {
	c.t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	began := time.Now()
	for shown := began; ; <-tick.C {
		l := c.ledger()
		sink := l.Sinks["splunk"]
		if time.Since(shown) >= 10*time.Second {
			shown = time.Now()
			c.t.Logf("%s: %d offered, %d stored, %d pending, dropped %v; %d lost by the socket, the indexer has %d",
				time.Since(began).Round(time.Second), sink.Offered, sink.Stored, sink.Pending, sink.Dropped, l.Lost.Socket, x.count().Distinct)
		}
		if done(sink) {
			return
		}
		if time.Since(began) > limit {
			c.t.Fatalf("not done after %s: %+v", limit, sink)
		}
	}
}

// drain waits until what has piled up is sent while more comes, and returns how
// many events the indexer took in a second from when it had none of them.
func (c *collector) drain(x *indexer, limit time.Duration) float64 {
	c.t.Helper()
	up, before := time.Now(), x.count().Distinct
	began, flows := up, false
	c.follow(x, limit, func(s pipeline.SinkLedger) bool {
		if flows = flows || x.count().Distinct > before; !flows {
			began = time.Now()
		}
		return flows && s.Pending < uint64(splunkRate())
	})
	c.t.Logf("%s until the first events came", began.Sub(up).Round(100*time.Millisecond))
	took, n := time.Since(began), x.count().Distinct-before
	rate := float64(n) / took.Seconds()
	c.t.Logf("%d events in %s: %.0f a second, %.1f times the %.0f that come", n, took.Round(100*time.Millisecond), rate, rate/splunkRate(), splunkRate())
	return rate
}

// With the indexer away at 20,000 events a second, frames are captured and kept
// in files as before. What has piled up is sent at three times the rate, and none
// is lost.
func TestSoakSplunkOutage(t *testing.T) {
	away := shortened(outage)
	x := newIndexer(t, splunkToken, 0)
	c, load := crowded(t, x, 2*away)
	stop := load.start(splunkRate())
	c.follow(x, away, func(s pipeline.SinkLedger) bool { return s.Stored > uint64(5*splunkRate()) })
	x.down()
	began := time.Now()
	c.follow(x, 2*away, func(pipeline.SinkLedger) bool { return time.Since(began) >= away })
	x.up()
	if rate := c.drain(x, 2*away); rate < 3*splunkRate() {
		t.Errorf("%.0f events a second while %.0f come, want three times as many", rate, splunkRate())
	}
	stop()
	c.allArrived(x, load, 16*5000) // those of the requests that were out
}

// A token that is refused for long, and replaced then, loses nothing.
func TestSoakSplunkTokenRefused(t *testing.T) {
	away := shortened(refused)
	x := newIndexer(t, splunkToken, 0)
	c, load := crowded(t, x, 2*away)
	stop := load.start(splunkRate() / 4)
	c.follow(x, away, func(s pipeline.SinkLedger) bool { return s.Stored > uint64(splunkRate()) })
	x.take(anotherToken)
	began := time.Now()
	c.follow(x, 2*away, func(pipeline.SinkLedger) bool { return time.Since(began) >= away })
	writeToken(t, c.dir, anotherToken)
	c.drain(x, 2*away)
	stop()
	c.allArrived(x, load, 0)
}

func TestSoakKillSplunk(t *testing.T) {
	killing{times: 50, rate: splunkRate(), live: 2, spare: 200 * time.Millisecond, stale: 250 * time.Millisecond}.run(t)
}
