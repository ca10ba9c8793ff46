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

// secondChances bounds how many conversations are looked at to find one to
// evict.
const secondChances = 8

// evict removes one flow of a full shard: the oldest one of a single packet, as
// long as those are more than one in 16; else the one closed longest ago; else
// a conversation that had no packet for some time. The part that is left to
// single packets is what a flow needs to become a conversation when the table
// is full of them.
func (s *shard) evict(now int64) {
	if s.length[single] > uint32(s.capacity/16) {
		s.remove(s.oldest(single), evicted, now)
		return
	}
	for _, k := range []kind{closed, conversation, single} {
		i := s.oldest(k)
		if i == 0 {
			continue
		}
		for n := 0; n < secondChances && s.slab[i].state&active != 0; n++ {
			s.move(i, k)
			i = s.oldest(k)
		}
		s.remove(i, evicted, now)
		return
	}
}
