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

// answerAfter is how long a request is out.
const answerAfter = 20 * time.Millisecond

// A moment is what was offered, and answered, by then.
type moment struct {
	at                time.Time
	offered, answered uint64
}

type moments []moment

// run kills collectors as kill -9 does. All that was in the spool arrives, and
// what was offered the spared time before was in the spool or has arrived. What
// arrives twice was in the spool, and not answered longer ago than stale. Every
// third time the indexer gives no answer and little comes, so that nothing but its
// own clock has the spool write.
func (k killing) run(t *testing.T) {
	x := newIndexer(t, splunkToken, answerAfter)
	s := setup{dir: t.TempDir(), sinks: splunkSink(x.url(), "flow", "1GiB"), more: smallTable,
		pcap: "buffer: 32MiB", retain: "size: 32MiB", rotate: "size: 4MiB"}
	load := &crowd{t: t}
	var left []string // in the spool at the last kill
	var total, allowed uint64
	for round := range k.times {
		rate := k.rate
		silent := round%3 == 2
		if silent {
			x.delay(time.Hour)
		}
		c := collectSplunk(t, s)
		first := c.splunk().Offered
		if first != uint64(len(left)) {
			t.Fatalf("round %d: %d events are offered at the start, %d were in the spool", round, first, len(left))
		}
		load.to = c.vxlan
		if silent {
			stop := load.start(rate)
			eventually(t, "the table is full", func() bool { return c.splunk().Offered > first })
			stop()
			rate /= 100
		}
		stop := load.start(rate)
		seen := c.watch(x, uint64(rate*(k.live+rand.Float64())))
		killed := time.Now()
		c.kill()
		stop()
		x.quiet()
		was := set(left)
		left = spooled(t, filepath.Join(s.dir, "spool", "flow"))
		there := set(left)
		for uid := range was {
			if !x.has(uid) && !there[uid] {
				t.Fatalf("round %d: %s was in the spool, did not come and is not there", round, uid)
			}
		}
		var again, fresh uint64 // that have come; of this round
		for uid := range there {
			if x.has(uid) {
				again++
				if !was[uid] {
					fresh++
				}
			}
		}
		allowed += again
		n := x.count()
		known := n.Distinct + uint64(len(left)) - again
		lost := killed.Sub(seen.first(killed, func(m moment) bool { return m.offered-first > known-total }).at)
		t.Logf("round %d: %d events have come, %d twice; %d are in the spool, %d of them and %d of this round there already; lost is what came in the last %s",
			round, n.Distinct, n.duplicates(), len(left), again, fresh, lost.Round(time.Millisecond))
		if lost > k.spare {
			t.Errorf("what was offered %s before the kill is lost, want %s at most", lost, k.spare)
		}
		total = known
		recent := n.Events - seen.first(killed, func(m moment) bool { return killed.Sub(m.at) <= k.stale }).answered
		if k.stale > 0 && fresh > recent {
			t.Errorf("%d events come again, %d were not answered %s before the kill", fresh, recent, k.stale)
		}
		x.delay(answerAfter)
	}
	led := collectSplunk(t, s).terminate()
	if sink := led.Sinks["splunk"]; sink.Offered != uint64(len(left)) || sink.Stored != sink.Offered {
		t.Errorf("%d events were in the spool: %+v", len(left), sink)
	}
	n := x.count()
	if n.Distinct != total || n.Flows != total || n.duplicates() > allowed {
		t.Errorf("%d events had come or were in the spool, %d may come twice: %+v", total, allowed, n)
	}
	t.Logf("%d events, %d twice", n.Distinct, n.duplicates())
}

func set(uids []string) map[string]bool {
	m := make(map[string]bool, len(uids))
	for _, uid := range uids {
		m[uid] = true
	}
	return m
}

// watch follows a collector until so many more events are offered.
func (c *collector) watch(x *indexer, events uint64) (ms moments) {
	c.t.Helper()
	first := c.splunk().Offered
	ms = append(ms, moment{time.Now(), first, x.count().Answered})
	eventually(c.t, "load for a while", func() bool {
		answered, sink := x.count().Answered, c.splunk()
		if len(sink.Dropped) != 0 {
			c.t.Fatalf("dropped %v", sink.Dropped)
		}
		ms = append(ms, moment{time.Now(), sink.Offered, answered})
		return sink.Offered >= first+events
	})
	return ms
}

// first returns the first moment that something holds of, or that of a kill, of
// which nothing is known but the time.
func (ms moments) first(killed time.Time, holds func(moment) bool) moment {
	for _, m := range ms {
		if holds(m) {
			return m
		}
	}
	return moment{at: killed}
}

// The second that is spared is for a machine under load; TestSoakKillSplunk is
// strict.
func TestKillSplunk(t *testing.T) {
	killing{times: 5, rate: 5000, live: 1.2, spare: time.Second}.run(t)
}
