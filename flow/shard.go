package flow

import (
	"math"
	"math/bits"

	"github.com/periscope-collector/periscope/packet"
)

// A shard is a table of its own.
type shard struct {
	worker *worker
	number uint8 // of all shards
	local  uint8 // of the worker's
	hasher *hasher

	slab     []entry // entries 0 to numKinds-1 are the rings
	capacity int
	used     uint32 // entries below it have been used
	free     uint32 // the first of a list of free ones, by newer
	length   [numKinds]uint32
	credit   [numKinds]int64
	index    index

	origins   origins
	fragments []firstFragment
	gaps      gapPool
	copies    copies

	stats *Stats

	foreseen    uint32 // see foresee
	foreseenFor uint64

	swept, purged uint32 // how far the worker's sweep and purge are
}

func newShard(w *worker, number uint8, capacity int, h *hasher) *shard {
	s := &shard{
		worker: w, number: number, hasher: h, stats: &w.stats,
		slab: make([]entry, capacity+int(numKinds)), capacity: capacity, used: uint32(numKinds),
		index: newIndex(capacity), origins: newOrigins(), fragments: make([]firstFragment, fragmentSlots),
		gaps: newGapPool(capacity), copies: newCopies(capacity),
	}
	for k := range numKinds {
		s.slab[k].older, s.slab[k].newer = uint32(k), uint32(k)
	}
	s.stats.Capacity += uint64(capacity)
	return s
}

// account counts one frame.
func (s *shard) account(st *staged) {
	f := st.frame
	if f.Reason != packet.None {
		return
	}
	i := s.entryOf(st)
	e := &s.slab[i]
	epoch := s.worker.epochOf(st.time)
	fresh := false
	if epoch != e.epoch || e.state&open == 0 {
		fresh = s.roll(i, st, epoch)
	}
	side, at := &e.side[st.sender&1], s.offset(st.time, e.epoch)
	side.last = max(side.last, at)
	if (fresh || e.state&twin != 0) && s.seenElsewhere(st) {
		s.stats.Duplicates++
		s.origins.sums(st.origin).duplicates++
		if s.worker.config.DropDuplicates {
			s.follow(i, e, st)
			return
		}
		side.duplicates++
	}
	if side.full() {
		s.write(i, packet.FlowFull, st.time)
		s.start(e, e.epoch)
		side.last = at
	}
	side.first = min(side.first, at)
	s.count(e, st)
	s.follow(i, e, st)
}

// entryOf returns the entry of the frame's flow, a new one if need be.
func (s *shard) entryOf(st *staged) uint32 {
	i := st.entry
	e := &s.slab[i]
	if !e.is(st) {
		i = s.find(st)
		e = &s.slab[i]
	}
	if i != 0 && e.restarts(st) {
		s.remove(i, packet.FlowClosed, st.time)
		i = 0
	}
	if i == 0 {
		return s.add(st)
	}
	if e.kind == single {
		s.move(i, conversation)
	}
	e.state |= active
	return i
}

// find looks for the entry of the frame's flow, and returns 0 if there is none.
func (s *shard) find(st *staged) uint32 {
	tag := tagOf(st.hash)
	for n, b := 0, s.index.home(st.hash); n < window; n, b = n+1, s.index.after(b) {
		bucket := &s.index.buckets[b]
		for half := range bucket.tags {
			for m := match(bucket.tags[half], tag); m != 0; m &= m - 1 {
				if i := bucket.at(slot(half, m)); s.slab[i].is(st) {
					return i
				}
			}
		}
		if bucket.low[slots] == 0 {
			break
		}
	}
	return 0
}

// add makes an entry for the frame's flow.
func (s *shard) add(st *staged) uint32 {
	if s.index.crowded(st.hash) || !s.index.room(st.hash) {
		s.remove(s.worst(st.hash), evicted, st.time)
	} else if s.isFull() {
		s.evict(st.time)
	}
	i := s.take()
	s.index.insert(st.hash, i)
	h := &st.frame.Header
	e := &s.slab[i]
	*e = entry{head: head{
		port: st.port, origin: st.origin, protocol: h.Protocol,
		icmpType: h.ICMPType, icmpCode: h.ICMPCode,
	}}
	e.addr[st.sender], e.addr[st.sender^1] = h.Src, h.Dst
	e.setInitiator(st.initiator())
	s.push(i, single)
	s.stats.Live++
	s.origins.retain(st.origin)
	return i
}

// take returns an entry that is not in use. There is one.
func (s *shard) take() uint32 {
	if i := s.free; i != 0 {
		s.free = s.slab[i].newer
		return i
	}
	s.used++
	return s.used - 1
}

// worst returns the entry to evict from a hash's home bucket: that of the lowest
// kind, then the one without packets for the longest time. Where entries crowd
// there it is one of those.
func (s *shard) worst(hash uint64) uint32 {
	b := s.index.bucket(hash)
	mask := b.matches(tagOf(hash))
	if bits.OnesCount64(mask) < crowd {
		mask = 1<<slots - 1
	}
	worst, least := uint32(0), int64(math.MaxInt64)
	for ; mask != 0; mask &= mask - 1 {
		i := b.at(bits.TrailingZeros64(mask))
		e := &s.slab[i]
		if rank := s.seen(e)>>2 | int64(e.kind)<<61; rank < least {
			worst, least = i, rank
		}
	}
	return worst
}

// seen returns the time of an entry's last packet, in nanoseconds since 1970.
func (s *shard) seen(e *entry) int64 {
	return s.worker.begins(e.epoch) + int64(e.lastSeen())*1000
}

// remove writes what is left of an entry, and forgets it.
func (s *shard) remove(i uint32, why packet.FlowReason, now int64) {
	s.write(i, why, now)
	e := &s.slab[i]
	s.gaps.drop(&e.side[0].gaps)
	s.gaps.drop(&e.side[1].gaps)
	s.index.remove(s.hashOf(e), i)
	s.unlink(i)
	s.stats.Live--
	s.origins.release(e.origin)
	if why == evicted {
		s.stats.Evicted++
	}
	e.origin, e.newer = 0, s.free
	s.free = i
}

const evicted = packet.FlowEvicted

// roll begins the record that a frame of an epoch is counted in. It reports
// false if that is the open one, of the next interval.
func (s *shard) roll(i uint32, st *staged, epoch uint32) bool {
	e := &s.slab[i]
	if e.state&open != 0 {
		if epoch+1 == e.epoch {
			return false
		}
		s.write(i, packet.FlowInterval, st.time)
	}
	if epoch+1 == s.worker.epoch {
		// Records of this interval are being written, or have been.
		epoch++
	}
	s.start(e, epoch)
	s.findTwin(i, st)
	return true
}

// start begins a record.
func (s *shard) start(e *entry, epoch uint32) {
	e.epoch = epoch
	e.state |= open
	e.side[0].first, e.side[0].last = math.MaxInt32, never
	e.side[1].first, e.side[1].last = math.MaxInt32, never
}

// count adds a frame to the open record.
func (s *shard) count(e *entry, st *staged) {
	f := st.frame
	n := ipLength(f)
	end := st.sender & 1
	side, marked := &e.side[end], &e.marks[end]
	if side.packets == 0 {
		*marked |= marks(f.Direction) & directionMask
	}
	if flags := st.flags; flags != 0 {
		e.flags[end] |= flags
		if flags&(flagSYN|flagACK) == flagSYN|flagACK {
			*marked |= synAck
		}
		if flags&flagSYN != 0 && flags&(flagFIN|flagRST) != 0 {
			*marked |= badFlags
		}
	}
	side.packets++
	side.bytes += uint64(n)
	side.extra += uint32(min(max(f.Length-int(n), 0), maxLength))
	if f.Truncated() {
		if side.truncated++; e.cut == 0 {
			e.cut = uint16(min(len(f.Data), math.MaxUint16))
		}
	}
	s.stats.Packets++
}

// offset returns a time in µs from the epoch's begin.
func (s *shard) offset(time int64, epoch uint32) int32 {
	d := (time - s.worker.begins(epoch)) / 1000
	return int32(min(max(d, never+1), math.MaxInt32))
}
