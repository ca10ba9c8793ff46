package main

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/periscope-collector/periscope/sink/spool"
)

// spooled returns the event_uids that are in the spool of a lane. It reads a copy,
// which may be an error while there is a process.
func spooled(t testing.TB, dir string) (uids []string, err error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "copy")
	defer os.RemoveAll(path)
	if err := os.CopyFS(path, os.DirFS(dir)); err != nil {
		return nil, err
	}
	s, err := spool.Open(spool.Config{Dir: path, Size: 1 << 40})
	if err != nil {
		return nil, err
	}
	defer s.Close()
	for {
		b, err := s.Read(5000, 1<<20)
		if err != nil || b == nil {
			return uids, err
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
	rate  float64       // events a second
	live  float64       // seconds, at least; at most a second more
	spare time.Duration // 0 is until they are in the spool, or have arrived
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
// what was offered the spared time before was in the spool or has arrived; without
// a spared time the kill comes once that is so of what was offered for a while. What
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
		lane := filepath.Join(s.dir, "spool", "flow")
		var safe uint64 // of this round
		if k.spare == 0 {
			safe = seen[len(seen)-1].offered - first
			eventually(t, "what was offered is in the spool or has come", func() bool {
				uids, err := spooled(t, lane)
				if err != nil {
					return false
				}
				known, _, _ := x.account(uids, nil)
				return known >= total+safe
			})
		}
		killed := time.Now()
		c.kill()
		stop()
		x.quiet()
		was := set(left)
		var err error
		if left, err = spooled(t, lane); err != nil {
			t.Fatal(err)
		}
		there := set(left)
		for uid := range was {
			if !x.has(uid) && !there[uid] {
				t.Fatalf("round %d: %s was in the spool, did not come and is not there", round, uid)
			}
		}
		known, again, fresh := x.account(left, was)
		allowed += again
		n := x.count()
		lost := killed.Sub(seen.first(killed, func(m moment) bool { return m.offered-first > known-total }).at)
		t.Logf("round %d: %d events have come, %d twice; %d are in the spool, %d of them and %d of this round there already; lost is what came in the last %s",
			round, n.Distinct, n.duplicates(), len(left), again, fresh, lost.Round(time.Millisecond))
		if known < total+safe {
			t.Errorf("%d events of this round are lost that were in the spool or had come", total+safe-known)
		}
		if k.spare > 0 && lost > k.spare {
			t.Errorf("what was offered %s before the kill is lost, want %s at most", lost, k.spare)
		}
		total = known
		recent := n.Events - seen.first(killed, func(m moment) bool { return killed.Sub(m.at) <= k.stale }).answered
		if k.stale > 0 && fresh > recent {
			t.Errorf("%d events come again, %d were not answered %s before the kill", fresh, recent, k.stale)
		}
		x.delay(answerAfter)
	}
	led := collectSplunk(t, s).stop()
	if sink := led.Sinks["splunk"]; sink.Offered != uint64(len(left)) || sink.Stored != sink.Offered {
		t.Errorf("%d events were in the spool: %+v", len(left), sink)
	}
	n := x.count()
	if n.Distinct != total || n.Flows != total || n.duplicates() > allowed {
		t.Errorf("%d events had come or were in the spool, %d may come twice: %+v", total, allowed, n)
	}
	t.Logf("%d events, %d twice", n.Distinct, n.duplicates())
}

// account returns how many events have come or are in the spool, how many are there
// that have come, and how many of these were not there before.
func (x *indexer) account(spooled []string, before map[string]bool) (known, again, fresh uint64) {
	n := x.count()
	for uid := range set(spooled) {
		if x.has(uid) {
			again++
			if !before[uid] {
				fresh++
			}
		}
	}
	return n.Distinct + uint64(len(spooled)) - again, again, fresh
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

// How soon an event is safe, TestSoakKillSplunk says.
func TestKillSplunk(t *testing.T) { killing{times: 5, rate: 5000, live: 1.2}.run(t) }
