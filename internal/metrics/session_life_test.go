package metrics

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/periscope-collector/periscope/internal/pipeline"
	"github.com/periscope-collector/periscope/packet"
	sessions "github.com/periscope-collector/periscope/session"
)

// A life is a collector's metrics with a clock and sessions of the test's own.
type life struct {
	t   *testing.T
	now time.Time
	*collector
	list  []pipeline.SessionLedger
	other float64 // packets, at the latest scrape
}

func newLife(t *testing.T) *life {
	l := &life{t: t, now: begin}
	l.collector = newCollector(func() Snapshot {
		return Snapshot{Now: l.now, Ledger: pipeline.Ledger{Sessions: l.list}}
	})
	return l
}

// scrape returns the bytes of each session with series, by name, and holds that
// other never goes back.
func (l *life) scrape() map[string]float64 {
	l.t.Helper()
	const name = "periscope_session_bytes_total"
	bytes := make(map[string]float64)
	for series, value := range collect(l.t, l.collector) {
		if rest, ok := strings.CutPrefix(series, name+`{session="`); ok {
			session, _, _ := strings.Cut(rest, `"`)
			bytes[session] = value
		}
	}
	if bytes["other"] < l.other {
		l.t.Errorf("other went back from %v to %v", l.other, bytes["other"])
	}
	l.other = bytes["other"]
	return bytes
}

// TestSessionEnds says when a session has series.
func TestSessionEnds(t *testing.T) {
	seen := begin.UnixNano()
	ended := func(s pipeline.SessionLedger) pipeline.SessionLedger { s.Ended = true; return s }
	known := pipeline.SessionLedger{Name: "web", VNI: 7, ID: 1, Known: true}
	heard := pipeline.SessionLedger{Name: "web", VNI: 7, ID: 1, Known: true, Packets: 1, LastSeen: seen}
	unknown := pipeline.SessionLedger{Name: "vni-7", VNI: 7, ID: 1, Packets: 1, LastSeen: seen}
	filtered := pipeline.SessionLedger{Name: "vni-7", VNI: 7, ID: 1, NotDelivered: 1, LastSeen: seen}
	past, future := known, known
	past.Until, future.Until = seen, seen+int64(48*time.Hour)
	for _, test := range []struct {
		name    string
		session pipeline.SessionLedger
		after   time.Duration
		want    bool
	}{
		{"never heard", known, 0, true},
		{"never heard, a day later", known, 24 * time.Hour, true},
		{"never heard and ended", ended(known), 0, false},
		{"never heard and past", past, 0, false},
		{"never heard and with an end to come", future, 24 * time.Hour, true},
		{"heard now", heard, 0, true},
		{"heard almost 10 minutes ago", heard, 10*time.Minute - 1, true},
		{"heard 10 minutes ago", heard, 10 * time.Minute, false},
		{"ended, heard almost 10 minutes ago", ended(heard), 10*time.Minute - 1, true},
		{"ended, heard 10 minutes ago", ended(heard), 10 * time.Minute, false},
		{"unknown, heard almost 10 minutes ago", unknown, 10*time.Minute - 1, true},
		{"unknown, heard 10 minutes ago", unknown, 10 * time.Minute, false},
		{"unknown and ended, heard almost 10 minutes ago", ended(unknown), 10*time.Minute - 1, true},
		{"all filtered, almost 10 minutes ago", filtered, 10*time.Minute - 1, true},
		{"by a clock that is ahead", heard, -time.Hour, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := newLife(t)
			l.list, l.now = []pipeline.SessionLedger{test.session}, begin.Add(test.after)
			if got := l.scrape(); (len(got) == 1) != test.want {
				t.Errorf("series %v", got)
			}
		})
	}
}

// TestSessionComesBack says that who comes back goes on with its own count.
func TestSessionComesBack(t *testing.T) {
	l := newLife(t)
	l.list = []pipeline.SessionLedger{{Name: "web", VNI: 7, ID: 1, Known: true, Packets: 1, Bytes: 10, LastSeen: begin.UnixNano()}}
	for _, step := range []struct {
		after time.Duration
		bytes float64 // more than before
		want  map[string]float64
	}{
		{0, 0, map[string]float64{"web": 10}},
		{10 * time.Minute, 0, map[string]float64{}},
		{0, 5, map[string]float64{"web": 15}},
	} {
		l.now = l.now.Add(step.after)
		if step.bytes != 0 {
			l.list[0].Bytes += uint64(step.bytes)
			l.list[0].LastSeen = l.now.UnixNano()
		}
		if got := l.scrape(); fmt.Sprint(got) != fmt.Sprint(step.want) {
			t.Errorf("after %s: %v, want %v", l.now.Sub(begin), got, step.want)
		}
	}
}

// TestOthersStay says that who once was one of the others stays one, whoever goes,
// whoever it becomes, and that a known session takes an unknown one's place.
func TestOthersStay(t *testing.T) {
	seen := begin.UnixNano()
	l := newLife(t)
	for id := range uint32(MaxSessions + 1) {
		l.list = append(l.list, pipeline.SessionLedger{Name: fmt.Sprint("s", id), VNI: id, ID: id + 1, Packets: 1, Bytes: 10, LastSeen: seen})
	}
	last := &l.list[MaxSessions]
	check := func(what string, series int, other float64, absent string) {
		t.Helper()
		got := l.scrape()
		_, there := got[absent]
		if len(got) != series || got["other"] != other || there {
			t.Errorf("%s: %d series, %s is there: %v, other %v, want %v", what, len(got), absent, there, got["other"], other)
		}
	}
	check("one too many", MaxSessions+1, 10, last.Name)
	l.list[0].LastSeen -= int64(10 * time.Minute)
	last.Bytes = 20
	check("a place is free", MaxSessions, 20, last.Name)
	// It becomes a learnt session, which has been there before.
	l.list[MaxSessions] = pipeline.SessionLedger{Name: "web", VNI: 1 << 20, ID: 5000, Known: true, Was: []uint32{MaxSessions + 1}, Packets: 1, Bytes: 25, LastSeen: seen}
	check("it becomes another", MaxSessions, 25, "web")
	l.list[MaxSessions].Was = nil // its counts are the other's now
	check("that is forgotten", MaxSessions, 25, "web")
	// Two that are known come, and there is one place.
	for id := range uint32(2) {
		l.list = append(l.list, pipeline.SessionLedger{Name: fmt.Sprint("k", id), VNI: id, ID: id + 6000, Known: true})
	}
	check("known ones come", MaxSessions+1, 35, fmt.Sprint("s", MaxSessions-1))
	if got := l.scrape(); got["k0"] != 0 || got["k1"] != 0 || len(got) != MaxSessions+1 {
		t.Errorf("the known ones have no series: %v", got)
	}
	// All are gone and forgotten.
	l.list = []pipeline.SessionLedger{{Name: "other", Packets: MaxSessions + 1, Bytes: 1e6}}
	if got := l.scrape(); len(got) != 1 || len(l.places.own)+len(l.places.others) != 0 {
		t.Errorf("series %v; remembered: %d, %d", got, len(l.places.own), len(l.places.others))
	}
}

// TestChurnLeavesSeriesFlat has 100 sessions a second come and go for 10 minutes,
// each unknown at first and then learnt, and counts what is left of them.
func TestChurnLeavesSeriesFlat(t *testing.T) { synctest.Test(t, churn) }

func churn(t *testing.T) {
	const (
		second = 100              // sessions that begin in one
		lives  = 3                // seconds
		last   = 10 * time.Minute // of the churn
	)
	discard := slog.New(slog.DiscardHandler)
	table := sessions.New(sessions.Config{Workers: 1, UnknownMax: 256, BySource: 256, Log: discard})
	p, err := pipeline.New(pipeline.Config{Workers: 1, Live: true, Sessions: table, Log: discard})
	if err != nil {
		t.Fatal(err)
	}
	l, began := newLife(t), time.Now()
	l.now = began
	var packets uint64
	tick := func(entries []sessions.Entry) (series int) {
		table.Learn(entries)
		for i := range entries {
			e := &entries[i]
			s, _ := table.Lookup(&packet.Frame{VNI: e.VNI, Source: e.Source, Time: l.now.UnixNano()})
			tally := &s.Tallies[0]
			tally.Delivered.Add(1)
			tally.Bytes.Add(1)
			tally.LastSeen.Store(l.now.UnixNano())
			packets++
		}
		time.Sleep(time.Second)
		l.now = time.Now()
		if l.now.Sub(began)%(30*time.Second) != 0 {
			return 0
		}
		l.list = p.Ledger().Sessions
		series = len(l.scrape())
		if n := len(l.places.own) + len(l.places.others); n > 2*len(l.list) {
			t.Errorf("%s: %d sessions are remembered of %d", l.now.Sub(began), n, len(l.list))
		}
		return series
	}
	var entries []sessions.Entry
	var vni uint32
	most := 0
	for l.now.Sub(began) < last {
		entries = append([]sessions.Entry(nil), entries[min(len(entries), max(0, len(entries)-(lives-1)*second)):]...)
		for range second {
			vni++
			source := packet.AddrFrom4([4]byte{10, byte(vni >> 16), byte(vni >> 8), byte(vni)})
			s, _ := table.Lookup(&packet.Frame{VNI: vni, Source: source, Time: l.now.UnixNano()})
			if s != nil {
				s.Tallies[0].Delivered.Add(1)
				packets++
			}
			entries = append(entries, sessions.Entry{Name: fmt.Sprint("task-", vni), VNI: vni, Source: source, Learned: true,
				Workload: packet.Workload{InterfaceID: fmt.Sprint("eni-", vni)}})
		}
		most = max(most, tick(entries))
	}
	if most > MaxSessions+1 || most < MaxSessions/2 {
		t.Errorf("%d series of each metric", most)
	}
	// The sum is the whole.
	var counted uint64
	for _, s := range p.Ledger().Sessions {
		counted += s.Packets
	}
	if counted != packets {
		t.Errorf("%d packets counted, want %d", counted, packets)
	}
	// It calms down: the sessions of the last second go on.
	left := 0
	for end := l.now.Add(11 * time.Minute); l.now.Before(end); {
		if n := tick(entries[len(entries)-second:]); n != 0 {
			left = n
		}
	}
	if left > second+1 {
		t.Errorf("%d series are left, want %d at most", left, second+1)
	}
}
