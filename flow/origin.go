package flow

import (
	"sync/atomic"

	"github.com/periscope-collector/periscope/packet"
)

// An origin is where flows come from: a session and, if the session is unknown,
// the outer source. Entries refer to it by number, so that they hold no
// pointer. It is released when no entry does any more.
type origin struct {
	session *packet.Session // nil if the place is free
	source  packet.Addr     // of the first frame
	hash    uint64
	refs    uint32 // entries that refer to it
	loose   bool   // listed to be looked at when the batch is done
	used    bool   // listed to have its sums flushed
	sums    sums
}

// sums are what is added to the session's tally once a batch.
type sums struct {
	records, tcpBytes, lostBytes, retransmits, outOfOrder, duplicates uint64
}

func (n *sums) flush(t *packet.Tally) {
	for _, c := range [...]struct {
		n  uint64
		to *atomic.Uint64
	}{
		{n.records, &t.Records},
		{n.tcpBytes, &t.TCPBytes},
		{n.lostBytes, &t.LostBytes},
		{n.retransmits, &t.Retransmitted},
		{n.outOfOrder, &t.OutOfOrder},
		{n.duplicates, &t.Duplicates},
	} {
		if c.n != 0 { // an addition costs more than the question
			c.to.Add(c.n)
		}
	}
	*n = sums{}
}

type originKey struct {
	session uint32
	source  packet.Addr // zero if the session is known
}

// Origins are those of one shard. There are at most as many as flows, and those
// of the batch at hand.
type origins struct {
	at     []origin // at[0] stands for none
	free   []uint32
	loose  []uint32 // may have no entry that refers to them
	used   []uint32 // have sums
	byKey  map[originKey]uint32
	recent [64]uint32 // by session and source, so that the map is rarely asked
}

func newOrigins() origins {
	return origins{at: make([]origin, 1), byKey: make(map[originKey]uint32)}
}

// find returns the number of the frame's origin. It stays valid until the batch
// is done, and as long as an entry refers to it.
func (o *origins) find(f *packet.Frame, h *hasher) uint32 {
	s := f.Session
	slot := s.ID
	if !s.Known {
		_, low := words(&f.Source)
		slot += uint32(low >> 32 * 0x9e3779b1 >> 24)
	}
	recent := &o.recent[slot%uint32(len(o.recent))]
	if at := &o.at[*recent]; at.session == s && (s.Known || at.source == f.Source) {
		return *recent
	}
	key := originKey{session: s.ID}
	if !s.Known {
		key.source = f.Source
	}
	i, ok := o.byKey[key]
	if !ok {
		i = o.add(f, key, h)
	}
	*recent = i
	return i
}

func (o *origins) add(f *packet.Frame, key originKey, h *hasher) uint32 {
	var i uint32
	if n := len(o.free); n > 0 {
		i, o.free = o.free[n-1], o.free[:n-1]
	} else {
		i = uint32(len(o.at))
		o.at = append(o.at, origin{})
	}
	o.at[i] = origin{session: f.Session, source: f.Source, hash: h.join(h.end(&key.source, 0), uint64(key.session))}
	o.byKey[key] = i
	o.loosen(i)
	return i
}

func (o *origins) retain(i uint32) { o.at[i].refs++ }

func (o *origins) release(i uint32) {
	if o.at[i].refs--; o.at[i].refs == 0 {
		o.loosen(i)
	}
}

func (o *origins) loosen(i uint32) {
	if !o.at[i].loose {
		o.at[i].loose = true
		o.loose = append(o.loose, i)
	}
}

// sums returns where to add to what the batch did in an origin.
func (o *origins) sums(i uint32) *sums {
	at := &o.at[i]
	if !at.used {
		at.used = true
		o.used = append(o.used, i)
	}
	return &at.sums
}

// flush adds the sums to the tallies of a worker, and forgets origins that no
// entry refers to.
func (o *origins) flush(worker int) {
	for _, i := range o.used {
		at := &o.at[i]
		at.used = false
		if worker < len(at.session.Tallies) {
			at.sums.flush(&at.session.Tallies[worker])
		}
	}
	o.used = o.used[:0]
	for _, i := range o.loose {
		at := &o.at[i]
		at.loose = false
		if at.refs != 0 {
			continue
		}
		key := originKey{session: at.session.ID}
		if !at.session.Known {
			key.source = at.source
		}
		delete(o.byKey, key)
		*at = origin{}
		o.free = append(o.free, i)
	}
	o.loose = o.loose[:0]
}

// anyEnded reports whether flows of a session that ended are left.
func (o *origins) anyEnded() bool {
	for i := range o.at {
		if at := &o.at[i]; at.session != nil && at.session.Ended.Load() {
			return true
		}
	}
	return false
}
