package session

import (
	"cmp"
	"slices"
	"strings"
	"time"

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

// Learn makes entries, of which it keeps what they refer to, the learnt sessions,
// all at once; each has a source, as a rule. Of entries of one tenure the last
// counts. Those whose time the session file explains are left out; one that has a
// name of the session file is called as NameApart has it. Unlike with
// Replace an entry of a tenure that there was, with the same task, service and
// instance as far as they were known, is the same session: the one there was becomes
// it, as does an unknown session that began within its time. An end is no change.
func (t *Table) Learn(entries []Entry) Change {
	t.reload.Lock()
	defer t.reload.Unlock()
	v := t.view.Load()
	t.learnt = tidy(entries)
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
// taken. Sessions end after the view that lacks them is out; who comes for one
// that ends sooner than before waits for mu, and finds the new view.
func (t *Table) swap(policy Policy, maximum int) Change {
	maximum = min(max(maximum, 0), MaxVNI+1)
	m := t.match(t.entries())
	listed, learnt := m.split()
	next := &view{
		listed: newKnown(listed, false), learnt: newKnown(learnt, t.bare),
		unknown: newStrangers(maximum, t.bySource), policy: policy, max: maximum,
	}
	live := make([]*packet.Session, len(m.members))
	for i := range m.members {
		live[i] = m.members[i].session
	}
	sortByName(live)
	change := Change{Kept: len(t.known) - len(m.gone)}
	change.Added = len(m.members) - change.Kept

	t.mu.Lock()
	defer t.mu.Unlock()
	for _, m := range m.moved {
		m.session.Until.Store(m.entry.Until)
	}
	gone := append(m.gone, t.carry(next, m.explained)...)
	t.known, t.live = m.members, live
	t.view.Store(next)
	for _, s := range gone {
		s.Ended.Store(true)
	}
	t.ended.add(gone)
	change.Ended = len(gone)
	return change
}

// entries returns those of the session file, and learnt ones whose time it does
// not explain. One whose name the session file has goes by another one, that of a
// sender which names itself by one that nobody has.
func (t *Table) entries() []Entry {
	if len(t.learnt) == 0 {
		return t.listed
	}
	named := make(map[string]bool, len(t.listed))
	listed := make(map[Identity][]*Entry, len(t.listed)) // by when they begin
	for i := range t.listed {
		e := &t.listed[i]
		named[e.Name] = true
		listed[e.Identity()] = append(listed[e.Identity()], e)
	}
	byFrom := func(e *Entry, from int64) int { return cmp.Compare(e.From, from) }
	for _, l := range listed {
		slices.SortFunc(l, func(a, b *Entry) int { return byFrom(a, b.From) })
	}
	explained := func(id Identity, e *Entry) bool { // of those of one identity none overlap
		l := listed[id]
		i, ok := slices.BinarySearchFunc(l, e.From, byFrom)
		if !ok {
			i--
		}
		return i >= 0 && e.end() <= l[i].end()
	}
	all := slices.Clone(t.listed)
	for i := range t.learnt {
		if e := &t.learnt[i]; !explained(e.Identity(), e) && !explained(Identity{VNI: e.VNI}, e) {
			all = append(all, *e)
			if named[e.Name] {
				other := &all[len(all)-1]
				other.Name = other.nameApart(named)
				named[other.Name] = true
			}
		}
	}
	return all
}

// A matched is what a swap makes of the entries.
type matched struct {
	members   []*member
	moved     []*member         // those that end at another time than before
	gone      []*packet.Session // no longer used
	explained map[uint32]bool   // VNIs of the new ones of the session file
}

// match pairs each entry with its session, old or new.
func (t *Table) match(entries []Entry) matched {
	old := make(map[Tenure]*member, len(t.known))
	for _, m := range t.known {
		old[m.entry.Tenure()] = m
	}
	r := matched{members: make([]*member, len(entries)), explained: make(map[uint32]bool)}
	for i := range entries {
		e := &entries[i]
		tenure := e.Tenure()
		m := old[tenure]
		if m != nil && e.sameButUntil(&m.entry) {
			delete(old, tenure)
			r.members[i] = &member{*e, m.session}
			if e.Until != m.entry.Until {
				r.moved = append(r.moved, r.members[i])
			}
			continue
		}
		r.members[i] = &member{*e, e.session(t.lastID.Add(1), t.workers)}
		if m != nil && e.continues(&m.entry) {
			m.session.Become(r.members[i].session)
		}
		if !e.Learned {
			r.explained[e.VNI] = true
		}
	}
	for _, m := range t.known { // in their order
		if old[m.entry.Tenure()] == m {
			r.gone = append(r.gone, m.session)
		}
	}
	return r
}

// split returns the members that the session file explains, and those that are
// learnt.
func (r *matched) split() (listed, learnt []*member) {
	for _, m := range r.members {
		if m.entry.Learned {
			learnt = append(learnt, m)
		} else {
			listed = append(listed, m)
		}
	}
	return listed, learnt
}

// carry adds to the view the unknown sessions that stay, and returns those
// that do not. One that a learnt session explains becomes it, if all its frames
// are of that. The caller holds mu.
func (t *Table) carry(next *view, explained map[uint32]bool) (gone []*packet.Session) {
	now := time.Now()
	if old := t.view.Load(); old != nil {
		old.unknown.retired.Store(true)
	}
	var stay []*packet.Session
	for _, s := range t.unknown {
		learnt, all := next.identify(s)
		if all {
			s.Become(learnt)
		}
		if learnt != nil || next.policy == Drop || explained[s.VNI] ||
			t.bySource != 0 && silent(s, now) || next.unknown.roomFor(s).Load() <= 0 {
			gone = append(gone, s)
			continue
		}
		stay = append(stay, s)
		next.unknown.add(s)
	}
	t.unknown = stay
	return gone
}

// identify returns the learnt session that was behind an unknown one when it
// began, or nil, and whether all its frames are of that: one of which no MAC address
// is known takes those of whoever has the source.
func (v *view) identify(s *packet.Session) (learnt *packet.Session, all bool) {
	f := beginning(s)
	if f.Source.IsZero() || v.listed.find(f) != nil {
		return nil, false
	}
	learnt = v.learnt.find(f)
	if learnt == nil || s.ByMAC {
		return learnt, learnt != nil
	}
	f.Time = max(f.Time, lastSeen(s))
	return learnt, v.learnt.find(f) == learnt
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
	slices.SortFunc(s, func(a, b *packet.Session) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID))
	})
}
