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
// does not change.
type known struct {
	bySource *index // those with a source, of each identity the one that began last; nil if there are none
	byVNI    *index // those without one, likewise
	several  map[identity]*tenures
}

func newKnown(members []*member) *known {
	slices.SortStableFunc(members, func(a, b *member) int {
		return cmp.Or(a.entry.identity().compare(b.entry.identity()), cmp.Compare(a.entry.From, b.entry.From))
	})
	var groups [][]*member // by identity
	sourced := 0
	for i := 0; i < len(members); {
		id := members[i].entry.identity()
		n := 1
		for i+n < len(members) && members[i+n].entry.identity() == id {
			n++
		}
		groups = append(groups, members[i:i+n])
		i += n
		if !id.source.IsZero() {
			sourced++
		}
	}
	k := &known{several: make(map[identity]*tenures)}
	if sourced > 0 {
		k.bySource = newIndex(sourced)
	}
	if sourced < len(groups) {
		k.byVNI = newIndex(len(groups) - sourced)
	}
	for _, g := range groups {
		last := g[len(g)-1]
		id := last.entry.identity()
		if id.source.IsZero() {
			k.byVNI.add(vniKey(id.vni), last.session)
		} else {
			k.bySource.add(k.bySource.sourceKey(id.vni, &id.source), last.session)
		}
		if len(g) > 1 {
			k.several[id] = newTenures(g)
		}
	}
	return k
}

// find returns the session of a frame, or nil.
func (k *known) find(f *packet.Frame) *packet.Session {
	vni := f.VNI & MaxVNI
	if k.bySource != nil {
		if s := k.bySource.find(k.bySource.sourceKey(vni, &f.Source), &f.Source); s != nil {
			if holds(s, f) {
				return s
			}
			if s = k.earlier(identity{vni, f.Source}, f); s != nil {
				return s
			}
		}
	}
	if k.byVNI == nil {
		return nil
	}
	s := k.byVNI.find(vniKey(vni), &f.Source)
	if s == nil || holds(s, f) {
		return s
	}
	return k.earlier(identity{vni: vni}, f)
}

// earlier returns the session that held an identity when the frame came, if not
// the one that began last, or nil.
func (k *known) earlier(id identity, f *packet.Frame) *packet.Session {
	if t := k.several[id]; t != nil {
		return t.find(f)
	}
	return nil
}
