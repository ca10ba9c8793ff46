package metrics

import (
	"cmp"
	"slices"
	"strconv"

	"github.com/periscope-collector/periscope/internal/pipeline"
	"github.com/periscope-collector/periscope/packet"
)

// A session is the counts behind one set of label values: those of a session,
// or of several that are summed up.
type session struct {
	pipeline.SessionLedger
	vni string
}

// setSessions fills in what is shown of the ledger's sessions. Live and ended
// ones of one name and VNI have the same labels, and are added up.
//
// Series of its own has who came first, configured sessions before unknown
// ones: a choice by traffic would move sessions to and fro between "other" and
// series of their own, and counters would go back.
func (s *Snapshot) setSessions() {
	type labels struct {
		name string
		vni  uint32
	}
	index := make(map[labels]int, len(s.Ledger.Sessions))
	var other session
	other.Name = pipeline.OtherSessions
	for _, l := range s.Ledger.Sessions {
		if l.ID == 0 { // summed up already
			other.add(&l)
			continue
		}
		at := labels{l.Name, l.VNI}
		if i, ok := index[at]; ok {
			s.sessions[i].add(&l)
			continue
		}
		index[at] = len(s.sessions)
		s.sessions = append(s.sessions, session{l, strconv.FormatUint(uint64(l.VNI), 10)})
	}
	for i := range s.sessions {
		if s.sessions[i].Known {
			s.known++
		}
	}
	s.unknown = len(s.sessions) - s.known
	if len(s.sessions) <= MaxSessions {
		if other.Packets+other.NotDelivered != 0 {
			s.sessions = append(s.sessions, other)
		}
		return
	}
	slices.SortFunc(s.sessions, func(a, b session) int {
		if a.Known != b.Known {
			return cmp.Compare(float(b.Known), float(a.Known))
		}
		return cmp.Compare(a.ID, b.ID)
	})
	for i := range s.sessions[MaxSessions:] {
		other.add(&s.sessions[MaxSessions+i].SessionLedger)
	}
	s.sessions = append(s.sessions[:MaxSessions], other)
}

func (s *session) add(l *pipeline.SessionLedger) {
	s.ID = min(s.ID, l.ID)
	s.Known = s.Known || l.Known
	s.Packets += l.Packets
	s.Bytes += l.Bytes
	s.Ingress += l.Ingress
	s.Egress += l.Egress
	s.Undirected += l.Undirected
	s.Truncated += l.Truncated
	s.NotDelivered += l.NotDelivered
	s.TCPBytes += l.TCPBytes
	s.LostBytes += l.LostBytes
	s.Retransmitted += l.Retransmitted
	s.OutOfOrder += l.OutOfOrder
	s.Duplicates += l.Duplicates
	s.LastSeen = max(s.LastSeen, l.LastSeen)
}

// eachSession emits one value for each session.
func eachSession(value func(s *session) float64) func(*Snapshot, emit) {
	return func(s *Snapshot, emit emit) {
		for i := range s.sessions {
			l := &s.sessions[i]
			emit(value(l), l.Name, l.vni)
		}
	}
}

func eachDirection(s *Snapshot, emit emit) {
	for i := range s.sessions {
		l := &s.sessions[i]
		for _, d := range []struct {
			direction packet.Direction
			packets   uint64
		}{
			{packet.Ingress, l.Ingress},
			{packet.Egress, l.Egress},
			{packet.DirectionUnknown, l.Undirected},
		} {
			emit(float64(d.packets), l.Name, l.vni, d.direction.String())
		}
	}
}
