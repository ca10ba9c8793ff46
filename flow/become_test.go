package flow

import (
	"fmt"
	"reflect"
	"slices"
	"testing"

	"github.com/periscope-collector/periscope/packet"
)

// stranger is an unknown session of a source of its own.
func stranger(id, vni uint32) *packet.Session {
	return &packet.Session{
		ID: id, VNI: vni, Source: packet.AddrFrom4([4]byte{10, 9, byte(vni >> 8), byte(vni)}),
		Name: fmt.Sprintf("vni-%d", vni), Tallies: make([]packet.Tally, 4),
	}
}

// learn has a session become a known one, as the table of sessions does.
func learn(s *packet.Session, id uint32) *packet.Session {
	known := known(id)
	known.VNI, known.Source = s.VNI, s.Source
	s.Become(known)
	s.Ended.Store(true)
	return known
}

// of is a frame of a session, from its source.
func of(s *packet.Session, at int64, p spec) *packet.Frame {
	f := p.frame(s, at)
	f.Source = s.Source
	return f
}

func (r *recorder) give(at int64, frames ...*packet.Frame) {
	for _, f := range frames {
		r.Add(0, f)
	}
	r.clock(max(r.now, at))
}

// all returns the records' packets, by session.
func all(records []packet.Flow) map[*packet.Session]uint64 {
	n := make(map[*packet.Session]uint64)
	for i := range records {
		n[records[i].Session] += records[i].Side[0].Packets + records[i].Side[1].Packets
	}
	return n
}

// A flow of an unknown session that became another is one flow before and after,
// however that is noticed: its record is the known session's, as is what is
// counted of it.
func TestFlowGoesOnUnderWhatTheSessionBecame(t *testing.T) {
	for name, next := range map[string]func(r *recorder, before, after *packet.Session){
		"by its next frame": func(r *recorder, _, after *packet.Session) {
			r.give(start+second, of(after, start+second, seg(client, flagACK, 110, 500, 10)))
		},
		"by a frame looked up before": func(r *recorder, before, _ *packet.Session) {
			r.give(start+second, of(before, start+second, seg(client, flagACK, 110, 500, 10)))
		},
		"by both in one batch": func(r *recorder, before, after *packet.Session) {
			r.give(start+second, of(before, start+second, seg(client, flagACK, 110, 500, 10)), of(after, start+second, seg(server, flagACK, 500, 120, 10)),
				of(before, start+second, seg(client, flagACK, 120, 510, 10)), of(after, start+second, seg(server, flagACK, 510, 130, 10)))
		},
		"by the clock, then a frame": func(r *recorder, _, after *packet.Session) {
			for at := start; at < start+2*second; at += 10 * milli {
				r.clock(at)
			}
			r.give(start+2*second, of(after, start+2*second, seg(client, flagACK, 110, 500, 10)))
		},
		"by nothing but the end": func(*recorder, *packet.Session, *packet.Session) {},
	} {
		t.Run(name, func(t *testing.T) {
			r, before := record(t, nil), stranger(1, 7)
			for i, p := range after(timed{10, seg(client, flagACK, 100, 500, 10)}) {
				at := start + int64(i)*milli
				r.give(at, of(before, at, p.spec))
			}
			after := learn(before, 2)
			next(r, before, after)
			if n := r.Stats().Live; n != 1 {
				t.Errorf("%d flows, want 1", n)
			}
			packets := r.Stats().Packets
			records := r.end()
			if len(records) != 1 || records[0].Session != after || all(records)[after] != packets || records[0].Source != before.Source {
				t.Fatalf("%d packets, records %+v", packets, records)
			}
			if f := &records[0]; f.ServerRTT == 0 || f.ClientRTT == 0 || f.Side[0].Lost+f.Side[1].Lost+f.Side[0].Retransmitted+f.Side[0].OutOfOrder != 0 {
				t.Errorf("the connection was taken apart: %+v", f)
			}
			if a, b := before.Tallies[0].Records.Load(), after.Tallies[0].Records.Load(); a != 0 || b != 1 {
				t.Errorf("%d and %d records are counted", a, b)
			}
			if r.Stats().Duplicates != 0 {
				t.Error("a packet is a copy of another")
			}
		})
	}
}

// A session that becomes one of any source is found by the clock.
func TestFlowGoesOnElsewhere(t *testing.T) {
	r, before := record(t, nil), stranger(1, 7)
	r.give(start, of(before, start, udp(1)))
	after := known(7)
	before.Become(after)
	before.Ended.Store(true)
	for at := start; at < start+2*second; at += 10 * milli {
		r.clock(at)
	}
	r.give(start+2*second, udp(1).frame(after, start+2*second))
	if got := r.end()[0]; got.Session != after || got.Side[0].Packets != 2 {
		t.Errorf("%+v", got)
	}
}

// What was written stays as it was; the flow's next record knows who it is, and
// who began it.
func TestRecordsWrittenBeforeStay(t *testing.T) {
	r, before := record(t, nil), stranger(1, 7)
	r.give(start, of(before, start, udp(1)))
	r.clock(start + 63*second)
	first := r.one()
	after := learn(before, 2)
	r.give(start+64*second, of(after, start+64*second, reply(1)))
	second := r.end()
	if first.Session != before || len(second) != 1 || second[0].Session != after {
		t.Fatalf("%+v, then %+v", first, second)
	}
	if second[0].Addr != first.Addr || second[0].Side[0].Packets != 0 || second[0].Side[1].Packets != 1 {
		t.Errorf("the flow was begun anew: %+v", second[0])
	}
	if a, b := before.Tallies[0].Records.Load(), after.Tallies[0].Records.Load(); a != 1 || b != 1 {
		t.Errorf("%d and %d records are counted, want one each", a, b)
	}
}

// A session that becomes another twice is the last.
func TestFlowOfASessionThatBecameTwoOthers(t *testing.T) {
	for _, between := range []bool{false, true} {
		r, first := record(t, nil), stranger(1, 7)
		r.give(start, of(first, start, udp(1)))
		second := learn(first, 2)
		if between {
			r.give(start, of(second, start, udp(1)))
		}
		third := learn(second, 3)
		r.give(start, of(third, start, udp(1)), of(first, start, udp(1)), of(second, start, udp(1)))
		n := r.Stats().Packets
		if records := r.end(); len(records) != 1 || all(records)[third] != n {
			t.Errorf("a frame between %v: %d packets, records %+v", between, n, records)
		}
	}
}

// Flows of a session that ended are written when who it became has ended too.
func TestFlowsEndWithWhatTheSessionBecame(t *testing.T) {
	r, before := record(t, nil), stranger(1, 7)
	r.give(start, of(before, start, udp(1)))
	after := learn(before, 2)
	for at := start; at < start+3*second; at += 10 * milli {
		r.clock(at)
	}
	if got := r.take(); len(got) != 0 {
		t.Fatalf("cut: %+v", got)
	}
	after.Ended.Store(true)
	for at := start + 3*second; at < start+5*second; at += 10 * milli {
		r.clock(at)
	}
	if got := r.one(); got.Reason != packet.FlowSession || got.Session != after {
		t.Errorf("%+v", got)
	}
	if s := r.shards[0]; len(s.origins.byPlace) != 0 {
		t.Errorf("%d places are held", len(s.origins.byPlace))
	}
}

// Where two unknown sessions turn out to be one, no packet is lost or counted
// twice.
func TestTwoSessionsBecomeOne(t *testing.T) {
	r, a, b := record(t, nil), stranger(1, 7), stranger(2, 7)
	r.give(start, of(a, start, udp(1)), of(a, start, udp(2)))
	r.give(start, of(b, start, udp(1)), of(b, start, udp(3)))
	after := learn(a, 3)
	b.Become(after)
	b.Ended.Store(true)
	for at := start; at < start+2*second; at += 10 * milli {
		r.clock(at)
	}
	r.give(start+2*second, of(after, start+2*second, udp(1)), of(after, start+2*second, udp(3)))
	records := r.end()
	if got := all(records); len(got) != 1 || got[after] != 6 {
		t.Errorf("packets %v", got)
	}
	if len(records) != 4 {
		t.Errorf("%d records, want those of 2 flows each", len(records))
	}
}

// What two sessions see is seen twice, also after one of them has become
// another; what one sees twice, before and after, is not.
func TestDuplicatesOfASessionThatBecame(t *testing.T) {
	p := seg(client, flagACK, 100, 500, 40)
	r, before, other := record(t, nil), stranger(1, 7), known(2)
	r.give(start, of(before, start, p), of(other, start, p))
	after := learn(before, 3)
	r.give(start+milli, of(after, start+milli, p))
	if n := r.Stats().Duplicates; n != 1 {
		t.Errorf("%d duplicates, want 1", n)
	}
	r.give(start+2*milli, of(other, start+2*milli, p))
	if n := r.Stats().Duplicates; n != 2 {
		t.Errorf("%d duplicates, want 2", n)
	}
}

// That sessions become known does not show the number of workers.
func TestWorkersDoNotShowWhenSessionsBecome(t *testing.T) {
	const half = 40 * perBatch
	var want []emitted
	for _, workers := range []int{1, 2, 3} {
		frames := traffic(1, 2*half)
		sessions := make(map[uint32]*packet.Session)
		for _, f := range frames { // the same anew, of unknown sessions
			id := f.Session.ID
			if sessions[id] == nil {
				sessions[id] = stranger(id, id)
			}
			f.Session, f.Source = sessions[id], sessions[id].Source
		}
		got, _ := replayWith(t, frames, func(c *Config) { c.Workers = workers }, func(batch int) {
			if batch != half/perBatch {
				return
			}
			for id, s := range sessions {
				learn(s, id+100)
			}
			for i, f := range frames[half:] {
				if i >= perBatch/2 { // those before were looked up earlier
					f.Session = f.Session.Identified()
				}
			}
		})
		later := 0
		for i := range got {
			s := got[i].record.Session
			if got[i].batch >= half/perBatch {
				later++
				if s.ID < 100 {
					t.Fatalf("a record of %s", s.Name)
				}
			}
			got[i].record.Session = &packet.Session{ID: s.ID} // each run has its own
		}
		if want == nil {
			want = got
		}
		if later == 0 || later == len(got) || !reflect.DeepEqual(got, want) {
			t.Errorf("%d records of %d workers differ from %d of one", len(got), workers, len(want))
		}
	}
}

// A thousand sessions become known at once, while there is traffic of them.
func TestThousandSessionsBecomeKnownAtOnce(t *testing.T) {
	r := record(t, func(c *Config) { c.Capacity = 10_000 })
	sessions := make([]*packet.Session, 1000)
	round := func(at int64) {
		var frames []*packet.Frame
		for _, s := range sessions {
			for n := range uint32(3) {
				frames = append(frames, of(s, at, udp(n)))
			}
		}
		r.give(at, frames...)
	}
	for i := range sessions {
		sessions[i] = stranger(uint32(i+1), uint32(i+1))
	}
	round(start)
	for i, s := range sessions {
		after := learn(s, uint32(i+1001))
		if i%2 == 0 { // the others' frames were looked up before
			sessions[i] = after
		}
	}
	round(start + second)
	for i := range sessions {
		sessions[i] = sessions[i].Identified()
	}
	round(start + 2*second)
	if n := len(r.shards[0].origins.byPlace); n != 1000 || r.Stats().Live != 3000 {
		t.Errorf("%d origins, %d flows", n, r.Stats().Live)
	}
	records := r.end()
	sums := all(records)
	if len(records) != 3000 || len(sums) != 1000 {
		t.Fatalf("%d records of %d sessions", len(records), len(sums))
	}
	for s, n := range sums {
		if n != 9 || !s.Known || s.Tallies[0].Records.Load() != 3 {
			t.Fatalf("%s: %d packets", s.Name, n)
		}
	}
}

// Frames of a session that became another, and those of that one, cost no
// allocation.
func TestNoAllocationsWhenSessionsBecome(t *testing.T) {
	l := newLoad(t, 1000, 1, tcpFrame(flagACK))
	before := stranger(1, 7)
	next := uint32(0)
	sessions := []*packet.Session{before}
	set := func(f *packet.Frame) {
		setFlow(f, next%500)
		f.Session, f.Source = sessions[int(next)%len(sessions)], before.Source
		next++
	}
	l.run(5000, set)
	sessions = slices.Concat(sessions, []*packet.Session{learn(before, 2)})
	if n := testing.AllocsPerRun(20, func() { l.run(5000, set) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if s := l.table.Stats(); s.Live != 500 {
		t.Errorf("%d flows, want 500", s.Live)
	}
}
