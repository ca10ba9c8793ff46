//go:build soak

package main

import (
	"os"
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

// steady is how long TestSoakSteadyLoad takes.
const steady = 10 * time.Minute

// Under a load that does not end, with files that come and go, nothing is lost
// and nothing grows.
func TestSoakSteadyLoad(t *testing.T) {
	const (
		rate   = 5000 // of each of two sessions
		retain = 32 << 20
		rotate = 1 << 20
	)
	c := collect(t, setup{rotate: "size: 1MiB, every: 5s", retain: "size: 32MiB", pcap: "buffer: 32MiB"})
	loads := []*load{newLoad(t, c.vxlan, 1, 0), newLoad(t, c.vxlan, 2, 0)}
	var stops []func()
	for _, l := range loads {
		stops = append(stops, l.start(rate))
	}
	ended := time.After(steady)
	sample := time.NewTicker(steady / 10)
	defer sample.Stop()
	var first, now footprint
	for n, more := 0, true; more; {
		select {
		case <-sample.C:
			now = c.footprint()
			l := c.ledger()
			t.Logf("%+v, %d received, %d lost", now, l.Received.Packets, l.Lost.Socket)
			if n++; n == 2 { // memory that is used in turn has been used
				first = now
			}
		case <-ended:
			more = false
		}
	}
	if grown := now.resident - first.resident; grown > 16<<10 {
		t.Errorf("resident memory grew by %d KiB", grown)
	}
	if now.descriptors > first.descriptors+8 || now.series != first.series {
		t.Errorf("%+v at the end, %+v at first", now, first)
	}
	total := 0
	for i, l := range loads {
		stops[i]()
		total += l.count()
	}
	c.waitReceived(total)
	l := c.stop()
	if l.Sinks["pcap"].Stored != uint64(total) || l.Lost.Socket != 0 {
		t.Errorf("%d sent: %+v", total, l)
	}
	var size int64
	for name := range treeFiles(t, c.out) {
		info, err := os.Stat(filepath.Join(c.out, name))
		if err != nil {
			t.Fatal(err)
		}
		size += info.Size()
	}
	// Files of both sessions may have been completed since retention looked.
	if size > retain+4*rotate || size < retain/2 {
		t.Errorf("%d bytes are left, want about %d", size, retain)
	}
	files := readTree(t, c.out)
	noPartial(t, files)
	for i, session := range []string{"vni-1", "vni-2"} {
		seen := sequences(t, files, session)
		once(t, seen, loads[i].count()-len(seen), loads[i].count()) // the latest ones
	}
}

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
