package discovery

import (
	"cmp"
	"reflect"
	"slices"
	"time"

	"github.com/periscope-collector/periscope/mirror/changes"
	"github.com/periscope-collector/periscope/session"
)

// endedStay is how long a tenure that ended stays in the table: longer than a
// frame takes from the interface to the worker.
const endedStay = time.Minute

// A holder is one session of one interface under one VNI. An identity, which
// frames are matched by, is the first half of it.
type holder struct {
	session.Identity
	iface, session string
}

func holderOf(e *session.Entry) holder {
	return holder{e.Identity(), e.Workload.InterfaceID, e.Workload.SessionID}
}

// A tenure is a holder's time.
type tenure struct {
	session.Entry
	scope  *scope    // who listed it last; nil: nobody since the start
	number int       // of the mirror session: of several, AWS takes the lowest
	listed bool      // by the last look
	missed time.Time // by all looks since; zero: not by the last
	floor  int64     // From is not before it
	ended  time.Time // when the end was found out

	told    changes.Place // whose changes began it; zero: a look did, or the journal
	partial bool          // its containers are those of a change, and may not be all
	deleted bool          // a change said so: a look that lists it is late
}

// inTable reports whether frames of the tenure may still come.
func (t *tenure) inTable(now time.Time) bool { return t.Until == 0 || now.Sub(t.ended) < endedStay }

// resolve brings the tenures known until now in step with an inventory. It
// returns those known from now on, of several that frames do not tell apart the
// one first that AWS prefers, the entries that are new or changed, and how many
// sessions were left out, by reason. It changes nothing that it is given.
func resolve(v *inventory, known []tenure, now time.Time) (next []tenure, changed []session.Entry, skipped map[string]int) {
	l := v.list()
	l.distinguish(known)
	next = make([]tenure, 0, len(known)+len(l.order))
	for _, t := range known {
		before := t.Entry
		h := holderOf(&t.Entry)
		switch c := l.candidates[h]; {
		case c != nil:
			t.confirm(c, v.scope, now)
			delete(l.candidates, h)
		case t.scope == v.scope, t.scope == nil:
			t.miss(l, v, now)
		}
		if reflect.DeepEqual(before, t.Entry) {
			t.Entry = before // which the table has too
		} else {
			changed = append(changed, t.Entry)
		}
		if t.listed || t.inTable(now) {
			next = append(next, t)
		}
	}
	ended := make(map[session.Identity][]session.Entry)
	for i := range next {
		if next[i].Until != 0 {
			ended[next[i].Entry.Identity()] = append(ended[next[i].Entry.Identity()], next[i].Entry)
		}
	}
	for _, h := range l.order {
		if c := l.candidates[h]; c != nil {
			t := begin(c, ended[h.Identity], v, now)
			next, changed = append(next, t), append(changed, t.Entry)
		}
	}
	slices.SortStableFunc(next, tenure.compare)
	return next, changed, l.skipped
}

// compare orders tenures by identity, and those of one as AWS prefers them.
func (t tenure) compare(o tenure) int {
	return cmp.Or(cmp.Compare(t.VNI, o.VNI), slices.Compare(t.Source[:], o.Source[:]), cmp.Compare(t.number, o.number))
}

// begin returns the tenure of a holder that is new, after those of the same
// identity that ended. From another session of the same interface only time tells
// it apart.
func begin(c *candidate, before []session.Entry, v *inventory, now time.Time) tenure {
	t := tenure{Entry: c.Entry, scope: v.scope, number: c.number, listed: true, floor: v.since(&c.Entry)}
	for i := range before {
		if c.start == 0 || before[i].Workload.InterfaceID == c.Workload.InterfaceID {
			t.floor = max(t.floor, before[i].Until)
		}
	}
	t.From = max(c.start, t.floor)
	t.end(c.Until, now)
	return t
}

// confirm takes over what is known now of a holder that is listed. When it
// began changes only if that becomes known better: with its task.
func (t *tenure) confirm(c *candidate, scope *scope, now time.Time) {
	t.partial = t.partial && c.Workload.ContainerIDs == nil
	c.keep(&t.Entry)
	from, until := t.From, t.Until
	if t.Workload.TaskARN == "" && c.Workload.TaskARN != "" && c.start != 0 {
		from = max(c.start, t.floor)
	}
	t.Entry, t.From = c.Entry, from
	t.scope, t.number, t.listed, t.missed = scope, c.number, true, time.Time{}
	if until != 0 && (t.deleted || c.Until != 0) {
		t.Until = until
	} else {
		t.end(c.Until, now)
	}
}

// miss says that a look did not list the holder. It has ended if its task has,
// or, of a scope that had listed it, if its VNI is another one now, or its identity
// is another one's; else AWS may be late, and only a look a poll later that agrees
// ends it.
func (t *tenure) miss(l *listing, v *inventory, now time.Time) {
	unsure, known := l.unsure[t.Workload.SessionID]
	if t.listed = unsure; known || l.there[t.Workload.SessionID] {
		t.scope = v.scope
	}
	if t.listed {
		t.missed = time.Time{}
	}
	if t.Until != 0 || t.listed {
		return
	}
	stopped := nanoseconds(v.stopped[t.Workload.TaskARN])
	if stopped == 0 && t.scope == nil {
		return
	}
	if t.missed.IsZero() {
		t.missed = now
	}
	switch {
	case stopped != 0:
		t.end(stopped, now)
	case l.there[t.Workload.SessionID], l.held[t.Entry.Identity()], now.Sub(t.missed) >= v.apart:
		t.end(now.UnixNano(), now)
	}
}

// end sets when the tenure ends; 0 opens it again.
func (t *tenure) end(until int64, now time.Time) {
	t.Until, t.ended = until, now
	if until != 0 {
		t.Until = max(until, t.From+1)
	}
}
