package pipeline

import (
	"cmp"
	"time"

	"github.com/periscope-collector/periscope/packet"
)

// A sessionRow is a session and its part of the ledger.
type sessionRow struct {
	session *packet.Session
	SessionLedger
}

// sessionRows returns every session, live ones by name, then ended ones, and the
// sum of those that are not remembered. What a session became has its counts.
func (p *Pipeline) sessionRows() (rows []sessionRow, other SessionLedger) {
	p.sessions.Account(func(sessions []*packet.Session, forgotten *packet.Tally) {
		at := make(map[*packet.Session]int, len(sessions))
		for _, s := range sessions {
			who := s.Identified()
			i, ok := at[who]
			if !ok {
				i = len(rows)
				at[who] = i
				rows = append(rows, sessionRow{who, SessionLedger{
					Name: who.Name, VNI: who.VNI, ID: who.ID, Known: who.Known, Since: who.Since, Ended: who.Ended.Load(), Until: who.Until.Load(),
				}})
			}
			if s != who {
				rows[i].Was = append(rows[i].Was, s.ID)
			}
			for t := range s.Tallies {
				rows[i].add(&s.Tallies[t])
			}
		}
		other.Name = OtherSessions
		other.add(forgotten)
	})
	return rows, other
}

// sessionLedgers returns the sessions that had frames, and the configured ones;
// live, of those that were learnt the ones that last.
func (p *Pipeline) sessionLedgers() []SessionLedger {
	list := []SessionLedger{}
	rows, other := p.sessionRows()
	for i := range rows {
		r := &rows[i]
		due := r.Known && !r.Ended && (!r.session.Learned || p.live && r.Until == 0)
		if due || !r.empty() {
			list = append(list, r.SessionLedger)
		}
	}
	if !other.empty() {
		list = append(list, other)
	}
	return list
}

// Over reports whether no frames of now, in ns since 1970 UTC, are the session's.
func (l *SessionLedger) Over(now int64) bool { return l.Ended || l.Until != 0 && l.Until <= now }

// Silence is how long a known session may have no frames before it is silent,
// and how long the metrics of a session go on after its last frame.
const Silence = 10 * time.Minute

// Silent reports whether a known session had no frame in the time of Silence before
// now, in ns since 1970 UTC; one that never had any, since it was learnt.
func (l *SessionLedger) Silent(now int64) bool {
	return l.Known && now-cmp.Or(l.LastSeen, l.Since) >= int64(Silence)
}

// Heard reports whether a session had a frame in the time of Silence before now,
// in ns since 1970 UTC.
func (l *SessionLedger) Heard(now int64) bool {
	return l.LastSeen != 0 && now-l.LastSeen < int64(Silence)
}
