package discovery

import (
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/periscope-collector/periscope/mirror/changes"
	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/session"
)

// A telling has tenures begin and end as changes say. A look finds the same ones,
// of the same holders, and says the rest of them.
type telling struct {
	now   time.Time
	scope func(changes.Place) *scope // that lists the sessions of a place; nil: none
	ours  func(target string) bool   // as far as known
	heard func() map[sender]int64    // unknown sessions, and when they began
	gone  func(*session.Entry) int64 // when it ended, in ns, if it is known no more; else 0
	over  *recent[deletion, int64]   // when, in ns
	left  map[string]uint64          // changes left out, by reason

	next  []tenure
	of    map[string][]int            // by session
	at    map[session.Identity][]int  // by identity
	nets  map[string]*packet.Workload // that have CIDRs, by VPC and by subnet
	were  map[int]session.Entry       // those that changed, as they were; nothing of those that are new
	names *listing                    // of the sessions that the changes make
}

// run brings tenures in step with changes, which are in order of time and may be
// known or late. It changes nothing that it is given.
func (t *telling) run(batch []changes.Change, known []tenure) (next []tenure, changed []session.Entry) {
	t.next, t.were = slices.Clone(known), make(map[int]session.Entry)
	t.of, t.at = make(map[string][]int), make(map[session.Identity][]int)
	t.nets = make(map[string]*packet.Workload)
	for i := range t.next {
		t.index(i)
	}
	t.name(batch, known)
	for i := range batch {
		switch c := &batch[i]; c.Kind {
		case changes.Created, changes.Modified:
			t.made(c)
		case changes.Deleted:
			t.deleted(c)
		}
	}
	return t.result()
}

func (t *telling) index(i int) {
	e := &t.next[i].Entry
	t.of[e.Workload.SessionID] = append(t.of[e.Workload.SessionID], i)
	t.at[e.Identity()] = append(t.at[e.Identity()], i)
	if w := &e.Workload; w.VPCCIDRs != nil {
		t.nets[w.VPCID] = w
	}
	if w := &e.Workload; w.SubnetCIDRs != nil {
		t.nets[w.SubnetID] = w
	}
}

// result returns the tenures that are still to be known, and what is new in them.
func (t *telling) result() (next []tenure, changed []session.Entry) {
	for i := range t.next {
		n := &t.next[i]
		before, touched := t.were[i]
		if touched && !reflect.DeepEqual(before, n.Entry) {
			changed = append(changed, n.Entry)
		}
		if n.listed || n.inTable(t.now) {
			next = append(next, *n)
		}
	}
	slices.SortStableFunc(next, tenure.compare)
	return next, changed
}

// touch returns a tenure that is about to change.
func (t *telling) touch(i int) *tenure {
	if _, ok := t.were[i]; !ok {
		t.were[i] = t.next[i].Entry
	}
	return &t.next[i]
}

// name makes candidates of the sessions that the changes make, with the names that
// a look would give them.
func (t *telling) name(batch []changes.Change, known []tenure) {
	open := make(map[string]map[string]bool) // sessions by interface
	for i := range batch {
		open[batch[i].InterfaceID] = make(map[string]bool)
	}
	for i := range known {
		w := &known[i].Workload
		if of := open[w.InterfaceID]; of != nil && known[i].Until == 0 {
			of[w.SessionID] = true
		}
	}
	for i := range batch {
		if c := &batch[i]; c.Kind != changes.Refused {
			open[c.InterfaceID][c.SessionID] = c.Kind != changes.Deleted
		}
	}
	t.names = &listing{candidates: make(map[holder]*candidate)}
	for i := range batch {
		b := &batch[i]
		if b.Kind != changes.Created && b.Kind != changes.Modified {
			continue
		}
		if reason := unfit(b); reason != "" {
			t.left[reason]++
			continue
		}
		others := maps.Clone(open[b.InterfaceID])
		maps.DeleteFunc(others, func(id string, is bool) bool { return !is || id == b.SessionID })
		c := t.candidate(b, len(others) > 0)
		h := holderOf(&c.Entry)
		if t.names.candidates[h] == nil {
			t.names.order = append(t.names.order, h)
		}
		t.names.candidates[h] = &c
	}
	t.names.distinguish(known)
}

// made takes it that a session is as a change says.
func (t *telling) made(c *changes.Change) {
	if unfit(c) != "" {
		return
	}
	at, by, ours := t.moment(c), changes.Place{Account: c.Account, Region: c.Region}, t.ours(c.TargetID)
	h := holder{session.Identity{VNI: c.VNI, Source: packet.AddrFrom(c.Address)}, c.InterfaceID, c.SessionID}
	here, until := -1, int64(0)
	for _, i := range t.of[c.SessionID] {
		n := &t.next[i]
		switch {
		case !n.saidBy(by):
			return
		case ours && holderOf(&n.Entry) == h:
			here = i
		case n.From > at: // this change comes late
			until = earlier(until, n.From+lingers)
		case n.Until == 0:
			t.touch(i).end(at+lingers, t.now)
		}
	}
	switch {
	case !ours:
	case here < 0:
		t.begin(t.names.candidates[h], by, at, until)
	case t.next[here].Until == 0:
		t.touch(here).refine(t.names.candidates[h], c)
	case c.Kind == changes.Modified && at >= t.next[here].Until-lingers && !t.next[here].deleted:
		t.touch(here).end(0, t.now)
	}
}

// begin begins a tenure that is not known, unless it ended long ago. Who had the
// identity until then has it no more.
func (t *telling) begin(c *candidate, by changes.Place, at, until int64) {
	if at < t.gone(&c.Entry) {
		return
	}
	if len(t.next) >= maxTold {
		t.left["limit"]++
		return
	}
	n := tenure{Entry: c.Entry, scope: t.scope(by), number: c.number, told: by, partial: true}
	n.From = at
	heard := t.heard()
	for _, mac := range [...][6]byte{n.MAC, {}} {
		if began, ok := heard[sender{n.Entry.Identity(), mac}]; ok {
			n.From = min(n.From, began)
		}
	}
	for _, i := range t.at[n.Entry.Identity()] {
		o := &t.next[i]
		same := o.Workload.InterfaceID == n.Workload.InterfaceID
		switch {
		case o.From > at:
			until = earlier(until, o.From)
		case same && o.Until != 0:
			n.From = max(n.From, o.Until)
		case !same && (o.Until == 0 || o.Until > at) && o.saidBy(by):
			t.touch(i).end(at, t.now)
		}
	}
	if when, ok := t.over.get(deletion{by, n.Workload.SessionID}); ok {
		until, n.deleted = earlier(until, when+lingers), true
	}
	n.end(until, t.now)
	t.were[len(t.next)] = session.Entry{}
	t.next = append(t.next, n)
	t.index(len(t.next) - 1)
}

// deleted takes it that a session is gone, and stays so whatever a look that began
// before finds.
func (t *telling) deleted(c *changes.Change) {
	at := t.moment(c)
	by := changes.Place{Account: c.Account, Region: c.Region}
	for _, i := range t.of[c.SessionID] {
		if !t.next[i].saidBy(by) {
			return
		}
		n := t.touch(i)
		if n.deleted = true; n.Until == 0 || at+lingers < n.Until {
			n.end(at+lingers, t.now)
		}
	}
	t.over.put(deletion{by, c.SessionID}, at, t.now)
}

// A deletion is that of a session, said by whom its place is.
type deletion struct {
	changes.Place
	session string
}

// moment returns when a change was made, in ns, if its writer's clock is not ahead.
func (t *telling) moment(c *changes.Change) int64 { return min(c.At.UnixNano(), t.now.UnixNano()) }

// earlier returns the earlier one of two times, of which 0 is none.
func earlier(a, b int64) int64 {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// saidBy reports whether changes of a place may say something of the tenure: whoever
// writes them there knows no other place.
func (t *tenure) saidBy(p changes.Place) bool {
	switch {
	case t.told != changes.Place{}:
		return t.told == p
	case t.scope == nil:
		return t.Workload.Region == p.Region
	}
	account, region := t.scope.where()
	return region == p.Region && (account == p.Account || account == "")
}

// refine takes over what a change says of a session that is known: how it was
// modified, and which task is behind it if it was listed before that was found. What
// else a look says is better.
func (t *tenure) refine(c *candidate, by *changes.Change) {
	w, n := &t.Workload, &c.Workload
	if by.Kind == changes.Modified {
		t.number, w.TargetID, w.PacketLength = by.Number, by.TargetID, by.PacketLength
	}
	if w.TaskARN != "" || n.TaskARN == "" {
		return
	}
	t.Name, t.partial = c.Name, true
	w.Cluster, w.ClusterARN, w.Service = n.Cluster, n.ClusterARN, n.Service
	w.TaskARN, w.TaskDefinitionARN, w.ContainerInstARN, w.ContainerIDs = n.TaskARN, n.TaskDefinitionARN, n.ContainerInstARN, n.ContainerIDs
}

// lingers is how long AWS may mirror on after it said that a session is gone, or is
// another one, in ns. Frames of then are still the holder's, unless the next one
// begins.
const lingers = int64(5 * time.Second)

// maxTold is how many tenures there may be for changes to begin further ones.
const maxTold = 2 * maxSessions
