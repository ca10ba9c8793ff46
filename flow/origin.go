package flow

import (
	"sync/atomic"

	"github.com/periscope-collector/periscope/packet"
)

// An origin is where flows come from: a session and, if the session is unknown,
// the outer source. Entries refer to it by number, so that they hold no
// pointer, and a session that becomes another takes its flows along. It is
// released when no entry does any more.
type origin struct {
	session *packet.Session // nil if the place is free
	source  packet.Addr     // of the first frame
	hash    uint64
	refs    uint32 // entries that refer to it
	next    uint32 // an earlier one at the same place; 0 if there is none
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

// A place is what sessions that become one another have in common.
type place struct {
	vni    uint32
	source packet.Addr // the session's, if it is known, or the frame's
}

func placeOf(s *packet.Session, source *packet.Addr) place {
	if s.Known {
		source = &s.Source
	}
	return place{s.VNI, *source}
}

// Origins are those of one shard. There are at most as many as flows, and those
// of the batch at hand.
type origins struct {
	at      []origin // at[0] stands for none
	free    []uint32
	loose   []uint32         // may have no entry that refers to them
	used    []uint32         // have sums
	byPlace map[place]uint32 // the latest of each place, which leads to the others
	recent  [64]uint32       // by session and source, so that the map is rarely asked
}

func newOrigins() origins {
	return origins{at: make([]origin, 1), byPlace: make(map[place]uint32)}
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
	i := o.search(f)
	if i == 0 {
		i = o.add(f, h)
	}
	*recent = i
	return i
}

// search returns the origin of the frame's session, or the one of a session that
// is the same by now; 0 if there is none. A place has as many origins as it had
// holders with flows that are left.
func (o *origins) search(f *packet.Frame) uint32 {
	first := o.byPlace[placeOf(f.Session, &f.Source)]
	for i := first; i != 0; i = o.at[i].next {
		if o.at[i].session == f.Session {
			return i
		}
	}
	s := f.Session.Identified()
	for i := first; i != 0; i = o.at[i].next {
		if o.identify(i) == s {
			return i
		}
	}
	return 0
}

func (o *origins) add(f *packet.Frame, h *hasher) uint32 {
	var i uint32
	if n := len(o.free); n > 0 {
		i, o.free = o.free[n-1], o.free[:n-1]
	} else {
		i = uint32(len(o.at))
		o.at = append(o.at, origin{})
	}
	p := placeOf(f.Session, &f.Source)
	if f.Session.Known {
		p.source = packet.Addr{} // the session alone tells
	}
	o.at[i] = origin{session: f.Session, source: f.Source, hash: h.join(h.end(&p.source, 0), uint64(f.Session.ID))}
	o.link(i)
	o.loosen(i)
	return i
}

// identify returns who the session of an origin has become, to whom the origin
// is given: its flows go on, under the same hash.
func (o *origins) identify(i uint32) *packet.Session {
	at := &o.at[i]
	s := at.session.Identified()
	if s == at.session {
		return s
	}
	moves := placeOf(s, &at.source) != placeOf(at.session, &at.source)
	if moves {
		o.unlink(i)
	}
	at.session = s
	if moves {
		o.link(i)
	}
	return s
}

// link puts an origin where it is found.
func (o *origins) link(i uint32) {
	at := &o.at[i]
	p := placeOf(at.session, &at.source)
	at.next, o.byPlace[p] = o.byPlace[p], i
}

// unlink takes it away from there.
func (o *origins) unlink(i uint32) {
	at := &o.at[i]
	p := placeOf(at.session, &at.source)
	before := o.byPlace[p]
	switch {
	case before != i:
		for o.at[before].next != i {
			before = o.at[before].next
		}
		o.at[before].next = at.next
	case at.next != 0:
		o.byPlace[p] = at.next
	default:
		delete(o.byPlace, p)
	}
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

// flush adds the sums to the tallies of a worker, of what a session has become,
// and forgets origins that no entry refers to.
func (o *origins) flush(worker int) {
	for _, i := range o.used {
		at := &o.at[i]
		at.used = false
		if tallies := at.session.Identified().Tallies; worker < len(tallies) {
			at.sums.flush(&tallies[worker])
		}
	}
	o.used = o.used[:0]
	for _, i := range o.loose {
		at := &o.at[i]
		at.loose = false
		if at.refs != 0 {
			continue
		}
		o.unlink(i)
		*at = origin{}
		o.free = append(o.free, i)
	}
	o.loose = o.loose[:0]
}

// look finds out who the sessions have become, and reports whether flows of one
// that is over are left.
func (o *origins) look() (over bool) {
	for i := range o.at {
		if o.at[i].session != nil && o.identify(uint32(i)).Over() {
			over = true
		}
	}
	return over
}
