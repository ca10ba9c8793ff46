package flow

import (
	"math/bits"
)

// A packet between two mirrored interfaces comes twice, through two sessions.
// To see that costs a hash of all its bytes, so it is looked for only where
// another session shows the same flow. That is found out when a flow begins a
// record: both sessions' flows do so at the same packet.

// Copies remember recent packets and flows of a shard, so that they are found
// again through another session: 8 KiB, and 0.4 bytes a flow of capacity. With
// 1,000,000 flows that is 16,000 of each, which is what came in 16 ms at
// 1,000,000 new flows a second, and fits a core's cache.
type copies struct {
	packets []copySet
	flows   []flowHint
}

// A copySet is a cache line of packets whose hashes fall on it.
type copySet [4]copied

type copied struct {
	hash   uint64
	millis uint32 // time in ms modulo 2^32
	origin uint32 // 0 if the place is free
}

// A flowHint says where a flow of a tuple may be.
type flowHint struct{ tag, entry uint32 }

// copyLife is how long in ms a packet is remembered.
const copyLife = 1000

func newCopies(capacity int) copies {
	return copies{make([]copySet, 64+capacity/256), make([]flowHint, 512+capacity/64)}
}

func (c *copies) hint(tuple uint64) *flowHint {
	n, _ := bits.Mul64(tuple, uint64(len(c.flows)))
	return &c.flows[n]
}

// findTwin looks for the flow of entry i through another session.
func (s *shard) findTwin(i uint32, st *staged) {
	hint := s.copies.hint(st.tuple)
	if hint.tag == uint32(st.tuple) && hint.entry != i {
		if other := &s.slab[hint.entry]; other.origin != 0 && other.origin != st.origin && other.sameEnds(st) {
			other.state |= twin
			s.slab[i].state |= twin
		}
	}
	*hint = flowHint{uint32(st.tuple), i}
}

// digest hashes all of a packet that routers leave alone: addresses, protocol,
// identification, and everything behind the IP header. It is 0 if the packet is
// not whole.
func (s *shard) digest(st *staged) uint64 {
	f, h := st.frame, &st.frame.Header
	begin, end := int(h.Transport), int(h.Network)+int(ipLength(f))
	if begin == 0 {
		begin = int(h.Payload)
	}
	if f.Truncated() || begin > end || end > len(f.Data) {
		return 0
	}
	fragment := uint64(h.FragmentOffset)
	if h.MoreFragments {
		fragment |= 1
	}
	return s.hasher.bytes(f.Data[begin:end], s.hasher.join(s.hasher.packet(h), fragment))
}

// seenElsewhere reports whether the packet came before through another session,
// less than a second ago. Each packet is a copy of at most one.
func (s *shard) seenElsewhere(st *staged) bool {
	if st.digest == 0 {
		st.digest = s.digest(st)
	}
	return st.digest != 0 && s.copies.set(st.digest).take(copied{st.digest, uint32(st.time / 1e6), st.origin})
}

func (c *copies) set(digest uint64) *copySet {
	n, _ := bits.Mul64(digest, uint64(len(c.packets)))
	return &c.packets[n]
}

// take removes the packet that c is a copy of, and reports whether there was
// one. Otherwise it remembers c in the place of the oldest.
func (set *copySet) take(c copied) bool {
	oldest, age := 0, uint32(0)
	for i := range set {
		p := &set[i]
		passed := c.millis - p.millis
		if p.origin == 0 || passed > 1<<31 {
			passed = 1 << 31
		}
		if p.hash == c.hash && p.origin != 0 && p.origin != c.origin && c.millis-p.millis+copyLife <= 2*copyLife {
			*p = copied{}
			return true
		}
		if passed >= age {
			oldest, age = i, passed
		}
	}
	set[oldest] = c
	return false
}
