package pcap

import (
	"slices"
	"time"

	"github.com/periscope-collector/periscope/packet"
)

// A Group says which sessions share files, and what those are called.
type Group uint8

// The groups.
const (
	BySession Group = iota // none do: each has its name
	ByService              // those of a service, as the workload has it; the others are by session
	Together               // all do, under the name "all"
	numGroups
)

// name returns what a session's files are called, and whether sessions of that
// name share them. Sessions of equal names that do not share files number them
// in one series.
func (g Group) name(s *packet.Session) (name string, shared bool) {
	switch {
	case g == Together:
		return "all", true
	case g == ByService && s.Workload.Service != "":
		return s.Workload.Service, true
	}
	return s.Name, false
}

// A stream is one file after the other: the one it writes, and what the round
// has gathered for it.
type stream struct {
	series  *series
	members []*member // whose frames it gets; at least one
	shared  bool      // of a group, which others join; otherwise of what was one session after the other
	file    *file     // nil between files

	// Segments of the round, as a list in writer.segments.
	head, tail int32 // -1 if none
	first      int64 // time of the first frame in them

	failed bool        // the last write failed
	reason packet.Drop // iff failed
	retry  time.Time   // iff failed: when to try again
}

// A member is a session's place in the writer.
type member struct {
	session *packet.Session
	stream  *stream
	ended   time.Time // when the session was found to have ended
}

// A place is what a session has in common with those that become it.
type place struct {
	vni    uint32
	source packet.Addr
}

func placeOf(s *packet.Session) place { return place{s.VNI, s.Source} }

// stream returns the session's stream, which it makes if need be.
func (w *writer) stream(session *packet.Session) *stream {
	recent := &w.recent[session.ID%numLanes]
	if m := *recent; m != nil && m.session == session {
		return m.stream
	}
	m := w.members[session]
	if m == nil {
		m = w.admit(session)
	}
	*recent = m
	return m.stream
}

// admit makes a session a member: of the stream of what became it, if there is
// one.
func (w *writer) admit(session *packet.Session) *member {
	s := session.Identified()
	for _, m := range w.places[placeOf(s)] {
		if m.session.Identified() == s {
			w.identify(m)
			break
		}
	}
	to := w.find(s)
	if to == nil {
		to = w.begin(s)
	}
	w.join(s, to)
	return w.join(session, to)
}

// find returns the stream that a session's frames go to, or nil.
func (w *writer) find(s *packet.Session) *stream {
	if m := w.members[s]; m != nil {
		return m.stream
	}
	if name, shared := w.group.name(s); shared {
		return w.shared[name]
	}
	return nil
}

// begin makes a stream, which has no member yet.
func (w *writer) begin(session *packet.Session) *stream {
	name, shared := w.group.name(session)
	s := &stream{series: w.seriesOf(name), head: -1, tail: -1}
	w.share(s, shared)
	return s
}

// share has others find the stream.
func (w *writer) share(s *stream, shared bool) {
	if s.shared = shared; shared {
		w.shared[s.series.group] = s
	}
}

// join makes a session a member of a stream, and of no other.
func (w *writer) join(session *packet.Session, to *stream) *member {
	m := w.members[session]
	switch {
	case m == nil:
		m = &member{session: session}
		w.members[session] = m
		if !session.Source.IsZero() { // no other becomes one, or is what one becomes
			p := placeOf(session)
			w.places[p] = append(w.places[p], m)
		}
	case m.stream == to:
		return m
	default:
		w.leave(m)
	}
	m.stream = to
	to.members = append(to.members, m)
	return m
}

// leave takes a member out of its stream, which ends with the last one.
func (w *writer) leave(m *member) {
	s := m.stream
	i := slices.Index(s.members, m)
	s.members = slices.Delete(s.members, i, i+1)
	if len(s.members) > 0 {
		return
	}
	w.flush(s)
	w.finish(s, ByEnd)
	w.recovered(s)
	if s.shared {
		delete(w.shared, s.series.group)
	}
	w.release(s.series)
}

// forget lets go of a session.
func (w *writer) forget(m *member) {
	w.leave(m)
	delete(w.members, m.session)
	if recent := &w.recent[m.session.ID%numLanes]; *recent == m {
		*recent = nil
	}
	p := placeOf(m.session)
	left := slices.DeleteFunc(w.places[p], func(o *member) bool { return o == m })
	if len(left) == 0 {
		delete(w.places, p)
		return
	}
	w.places[p] = left
}

// seriesOf returns the series of a name, for one more stream.
func (w *writer) seriesOf(name string) *series {
	sr := w.series[name]
	if sr == nil {
		sr = newSeries(w.dir, name)
		w.series[name] = sr
	}
	sr.uses++
	return sr
}

func (w *writer) release(sr *series) {
	if sr.uses--; sr.uses == 0 {
		delete(w.series, sr.group)
	}
}
