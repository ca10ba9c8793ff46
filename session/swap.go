package session

import (
	"reflect"
	"slices"
	"strings"

	"github.com/periscope-collector/periscope/packet"
)

// A Change counts what a swap did to the configured sessions.
type Change struct {
	Kept  int // identity unchanged: same Session, same ID
	Added int // new, or changed and therefore new
	Ended int // removed or changed, and unknown sessions that ended
}

// Replace makes entries, which must be as Parse returns them and which it
// keeps, the configured sessions, all at once. An entry equal in every field
// to one there was keeps its Session; the others are new ones. The Session of
// an entry that changed or is gone has Ended set, as has an unknown session
// whose VNI a new entry explains; its room is free again.
func (t *Table) Replace(entries []Entry) Change {
	t.reload.Lock()
	defer t.reload.Unlock()
	v := t.view.Load()
	return t.swap(entries, v.policy, v.max)
}

// SetUnknown changes the policy alone. Unknown sessions that it leaves no room
// for, newest first, are ended.
func (t *Table) SetUnknown(policy Policy, maximum int) Change {
	t.reload.Lock()
	defer t.reload.Unlock()
	entries := make([]Entry, len(t.known))
	for i := range t.known {
		entries[i] = t.known[i].entry
	}
	return t.swap(entries, policy, maximum)
}

// Update is Replace and SetUnknown in one swap.
func (t *Table) Update(entries []Entry, policy Policy, maximum int) Change {
	t.reload.Lock()
	defer t.reload.Unlock()
	return t.swap(entries, policy, maximum)
}

// swap publishes a new view. The work of order len(entries) comes before mu is
// taken. Sessions end after the view that lacks them is out.
func (t *Table) swap(entries []Entry, policy Policy, maximum int) Change {
	maximum = min(max(maximum, 0), MaxVNI+1)
	members, gone, explained := t.match(entries)
	next := newView(members, policy, maximum)
	live := make([]*packet.Session, len(members))
	for i := range members {
		live[i] = members[i].session
	}
	sortByName(live)
	change := Change{Kept: len(t.known) - len(gone)}
	change.Added = len(members) - change.Kept

	t.mu.Lock()
	defer t.mu.Unlock()
	gone = append(gone, t.carry(next, explained)...)
	t.known, t.live = members, live
	t.view.Store(next)
	for _, s := range gone {
		s.Ended.Store(true)
	}
	t.ended.add(gone)
	change.Ended = len(gone)
	return change
}

// match pairs each entry with its session, old or new. It returns the members,
// the sessions that are no longer used, and the VNIs of the new ones.
func (t *Table) match(entries []Entry) (members []member, gone []*packet.Session, explained map[uint32]bool) {
	old := make(map[identity]*member, len(t.known))
	for i := range t.known {
		old[t.known[i].entry.identity()] = &t.known[i]
	}
	members = make([]member, len(entries))
	explained = make(map[uint32]bool)
	for i := range entries {
		e := &entries[i]
		if m := old[e.identity()]; m != nil && reflect.DeepEqual(m.entry, *e) {
			members[i] = *m
			delete(old, e.identity())
			continue
		}
		members[i] = member{*e, e.session(t.lastID.Add(1), t.workers)}
		explained[e.VNI] = true
	}
	for i := range t.known {
		if old[t.known[i].entry.identity()] != nil {
			gone = append(gone, t.known[i].session)
		}
	}
	return members, gone, explained
}

// newView returns a view of the members, with room for unknown sessions.
func newView(members []member, policy Policy, maximum int) *view {
	sourced := 0
	for i := range members {
		if !members[i].entry.Source.IsZero() {
			sourced++
		}
	}
	v := &view{policy: policy, max: maximum}
	v.byVNI = newIndex(len(members) - sourced + maximum)
	if sourced > 0 {
		v.bySource = newIndex(sourced)
	}
	for i := range members {
		switch s := members[i].session; {
		case s.Source.IsZero():
			v.byVNI.add(vniKey(s.VNI), s)
		default:
			v.bySource.add(v.bySource.sourceKey(s.VNI, &s.Source), s)
		}
	}
	v.room.Store(int64(maximum))
	return v
}

// carry adds to the view the unknown sessions that stay, and returns those
// that do not. The caller holds mu.
func (t *Table) carry(next *view, explained map[uint32]bool) (gone []*packet.Session) {
	stay := make([]*packet.Session, 0, min(len(t.unknown), next.max))
	for _, s := range t.unknown {
		if explained[s.VNI] || next.policy == Drop || len(stay) == next.max {
			gone = append(gone, s)
			continue
		}
		stay = append(stay, s)
		next.byVNI.add(vniKey(s.VNI), s)
		next.room.Add(-1)
	}
	t.unknown = stay
	return gone
}

// Sessions returns the live sessions, configured and unknown, sorted by name.
// The slice is the caller's.
func (t *Table) Sessions() []*packet.Session {
	t.mu.Lock()
	all := slices.Concat(t.live, t.unknown)
	t.mu.Unlock()
	sortByName(all)
	return all
}

func sortByName(s []*packet.Session) {
	slices.SortFunc(s, func(a, b *packet.Session) int { return strings.Compare(a.Name, b.Name) })
}
