package flow

import (
	"math/rand/v2"
	"runtime"
	"testing"
	"time"
	"unsafe"

	"github.com/periscope-collector/periscope/packet"
)

// What the budget of 192 bytes a flow is made of.
func TestSizes(t *testing.T) {
	for what, size := range map[string][2]uintptr{
		"entry":  {unsafe.Sizeof(entry{}), 168},
		"head":   {unsafe.Sizeof(head{}), 72},
		"side":   {unsafe.Sizeof(side{}), 48},
		"bucket": {unsafe.Sizeof(bucket{}), 64},
		"gap":    {unsafe.Sizeof(gap{}), 16},
		"copies": {unsafe.Sizeof(copySet{}), 64},
	} {
		if size[0] != size[1] {
			t.Errorf("%s takes %d bytes, want %d", what, size[0], size[1])
		}
	}
}

// A table takes at most 192 bytes a flow of its capacity, all in.
func TestMemoryPerFlow(t *testing.T) {
	const capacity = 1_000_000
	for _, shards := range []int{1, packet.Shards} {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		r := record(t, func(c *Config) { c.Capacity, c.Shards = capacity, shards })
		session := known(1)
		for n := range uint32(1000) {
			r.Add(0, udp(n).frame(session, start))
		}
		r.Done(0, batchAt(start))
		runtime.GC()
		runtime.ReadMemStats(&after)
		per := float64(after.HeapAlloc-before.HeapAlloc) / capacity
		t.Logf("%d shards: %.1f bytes a flow", shards, per)
		if per > 192 {
			t.Errorf("%d shards: %.1f bytes a flow, want at most 192", shards, per)
		}
		runtime.KeepAlive(r)
	}
}

// In the steady state nothing is allocated, whether flows are known, new, cut
// or evicted.
func TestNoAllocations(t *testing.T) {
	for _, capacity := range []int{1000, 10_000} {
		l := newLoad(t, capacity, packet.Shards, tcpFrame(flagACK))
		next := uint32(0)
		set := func(f *packet.Frame) {
			setFlow(f, next%4000)
			next++
		}
		l.run(20_000, set)
		if n := testing.AllocsPerRun(20, func() {
			l.now += 20 * second
			l.run(5000, set)
		}); n != 0 {
			t.Errorf("room for %d: %v allocations", capacity, n)
		}
		if s := l.table.Stats(); (s.Evicted == 0) != (capacity > 4000) || (s.Records[packet.FlowInterval] == 0) == (capacity > 4000) {
			t.Errorf("room for %d: %+v", capacity, s)
		}
	}
}

// A table takes as many flows as it has room for before it evicts any; of more
// flows each packet is in one record.
func TestManyFlows(t *testing.T) {
	manyFlows(t, 20_000)
}

// manyFlows sends ten times as many flows through a table as it has room for.
func manyFlows(t *testing.T, capacity int) {
	for _, shards := range []int{1, packet.Shards} {
		var packets uint64
		table, err := New(Config{
			Workers: 1, Shards: shards, Capacity: capacity, Interval: time.Minute, Idle: 2 * time.Minute, Grace: 5 * time.Second, Seed: 1,
			Emit: func(_ int, r *packet.Flow) { packets += r.Side[0].Packets + r.Side[1].Packets },
			Cut:  func(int, packet.Cut) {},
		})
		if err != nil {
			t.Fatal(err)
		}
		flows := uint64(10 * capacity)
		f := tcpFrame(flagSYN)
		var frames [256]packet.Frame
		var before, after runtime.MemStats
		now := start
		for n := uint64(0); n < flows; {
			if n == uint64(capacity)/256*256 {
				runtime.ReadMemStats(&before)
				if s := table.Stats(); shards == 1 && (s.Evicted != 0 || s.Live != n) {
					t.Errorf("%d flows, room for %d: %d live, %d evicted", n, capacity, s.Live, s.Evicted)
				}
			}
			for i := range frames {
				frames[i] = f
				setFlow(&frames[i], uint32(n))
				frames[i].Time = now
				table.Add(0, &frames[i])
				if n++; n == flows {
					break
				}
			}
			now += micro
			table.Done(0, batchAt(now))
		}
		runtime.ReadMemStats(&after)
		s := table.Stats()
		if s.Live != s.Capacity || s.Evicted != flows-s.Capacity || s.Records[packet.FlowEvicted] != s.Evicted {
			t.Errorf("%d shards: %d evictions, %d live; want %d and %d", shards, s.Evicted, s.Live, flows-s.Capacity, s.Capacity)
		}
		if grown := int64(after.TotalAlloc - before.TotalAlloc); grown > int64(capacity) {
			t.Errorf("%d shards: %d bytes allocated by a full table", shards, grown)
		}
		table.Close()
		if packets != flows || table.Stats().Packets != flows {
			t.Errorf("%d shards: %d packets in records, want %d", shards, packets, flows)
		}
	}
}

// Packets with keys chosen to collide, which takes to know the seed, displace
// each other alone, and are all accounted for.
func TestCollisions(t *testing.T) {
	var packets uint64
	r := record(t, func(c *Config) {
		c.Capacity = 10_000
		c.Emit = func(_ int, f *packet.Flow) { packets += f.Side[0].Packets + f.Side[1].Packets }
	})
	session := known(1)
	for n := range uint32(100) {
		r.Add(0, udp(n).frame(session, start))
		r.Add(0, reply(n).frame(session, start))
	}
	r.clock(start)
	const frames = 2000
	set := collide(r.shards[0].hasher)
	for n := range uint32(frames) {
		f := udp(0).frame(session, start)
		set(f, n)
		r.Add(0, f)
	}
	r.clock(start)
	home := -1
	s := r.shards[0]
	for i := s.slab[single].newer; i != uint32(single); i = s.slab[i].newer {
		if h := s.index.home(s.hashOf(&s.slab[i])); home == -1 {
			home = h
		} else if h != home {
			t.Fatalf("the keys do not collide: homes %d and %d", home, h)
		}
	}
	stats := r.Stats()
	if want := uint64(frames - window*slots); stats.Evicted < want || stats.Evicted > want+window*slots {
		t.Errorf("%d evictions, want about %d", stats.Evicted, want)
	}
	if s.length[conversation] < 90 {
		t.Errorf("%d of 100 conversations are left", s.length[conversation])
	}
	r.end()
	if packets != frames+200 {
		t.Errorf("%d packets in records, want %d", packets, frames+200)
	}
}

// collide returns a function that makes a frame of flow n, where all flows have
// the same hash: one end's address makes a factor of its hash 0.
func collide(h *hasher) func(f *packet.Frame, n uint32) {
	var src packet.Addr
	for i := range 8 {
		src[i] = byte(h[0] >> (8 * i))
	}
	return func(f *packet.Frame, n uint32) {
		for i := range 4 {
			src[8+i] = byte(n >> (8 * i))
		}
		f.Header.Src = src
	}
}

// Packets with random sequence numbers and acknowledgements do not make lost
// bytes.
func TestRandomSegments(t *testing.T) {
	r, session := record(t, nil), known(1)
	random := rand.New(rand.NewPCG(1, 2))
	for _, s := range after() {
		r.add(session, start, s.spec)
	}
	const packets = 10_000
	for i := range int64(packets) {
		r.Add(0, seg(random.IntN(2), flagACK, random.Uint32(), random.Uint32(), 100).frame(session, start+i*milli))
		r.Done(0, batchAt(start+i*milli))
	}
	r.end()
	if lost := r.Stats().LostBytes; lost > packets*1000 {
		t.Errorf("%d bytes lost by %d packets", lost, packets)
	}
}
