package flow

import (
	"strings"
	"testing"
	"time"

	"github.com/periscope-collector/periscope/packet"
)

func udp(n uint32) spec {
	return spec{src: 1000 + n, dst: 2, sport: 1000, dport: 53, protocol: packet.ProtocolUDP, payload: 10}
}

func reply(n uint32) spec {
	return spec{src: 2, dst: 1000 + n, sport: 53, dport: 1000, protocol: packet.ProtocolUDP, payload: 20}
}

func reasons(records []packet.Flow) (list []packet.FlowReason) {
	for i := range records {
		list = append(list, records[i].Reason)
	}
	return list
}

// A record is written when the interval ends, without another packet.
func TestIntervalEnds(t *testing.T) {
	r, session := record(t, nil), known(1)
	r.add(session, start+10*second, udp(1))
	r.clock(start + 60*second - 1)
	if got := r.take(); len(got) != 0 || len(r.cuts) != 0 {
		t.Fatalf("%d records, %d cuts before the end", len(got), len(r.cuts))
	}
	for at := start + 60*second; at < start+63*second; at += 100 * milli {
		r.clock(at)
		if len(r.cuts) != 0 {
			t.Fatal("cut before the sweep is over")
		}
	}
	r.clock(start + 63*second)
	if got := r.one(); got.Reason != packet.FlowInterval || got.Begin != start || got.End != start+60*second {
		t.Errorf("record %+v", got)
	}
	if len(r.cuts) != 1 || r.cuts[0] != (packet.Cut{Begin: start, End: start + 60*second}) {
		t.Errorf("cuts %+v", r.cuts)
	}
	r.clock(start + 70*second)
	if got := r.end(); len(got) != 0 {
		t.Errorf("%d records of a flow without packets", len(got))
	}
	if last := r.cuts[len(r.cuts)-1]; last != (packet.Cut{Begin: start + 60*second, End: start + 120*second, Last: true}) {
		t.Errorf("last cut %+v", last)
	}
}

// The sweep is spread over its span.
func TestSweepIsSpread(t *testing.T) {
	r, session := record(t, nil), known(1)
	for n := range uint32(900) {
		r.Add(0, udp(n).frame(session, start))
	}
	r.clock(start)
	for at := 60 * second; at <= 63*second; at += 100 * milli {
		before := len(r.records)
		r.clock(start + at)
		if n := len(r.records) - before; n > 31 {
			t.Fatalf("%d records at once, of 900 within 3 s", n)
		}
	}
	if len(r.take()) != 900 {
		t.Error("not all of 900 flows have a record")
	}
}

// A jump of the clock writes everything at once, and cuts the intervals passed
// over unless they are too many.
func TestClockJumps(t *testing.T) {
	for _, c := range []struct {
		jump int64 // in intervals
		cuts int
	}{{2, 2}, {61, 61}, {62, 1}, {1_000_000, 1}} {
		r, session := record(t, nil), known(1)
		r.add(session, start, udp(1))
		r.clock(start + c.jump*60*second)
		if len(r.take()) != 1 || len(r.cuts) != c.cuts || r.cuts[0].Begin != start {
			t.Errorf("after %d intervals: cuts %d, want %d", c.jump, len(r.cuts), c.cuts)
		}
		r.Close()
	}
	// While a sweep is under way.
	r, session := record(t, nil), known(1)
	r.add(session, start, udp(1))
	r.add(session, start, udp(2))
	r.clock(start + 61*second)
	r.add(session, start+61*second, udp(1))
	r.clock(start + 130*second)
	if got := r.take(); len(got) != 3 || len(r.cuts) != 2 {
		t.Errorf("%d records, %d cuts; want 3 and 2", len(got), len(r.cuts))
	}
	// Back.
	r.clock(start)
	if len(r.take()) != 0 || len(r.cuts) != 2 {
		t.Error("a clock that goes back writes records")
	}
}

// A late frame is counted in the interval of its flow if that is the next one,
// and never in one that was cut.
func TestLateFrames(t *testing.T) {
	begins := func(records []packet.Flow) (list []int64) {
		for i := range records {
			list = append(list, (records[i].Begin-start)/(60*second))
		}
		return list
	}
	for _, c := range []struct {
		name  string
		times []int64 // of the frames, in seconds from the start; the clock is at 120 s
		want  []int64 // begins of the records, in intervals from the start
	}{
		{"into the open record of the next interval", []int64{130, 119}, []int64{2}},
		{"new flow, one interval late", []int64{119}, []int64{2}},
		{"new flow, two intervals late", []int64{59}, []int64{0}},
		{"two intervals late into an open record", []int64{130, 59}, []int64{2, 0}},
		{"and back", []int64{130, 59, 130}, []int64{2, 0, 2}},
		{"early", []int64{190}, []int64{3}},
		{"before 1970", []int64{-start/second - 5}, []int64{-start / (60 * second)}},
	} {
		r, session := record(t, nil), known(1)
		r.clock(start + 125*second)
		r.cuts = nil
		for _, at := range c.times {
			r.Add(0, udp(1).frame(session, start+at*second))
			r.clock(start + 130*second)
		}
		got := begins(r.end())
		if len(got) != len(c.want) {
			t.Errorf("%s: records of intervals %d, want %d", c.name, got, c.want)
			continue
		}
		for i := range got {
			if got[i] != c.want[i] {
				t.Errorf("%s: records of intervals %d, want %d", c.name, got, c.want)
			}
		}
	}
}

func TestIdle(t *testing.T) {
	for _, packets := range []int{1, 2} { // one packet only, and a conversation
		r, session := record(t, func(c *Config) { c.Interval = 10 * time.Minute }), known(1)
		r.add(session, start, udp(1))
		if packets == 2 {
			r.add(session, start, reply(1))
		}
		for at := second; at < 120*second; at += second {
			r.clock(start + at)
		}
		if got := r.take(); len(got) != 0 {
			t.Fatalf("%d packets: written before it is idle", packets)
		}
		for at := 120 * second; at <= 180*second; at += second {
			r.clock(start + at)
		}
		if got := r.one(); got.Reason != packet.FlowIdle || r.Stats().Live != 0 {
			t.Errorf("%d packets: %v, %d flows live", packets, got.Reason, r.Stats().Live)
		}
	}
	// A flow that goes on stays, and does not keep others from being forgotten.
	r, session := record(t, func(c *Config) { c.Interval = 10 * time.Minute }), known(1)
	for n := range uint32(3) {
		r.add(session, start, udp(n))
		r.add(session, start, reply(n))
	}
	for at := second; at <= 300*second; at += second {
		r.add(session, start+at, udp(0))
	}
	if got := r.take(); len(got) != 2 || r.Stats().Live != 1 {
		t.Errorf("%d records, %d flows live; want 2 and 1", len(got), r.Stats().Live)
	}
}

func TestClosed(t *testing.T) {
	for name, segments := range map[string][]timed{
		"FIN both ways": after(timed{10, seg(client, flagACK|flagFIN, 100, 500, 0)}, timed{10, seg(server, flagACK|flagFIN, 500, 101, 0)}),
		"RST":           after(timed{10, seg(server, flagRST, 500, 0, 0)}),
		"RST alone":     {{10, seg(server, flagRST, 500, 0, 0)}},
	} {
		r, session, now := record(t, nil), known(1), start
		for _, s := range segments {
			now += s.after * micro
			r.add(session, now, s.spec)
		}
		r.clock(now + 5*second - tick)
		if len(r.take()) != 0 {
			t.Errorf("%s: written before the time of grace is over", name)
		}
		r.clock(now + 5*second + tick)
		if got := r.one(); got.Reason != packet.FlowClosed || r.Stats().Live != 0 {
			t.Errorf("%s: %v, %d flows live", name, got.Reason, r.Stats().Live)
		}
	}
	r, session, now := record(t, nil), known(1), start
	for _, s := range after(timed{10, seg(client, flagACK|flagFIN, 100, 500, 0)}) {
		now += s.after * micro
		r.add(session, now, s.spec)
	}
	r.clock(now + 10*second)
	if len(r.take()) != 0 {
		t.Error("a connection that one end closed is forgotten")
	}
	// Ports used again: the old connection is written, the new one starts.
	r.add(session, now+10*second, seg(client, flagSYN, 7000, 0, 0))
	if got := r.one(); got.Reason != packet.FlowClosed || got.Side[0].Packets != 3 {
		t.Errorf("record of the old connection %+v", got)
	}
	if got := r.end(); len(got) != 1 || got[0].Side[0].Packets != 1 {
		t.Errorf("records of the new connection %+v", got)
	}
}

// A flood of single packets does not displace conversations; of the single ones
// the oldest goes first.
func TestEviction(t *testing.T) {
	r, session := record(t, nil), known(1)
	for n := range uint32(900) {
		r.Add(0, udp(n).frame(session, start))
		r.Add(0, reply(n).frame(session, start))
	}
	r.clock(start)
	for n := range uint32(10_000) {
		r.add(session, start+int64(n)*micro, udp(10_000+n))
	}
	got := r.take()
	if len(got) != 10_000-100 || r.Stats().Evicted != uint64(len(got)) {
		t.Fatalf("%d records, %d evictions; want %d", len(got), r.Stats().Evicted, 10_000-100)
	}
	for i := range got {
		if want := udp(10_000+uint32(i)).frame(session, 0).Header.Src; got[i].Addr[0] != want || got[i].Reason != packet.FlowEvicted {
			t.Fatalf("record %d is of %v, %v; want %v", i, got[i].Addr[0], got[i].Reason, want)
		}
	}
	// When the table is full of conversations, new flows find room all the same,
	// closed ones go first, and active ones last.
	r = record(t, func(c *Config) { c.Capacity = 100 })
	for n := range uint32(100) {
		s := spec{src: 1000 + n, dst: 2, sport: 1000, dport: 443, flags: flagACK, payload: 10}
		r.add(session, start, s)
		if n%2 == 0 {
			s.flags |= flagRST
		}
		r.add(session, start, s)
	}
	for n := range uint32(56) {
		r.add(session, start+milli, udp(n))
		r.add(session, start+milli, reply(n))
	}
	got = r.take()
	if len(got) != 56 {
		t.Fatalf("%d records, want 56", len(got))
	}
	for i := range got {
		if wantClosed := i < 50; wantClosed != (got[i].Side[0].TCPFlags&flagRST != 0) {
			t.Errorf("eviction %d: closed %v", i, !wantClosed)
		}
	}
}

func TestSessionEnds(t *testing.T) {
	r, session, other := record(t, nil), known(1), known(2)
	r.add(session, start, udp(1))
	r.add(other, start, udp(1))
	session.Ended.Store(true)
	for at := int64(0); at < 2*second; at += 10 * milli {
		r.clock(start + at)
	}
	if got := r.one(); got.Reason != packet.FlowSession || got.Session != session {
		t.Errorf("record %v of session %s", got.Reason, got.Session.Name)
	}
	s := r.shards[0]
	if len(s.origins.byPlace) != 1 {
		t.Errorf("%d origins left, want 1", len(s.origins.byPlace))
	}
	for i := range s.origins.at {
		if s.origins.at[i].session == session {
			t.Error("the session that ended is still held")
		}
	}
	if s.worker.record.Session != nil {
		t.Error("the last record's session is still held")
	}
	// A session that shows no flow is not held either.
	r.add(known(3), start+3*second, spec{protocol: packet.ProtocolUDP, src: 1, dst: 2}) // evicted below
	r.clock(start + 300*second)
	if len(s.origins.byPlace) != 0 {
		t.Errorf("%d origins left of an empty table", len(s.origins.byPlace))
	}
}

// Of sessions that the session file does not explain, sources are kept apart.
func TestUnknownSessions(t *testing.T) {
	r := record(t, nil)
	session := &packet.Session{ID: 5, VNI: 5, Tallies: make([]packet.Tally, 1)}
	for _, source := range []byte{1, 2, 1} {
		f := udp(1).frame(session, start)
		f.Source = packet.AddrFrom4([4]byte{192, 0, 2, source})
		r.Add(0, f)
		r.clock(start)
	}
	got := r.end()
	if len(got) != 2 || got[0].Source == got[1].Source || got[0].Side[0].Packets+got[1].Side[0].Packets != 3 {
		t.Errorf("records %+v", got)
	}
}

func TestConfig(t *testing.T) {
	good := Config{
		Workers: 2, Shards: 2, Capacity: 1, Interval: time.Second, Idle: time.Second, Grace: 0,
		Emit: func(int, *packet.Flow) {}, Cut: func(int, packet.Cut) {},
	}
	if _, err := New(good); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*Config){
		"workers":       func(c *Config) { c.Workers = 0 },
		"shards":        func(c *Config) { c.Shards = 1 },
		"257 shards":    func(c *Config) { c.Shards = 257 },
		"room for 0":    func(c *Config) { c.Capacity = 0 },
		"room for 4e7":  func(c *Config) { c.Capacity = 40_000_000 },
		"interval 1ms":  func(c *Config) { c.Interval = time.Millisecond },
		"interval 16m":  func(c *Config) { c.Interval = 16 * time.Minute },
		"idle time":     func(c *Config) { c.Idle = 0 },
		"idle time 25h": func(c *Config) { c.Idle = 25 * time.Hour },
		"grace":         func(c *Config) { c.Grace = -1 },
		"Emit":          func(c *Config) { c.Emit = nil },
		"and Cut":       func(c *Config) { c.Cut = nil },
	} {
		c := good
		change(&c)
		_, err := New(c)
		if err == nil || !strings.Contains(strings.ReplaceAll(err.Error(), "40000000", "4e7"), want) {
			t.Errorf("%s: error %v", want, err)
		}
	}
}
