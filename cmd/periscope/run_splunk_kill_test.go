package main

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/periscope-collector/periscope/sink/spool"
)

// spooled returns the event_uids that are in the spool of a lane, whose process
// is gone. It reads a copy.
func spooled(t testing.TB, dir string) (uids []string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(path, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(path)
	s, err := spool.Open(spool.Config{Dir: path, Size: 1 << 40})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for {
		b, err := s.Read(5000, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		if b == nil {
			return uids
		}
		for _, e := range b.Events {
			uids = append(uids, string(value(e, `"event_uid":"`)))
		}
		s.Commit(b)
	}
}

// A killing is how collectors that use one spool are killed under a load.
type killing struct {
	times int
	rate  float64 // events a second
	live  float64 // seconds, at least; at most a second more
	spare time.Duration
	stale time.Duration // 0 is no bound
}

// A moment is what was offered and had come by then.
type moment struct {
	at            time.Time
	offered, came uint64
}

// run kills collectors as kill -9 does. All that was in the spool arrives, and so
// does what was offered the spared time before. What arrives twice was in the
// spool, and did not arrive longer ago than stale.
func (k killing) run(t *testing.T) {
	x := newIndexer(t, splunkToken, 20*time.Millisecond)
	s := setup{dir: t.TempDir(), sinks: splunkSink(x.url(), "flow", "1GiB"), more: smallTable,
		pcap: "buffer: 32MiB", retain: "size: 32MiB", rotate: "size: 4MiB"}
	load := &crowd{t: t}
	var left []string // in the spool at the last kill
	var safe, allowed uint64
	for round := range k.times {
		c := collectSplunk(t, s)
		first := c.splunk().Offered
		if first != uint64(len(left)) {
			t.Fatalf("round %d: %d events are offered at the start, %d were in the spool", round, first, len(left))
		}
		load.to = c.vxlan
		stop := load.start(k.rate)
		moments := c.watch(x, first+uint64(k.rate*(k.live+rand.Float64())))
		killed := time.Now()
		c.kill()
		stop()
		x.quiet()
		safe += before(moments, killed.Add(-k.spare)).offered - first
		left = spooled(t, filepath.Join(s.dir, "spool", "flow"))
		again := uint64(0)
		for _, uid := range left {
			if x.has(uid) {
				again++
			}
		}
		allowed += again
		n := x.count()
		if recent := n.Events - before(moments, killed.Add(-k.stale)).came; k.stale > 0 && again > recent {
			t.Errorf("round %d: %d events come again, %d came in the last %s", round, again, recent, k.stale)
		}
		t.Logf("round %d: %d events have come, %d twice; %d are in the spool, %d of them there already", round, n.Distinct, n.duplicates(), len(left), again)
	}
	led := collectSplunk(t, s).terminate()
	for _, uid := range left {
		if !x.has(uid) {
			t.Fatalf("%s was in the spool and did not arrive", uid)
		}
	}
	n := x.count()
	if sink := led.Sinks["splunk"]; sink.Offered != uint64(len(left)) || sink.Stored != sink.Offered {
		t.Errorf("%d events were in the spool: %+v", len(left), sink)
	}
	if n.Distinct < safe || n.duplicates() > allowed || n.Flows != n.Distinct {
		t.Errorf("%d events were offered %s before a kill, %d may come twice: %+v", safe, k.spare, allowed, n)
	}
	t.Logf("%d events, at least %d expected; %d twice, %d allowed", n.Distinct, safe, n.duplicates(), allowed)
}

// watch follows a collector until so many events are offered.
func (c *collector) watch(x *indexer, goal uint64) (moments []moment) {
	c.t.Helper()
	first := c.splunk().Offered
	moments = append(moments, moment{offered: first, came: x.count().Events})
	eventually(c.t, "load for a while", func() bool {
		came, sink := x.count().Events, c.splunk()
		if len(sink.Dropped) != 0 {
			c.t.Fatalf("dropped %v", sink.Dropped)
		}
		moments = append(moments, moment{time.Now(), sink.Offered, came})
		return sink.Offered >= goal
	})
	return moments
}

// before returns the last moment before a time, or the first one.
func before(moments []moment, at time.Time) (last moment) {
	last = moments[0]
	for _, m := range moments {
		if m.at.After(at) {
			break
		}
		last = m
	}
	return last
}

// The second that is spared is for a machine under load; TestSoakKillSplunk is
// strict.
func TestKillSplunk(t *testing.T) {
	killing{times: 5, rate: 5000, live: 1.2, spare: time.Second}.run(t)
}
