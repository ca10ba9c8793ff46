package flow

import (
	"testing"

	"github.com/periscope-collector/periscope/packet"
)

// The index grows with the flows, and all of them are found again: before, at
// and after each step, with flows among them that someone chose to collide.
func TestIndexGrowsWithTheFlows(t *testing.T) {
	const flows = 5000
	var packets, records uint64
	r := record(t, func(c *Config) {
		c.Capacity = 100_000
		c.Emit = func(_ int, f *packet.Flow) {
			packets += f.Side[0].Packets + f.Side[1].Packets
			records++
		}
	})
	session, s := known(1), r.shards[0]
	set := collide(s.hasher)
	const colliding = crowd // more are not let in
	for n := range uint32(colliding) {
		f := udp(0).frame(session, start)
		set(f, n)
		r.Add(0, f)
	}
	r.clock(start)
	for n := range uint32(flows) {
		before := s.index.capacity
		r.Add(0, udp(n).frame(session, start))
		r.clock(start)
		if used := int(s.used); s.index.capacity != before && (used < before || used > before+2) {
			t.Errorf("the index for %d grew at %d entries", before, used)
		}
		if n%500 == 0 || s.index.capacity != before {
			if problem := r.check(); problem != "" {
				t.Fatalf("%d flows: %s", n+1, problem)
			}
		}
	}
	if got := s.index.capacity; got != 8*smallIndex {
		t.Errorf("an index for %d, want %d", got, 8*smallIndex)
	}
	for n := range uint32(flows) {
		r.Add(0, reply(n).frame(session, start))
	}
	r.clock(start)
	if stats := r.Stats(); stats.Evicted != 0 || stats.Live != flows+colliding {
		t.Errorf("%d evicted, %d live, want 0 and %d", stats.Evicted, stats.Live, flows+colliding)
	}
	r.end()
	if records != flows+colliding || packets != 2*flows+colliding {
		t.Errorf("%d records of %d packets, want %d of %d", records, packets, flows+colliding, 2*flows+colliding)
	}
}

// What has no room in the new index is evicted, and accounted for.
func TestIndexGrowsPastCollisions(t *testing.T) {
	var packets uint64
	r := record(t, func(c *Config) {
		c.Capacity = 100_000
		c.Emit = func(_ int, f *packet.Flow) { packets += f.Side[0].Packets + f.Side[1].Packets }
	})
	session, s := known(1), r.shards[0]
	const flows = 500
	for n := range uint32(flows) {
		r.Add(0, udp(n).frame(session, start))
	}
	r.clock(start)
	s.capacity = 1 // so that the new index has a single window
	s.grow(start)
	const fit = window * slots
	if stats := r.Stats(); s.index.capacity != 1 || int(s.length[single]) != fit {
		t.Errorf("%d of %d flows are left, want %d; %+v", s.length[single], flows, fit, stats)
	}
	if problem := r.check(); problem != "" {
		t.Fatal(problem)
	}
	s.capacity = 100_000
	for n := range uint32(flows) {
		r.Add(0, reply(n).frame(session, start))
	}
	r.clock(start)
	r.end()
	if packets != 2*flows {
		t.Errorf("%d packets in records, want %d", packets, 2*flows)
	}
}
