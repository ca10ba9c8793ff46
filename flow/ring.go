package flow

// push puts entry i at the young end of the ring of kind k.
func (s *shard) push(i uint32, k kind) {
	begin := &s.slab[k]
	e := &s.slab[i]
	e.kind, e.older, e.newer = k, begin.older, uint32(k)
	s.slab[begin.older].newer = i
	begin.older = i
	s.length[k]++
}

// unlink takes entry i out of its ring.
func (s *shard) unlink(i uint32) {
	e := &s.slab[i]
	s.slab[e.older].newer = e.newer
	s.slab[e.newer].older = e.older
	s.length[e.kind]--
}

// move puts entry i at the young end of the ring of kind k, and has it count as
// not active.
func (s *shard) move(i uint32, k kind) {
	s.unlink(i)
	s.push(i, k)
	s.slab[i].state &^= active
}

// oldest returns the entry at the old end of the ring of kind k; 0 if there is
// none.
func (s *shard) oldest(k kind) uint32 {
	if i := s.slab[k].newer; i >= uint32(numKinds) {
		return i
	}
	return 0
}

// secondChances bounds how many flows are looked at to find one to evict.
const secondChances = 8

// evictable returns the kind of flow that has to go from a full shard: one of a
// single packet, as long as those are more than one in 16; else a closed one;
// else a conversation. The part that is left to single packets is what a flow
// needs to become a conversation when the table is full of them.
func (s *shard) evictable() kind {
	switch {
	case s.length[single] > uint32(s.capacity/16):
		return single
	case s.length[closed] > 0:
		return closed
	case s.length[conversation] > 0:
		return conversation
	}
	return single
}

// evict removes the oldest flow of the kind that has to go, or one behind it
// that had no packet for some time.
func (s *shard) evict(now int64) {
	k := s.evictable()
	for n := 0; n < secondChances && s.slab[s.oldest(k)].state&active != 0; n++ {
		s.move(s.oldest(k), k)
	}
	s.remove(s.oldest(k), evicted, now)
}

// foresee returns the bucket of the flow that is to be evicted next, after those
// foreseen for the same group of packets, if all goes on as before. The shard is
// full.
func (s *shard) foresee(group uint64) *bucket {
	if s.foreseen == 0 || s.foreseenFor != group {
		s.foreseen, s.foreseenFor = s.oldest(s.evictable()), group
	}
	e := &s.slab[s.foreseen]
	if s.foreseen = e.newer; s.foreseen < uint32(numKinds) {
		s.foreseen = 0
	}
	return s.index.bucket(s.hashOf(e))
}

func (s *shard) isFull() bool { return s.free == 0 && int(s.used) == len(s.slab) }
