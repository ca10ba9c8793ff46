package session

import (
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
// keeps, the sessions of the session file, all at once. An entry equal in every
// field to one there was keeps its Session; the others are new ones. The Session
// of an entry that changed or is gone has Ended set, as has an unknown session
// whose VNI a new entry explains; its room is free again.
func (t *Table) Replace(entries []Entry) Change {
	t.reload.Lock()
	defer t.reload.Unlock()
	v := t.view.Load()
	t.listed = entries
	return t.swap(v.policy, v.max)
}

// Learn makes entries, which it keeps, the learnt sessions, all at once; each
// has a source and Learned set. Those whose frames the session file explains are
// left out. Unlike with Replace an entry that says more than before of the same
// interface, or of an unknown session that began within its time, is the same
// session: the one there was becomes it. An end is no change.
func (t *Table) Learn(entries []Entry) Change {
	t.reload.Lock()
	defer t.reload.Unlock()
	v := t.view.Load()
	t.learnt = entries
	return t.swap(v.policy, v.max)
}

// SetUnknown changes the policy alone. Unknown sessions that it leaves no room
// for, newest first, are ended.
func (t *Table) SetUnknown(policy Policy, maximum int) Change {
	t.reload.Lock()
	defer t.reload.Unlock()
	return t.swap(policy, maximum)
}

// Update is Replace and SetUnknown in one swap.
func (t *Table) Update(entries []Entry, policy Policy, maximum int) Change {
	t.reload.Lock()
	defer t.reload.Unlock()
	t.listed = entries
	return t.swap(policy, maximum)
}

// swap publishes a new view. The work of order len(entries) comes before mu is
// taken. Sessions end after the view that lacks them is out.
func (t *Table) swap(policy Policy, maximum int) Change {
	maximum = min(max(maximum, 0), MaxVNI+1)
	members, gone, explained := t.match(t.entries())
	next := t.newView(members, policy, maximum)
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

// entries returns those of the session file, and learnt ones whose frames it
// does not explain.
func (t *Table) entries() []Entry {
	if len(t.learnt) == 0 {
		return t.listed
	}
	listed := make(map[identity]bool, len(t.listed))
	for i := range t.listed {
		listed[t.listed[i].identity()] = true
	}
	all := slices.Clone(t.listed)
	for i := range t.learnt {
		e := &t.learnt[i]
		if !listed[e.identity()] && !listed[identity{vni: e.VNI}] {
			all = append(all, *e)
		}
	}
	return all
}

// match pairs each entry with its session, old or new. It returns the members,
// the sessions that are no longer used, and the VNIs of the new ones that are
// not learnt.
func (t *Table) match(entries []Entry) (members []member, gone []*packet.Session, explained map[uint32]bool) {
	old := make(map[tenure]*member, len(t.known))
	for i := range t.known {
		old[t.known[i].entry.tenure()] = &t.known[i]
	}
	members = make([]member, len(entries))
	explained = make(map[uint32]bool)
	for i := range entries {
		e := &entries[i]
		m := old[e.tenure()]
		if m != nil && e.sameButUntil(&m.entry) {
			m.session.Until.Store(e.Until)
			members[i] = member{*e, m.session}
			delete(old, e.tenure())
			continue
		}
		members[i] = member{*e, e.session(t.lastID.Add(1), t.workers)}
		if m != nil && e.refines(&m.entry) {
			m.session.Become(members[i].session)
		}
		if !e.Learned {
			explained[e.VNI] = true
		}
	}
	for i := range t.known {
		if old[t.known[i].entry.tenure()] != nil {
			gone = append(gone, t.known[i].session)
		}
	}
	return members, gone, explained
}

// newView returns a view of the members, with room for unknown sessions.
func (t *Table) newView(members []member, policy Policy, maximum int) *view {
	v := &view{policy: policy, max: maximum}
	holders := make(map[identity]*packet.Session, len(members))
	several := make(map[identity][]*packet.Session)
	sourced := 0
	for i := range members {
		s := members[i].session
		id := members[i].entry.identity()
		first := holders[id]
		switch {
		case first == nil:
			holders[id] = s
			if !id.source.IsZero() {
				sourced++
			}
			continue
		case several[id] == nil:
			several[id] = []*packet.Session{first}
		}
		several[id] = append(several[id], s)
		if s.From > first.From {
			holders[id] = s
		}
	}
	v.byVNI = newIndex(len(holders) - sourced)
	if sourced > 0 {
		v.bySource = newIndex(sourced)
	}
	for id, s := range holders {
		switch {
		case id.source.IsZero():
			v.byVNI.add(vniKey(id.vni), s)
		default:
			v.bySource.add(v.bySource.sourceKey(id.vni, &id.source), s)
		}
	}
	v.earlier = make(map[identity]*tenures, len(several))
	for id, list := range several {
		v.earlier[id] = newTenures(list)
	}
	room := maximum
	v.apart.Store(-1)
	if t.bySource {
		v.apart.Store(int64(maximum))
		room += maximum
	}
	v.strangers = newIndex(room)
	v.room.Store(int64(maximum))
	return v
}

// carry adds to the view the unknown sessions that stay, and returns those
// that do not. One that a learnt session explains becomes it. The caller holds
// mu.
func (t *Table) carry(next *view, explained map[uint32]bool) (gone []*packet.Session) {
	if next.policy == Drop {
		gone, t.unknown = t.unknown, nil
		return gone
	}
	v := t.view.Load()
	stay := make([]*packet.Session, 0, len(t.unknown))
	for _, s := range t.unknown {
		learnt := next.learnt(s)
		if learnt != nil {
			s.Become(learnt)
		}
		if learnt != nil || explained[s.VNI] || v.superseded(s) || next.roomFor(s).Load() <= 0 {
			gone = append(gone, s)
			continue
		}
		stay = append(stay, s)
		next.addUnknown(s)
	}
	t.unknown = stay
	return gone
}

// learnt returns the learnt session that was behind an unknown one when it
// began, or nil.
func (v *view) learnt(s *packet.Session) *packet.Session {
	if s.Source.IsZero() || v.bySource == nil {
		return nil
	}
	held := func(l *packet.Session) bool {
		return l.Learned && !(s.ByMAC && l.ByMAC && s.MAC != l.MAC) && holds(l, &packet.Frame{Time: s.Since})
	}
	if t := v.earlier[identity{s.VNI, s.Source}]; t != nil {
		if i := slices.IndexFunc(t.sessions, held); i >= 0 {
			return t.sessions[i]
		}
		return nil
	}
	if l := v.bySource.find(v.bySource.sourceKey(s.VNI, &s.Source), &s.Source); l != nil && held(l) {
		return l
	}
	return nil
}

// superseded reports whether another unknown session has taken the place of one.
func (v *view) superseded(s *packet.Session) bool {
	return !s.Source.IsZero() && v.strangers.find(v.strangers.sourceKey(s.VNI, &s.Source), &s.Source) != s
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
