package session

import (
	"cmp"
	"slices"

	"github.com/periscope-collector/periscope/packet"
)

// A member is a session that is explained, and the entry it was made from.
type member struct {
	entry   Entry
	session *packet.Session
}

// A known holds the sessions that one side explains, the session file or AWS. It
// does not change. Of sessions of one identity that began at the same time the
// first goes before the others.
type known struct {
	bySource *index // those with a source, of each identity the one that began last; nil if there are none
	byVNI    *index // those without one, likewise
	several  map[Identity]*tenures
	byMAC    map[uint32]*tenures // those with a MAC address by VNI; nil unless frames are bare
}

func newKnown(members []*member, bare bool) *known {
	slices.Reverse(members) // of those that are equal the first is the last then, which has the frames
	k := &known{several: make(map[Identity]*tenures)}
	if bare {
		k.byMAC = newByMAC(members)
	}
	slices.SortStableFunc(members, func(a, b *member) int {
		return cmp.Or(a.entry.Identity().compare(b.entry.Identity()), cmp.Compare(a.entry.From, b.entry.From))
	})
	var groups [][]*member // by identity
	sourced := 0
	for i := 0; i < len(members); {
		id := members[i].entry.Identity()
		n := 1
		for i+n < len(members) && members[i+n].entry.Identity() == id {
			n++
		}
		groups = append(groups, members[i:i+n])
		i += n
		if !id.Source.IsZero() {
			sourced++
		}
	}
	if sourced > 0 {
		k.bySource = newIndex(sourced)
	}
	if sourced < len(groups) {
		k.byVNI = newIndex(len(groups) - sourced)
	}
	for _, g := range groups {
		last := g[len(g)-1]
		id := last.entry.Identity()
		if id.Source.IsZero() {
			k.byVNI.add(vniKey(id.VNI), last.session, last.entry.Until == 0)
		} else {
			k.bySource.add(k.bySource.sourceKey(id.VNI, &id.Source), last.session, last.entry.Until == 0)
		}
		if len(g) > 1 {
			k.several[id] = newTenures(g)
		}
	}
	return k
}

// newByMAC returns the members that have a MAC address, by VNI, whatever their
// source. Of equals the last one has the frames.
func newByMAC(members []*member) map[uint32]*tenures {
	groups := make(map[uint32][]*member)
	for _, m := range members {
		if m.session.ByMAC {
			groups[m.entry.VNI] = append(groups[m.entry.VNI], m)
		}
	}
	byMAC := make(map[uint32]*tenures, len(groups))
	for vni, g := range groups {
		slices.SortStableFunc(g, func(a, b *member) int { return cmp.Compare(a.entry.From, b.entry.From) })
		byMAC[vni] = newTenures(g)
	}
	return byMAC
}

// find returns the session of a frame, or nil.
func (k *known) find(f *packet.Frame) *packet.Session {
	vni := f.VNI & MaxVNI
	if k.bySource != nil {
		if slot := k.bySource.slot(k.bySource.sourceKey(vni, &f.Source), &f.Source); slot != nil {
			if s := k.holder(slot, f, &f.Source); s != nil {
				return s
			}
		}
	}
	if k.byMAC != nil && f.Source.IsZero() {
		if s := k.ofInterface(vni, f); s != nil {
			return s
		}
	}
	if k.byVNI != nil {
		if slot := k.byVNI.slot(vniKey(vni), &f.Source); slot != nil {
			return k.holder(slot, f, &packet.Addr{})
		}
	}
	return nil
}

// holder returns the session of a frame among those of the identity of a slot, or
// nil.
func (k *known) holder(slot *slot, f *packet.Frame, source *packet.Addr) *packet.Session {
	s := slot.session.Load()
	if slot.surely(f) || holds(s, f) {
		return s
	}
	return k.earlier(Identity{f.VNI & MaxVNI, *source}, f)
}

// ofInterface returns the session of a VNI with one of a frame's MAC addresses, or
// nil.
func (k *known) ofInterface(vni uint32, f *packet.Frame) *packet.Session {
	t := k.byMAC[vni]
	if t == nil || len(f.Data) < packet.EthernetLen {
		return nil
	}
	return t.ofInterface(f)
}

// earlier returns the session that held an identity when the frame came, if not
// the one that began last, or nil.
func (k *known) earlier(id Identity, f *packet.Frame) *packet.Session {
	if t := k.several[id]; t != nil {
		return t.find(f)
	}
	return nil
}
