package metrics

import (
	"cmp"
	"slices"
	"strconv"

	"github.com/periscope-collector/periscope/internal/pipeline"
	"github.com/periscope-collector/periscope/packet"
)

// Labels are the label values of a session's series.
type labels struct {
	name string
	vni  uint32
}

// A session is the counts behind one set of labels: those of a session, or of
// several that are summed up.
type session struct {
	pipeline.SessionLedger
	vni   string
	ids   []uint32 // of the sessions
	lasts bool     // one of them is known and not over
}

// Places says which sessions have series of their own, from one scrape to the
// next. It holds no more than the ledger does.
type places struct {
	own    map[labels]bool // had series in the latest scrape
	others map[uint32]bool // IDs of the sessions that count as other for good
}

// show fills in what is shown of the ledger's sessions.
//
// Series has who had a frame lately, or is known and never had one. The others
// are in no series, so that theirs go on where they ended. There are MaxSessions
// places, for known sessions before unknown ones, then for those that have series
// before those that had not. Who finds no place is one of the others for good:
// their sum would go back if one of them left it.
func (p *places) show(s *Snapshot) {
	now := s.Now.UnixNano()
	s.count(now)
	all, other, others := p.group(s, now)
	shown := slices.DeleteFunc(all, func(l session) bool { return !l.Heard(now) && (!l.lasts || l.LastSeen != 0) })
	slices.SortFunc(shown, func(a, b session) int {
		return cmp.Or(
			cmp.Compare(float(b.Known), float(a.Known)),
			cmp.Compare(float(p.own[b.labels()]), float(p.own[a.labels()])),
			cmp.Compare(a.ID, b.ID))
	})
	for i := MaxSessions; i < len(shown); i++ {
		other.add(&shown[i].SessionLedger)
		for _, id := range shown[i].ids {
			others[id] = true
		}
	}
	p.own, p.others = make(map[labels]bool), others
	s.sessions = shown[:min(len(shown), MaxSessions)]
	for i := range s.sessions {
		p.own[s.sessions[i].labels()] = true
	}
	if other.Packets+other.NotDelivered != 0 {
		s.sessions = append(s.sessions, other)
	}
}

// group returns the sessions that are not among the others, those of the same
// labels added up; the sum of the others; and those of them that are left.
func (p *places) group(s *Snapshot, now int64) (all []session, other session, others map[uint32]bool) {
	index := make(map[labels]int, len(s.Ledger.Sessions))
	others = make(map[uint32]bool, len(p.others))
	other.Name = pipeline.OtherSessions
	for i := range s.Ledger.Sessions {
		l := &s.Ledger.Sessions[i]
		isOther := func(id uint32) bool { return p.others[id] }
		switch {
		case l.ID == 0: // summed up already
			other.add(l)
			continue
		case isOther(l.ID) || slices.ContainsFunc(l.Was, isOther):
			other.add(l)
			others[l.ID] = true
			continue
		}
		at := labels{l.Name, l.VNI}
		j, ok := index[at]
		if !ok {
			j = len(all)
			index[at] = j
			empty := pipeline.SessionLedger{Name: l.Name, VNI: l.VNI, ID: l.ID}
			all = append(all, session{SessionLedger: empty, vni: strconv.FormatUint(uint64(l.VNI), 10)})
		}
		all[j].add(l)
		all[j].ids = append(all[j].ids, l.ID)
		all[j].lasts = all[j].lasts || l.Known && !l.Over(now)
	}
	return all, other, others
}

// count counts the sessions that are not over.
func (s *Snapshot) count(now int64) {
	for i := range s.Ledger.Sessions {
		switch l := &s.Ledger.Sessions[i]; {
		case l.ID == 0 || l.Over(now):
		case !l.Known:
			s.unknown++
		case l.Silent(now):
			s.known++
			s.silent++
		default:
			s.known++
		}
	}
}

func (s *session) labels() labels { return labels{s.Name, s.VNI} }

func (s *session) add(l *pipeline.SessionLedger) {
	s.ID = min(s.ID, l.ID)
	s.Known = s.Known || l.Known
	s.Packets += l.Packets
	s.Bytes += l.Bytes
	s.Ingress += l.Ingress
	s.Egress += l.Egress
	s.Undirected += l.Undirected
	s.Truncated += l.Truncated
	s.Mismatched += l.Mismatched
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
