//go:build soak

package main

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/periscope-collector/periscope/bench/traffic"
)

// What the tests without "Soak" in their names do, more often.

func TestSoakKill(t *testing.T) {
	for range 20 {
		killUnderLoad(t)
	}
}

func TestSoakStopUnderLoad(t *testing.T) {
	for range 20 {
		stopUnderLoad(t, 20_000)
	}
}

func TestSoakDiskFull(t *testing.T)        { fillDisk(t, 5) }
func TestSoakReplaceSessions(t *testing.T) { replaceSessions(t, 1000) }
func TestSoakFloodOfVNIs(t *testing.T)     { floodVNIs(t, 1_000_000) }

// A flow record is in its file at most 5 s after its interval ended, with 200,000
// flows in each interval.
func TestSoakFlowRecordsAreInTime(t *testing.T) {
	c := collect(t, setup{sinks: "flowlog: {dir: records, format: json, interval: 10s}"})
	l := newLoad(t, c.vxlan, 1, 64)
	l.frames = traffic.NewFrames(traffic.FramesConfig{Seed: 1, Flows: 200_000, Size: 64})
	stop := l.start(40_000)
	var worst time.Duration
	for i := range 4 {
		end := time.Now().Truncate(10 * time.Second).Add(10 * time.Second)
		time.Sleep(time.Until(end))
		// Records are of flows that go on: they are written for the interval.
		grew, was := end, c.ledger().Sinks["flowlog"].Stored
		first := was
		for time.Since(end) < 8*time.Second {
			time.Sleep(20 * time.Millisecond)
			if now := c.ledger().Sinks["flowlog"].Stored; now > was {
				grew, was = time.Now(), now
			}
		}
		t.Logf("%d records, the last one in the file %s after the end of the interval", was-first, grew.Sub(end))
		worst = max(worst, grew.Sub(end))
		if i > 0 && was-first < 50_000 { // the first one may have just begun
			t.Errorf("%d records of 200,000 flows", was-first)
		}
	}
	stop()
	if worst > 5*time.Second {
		t.Errorf("%s after the end of an interval, want 5s at most", worst)
	}
	led := c.stop()
	packets := uint64(0)
	readFlows(t, filepath.Join(c.dir, "records"), func(r flowRecord) { packets += r.Packets })
	if packets != led.Delivered.Packets || len(led.Sinks["flowlog"].Dropped) != 0 {
		t.Errorf("%d packets in records: %+v", packets, led)
	}
}
