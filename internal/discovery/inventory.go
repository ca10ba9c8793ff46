package discovery

import (
	"time"

	"github.com/periscope-collector/periscope/internal/awsapi"
	"github.com/periscope-collector/periscope/session"
)

// maxSessions is how many mirror sessions of one scope are kept.
const maxSessions = 20_000

// maxPacketLength is the most that a mirror session accepts (EC2 API,
// CreateTrafficMirrorSession).
const maxPacketLength = 8500

// An inventory is what one look at one scope found, of which the list of
// sessions is whole.
type inventory struct {
	scope           *scope
	account, region string
	apart           time.Duration // the least time between two polls

	shown map[string]showing      // by session
	heard func() map[sender]int64 // unknown sessions, and when they began; nil: there are none

	sessions   []awsapi.MirrorSession       // towards this collector
	interfaces map[string]*awsapi.Interface // nil: not there; absent: could not be asked
	instances  map[string]*awsapi.Instance  // likewise
	vpcs       map[string]*awsapi.VPC       // likewise
	subnets    map[string]*awsapi.Subnet    // likewise
	tasks      map[string]*awsapi.Task      // by interface; absent: not found yet
	stopped    map[string]time.Time         // by ARN, tasks of sessions that are gone
}

// A sender is an identity and the interface that frames name, zero for none.
type sender struct {
	session.Identity
	mac [6]byte
}

// A showing is since when a session is listed with a VNI.
type showing struct {
	vni   uint32
	after int64 // when the list was asked for that did not have it yet; 0: the first one had it
}

// show takes down since when the sessions are listed, by what that was when they
// were listed last; last is 0 before.
func (v *inventory) show(before map[string]showing, last int64) {
	v.shown = make(map[string]showing, len(v.sessions))
	for i := range v.sessions {
		m := &v.sessions[i]
		s, listed := before[m.ID]
		if !listed || s.vni != m.VNI {
			s = showing{m.VNI, last}
		}
		v.shown[m.ID] = s
	}
}

// since returns what the beginning of a session is not before: the list that did
// not have it yet, or if AWS was late, an unknown session before that.
func (v *inventory) since(e *session.Entry) int64 {
	since := v.shown[e.Workload.SessionID].after
	if since == 0 || v.heard == nil {
		return since
	}
	heard := v.heard()
	for _, mac := range [...][6]byte{e.MAC, {}} {
		if began, ok := heard[sender{e.Identity(), mac}]; ok {
			since = min(since, began)
		}
	}
	return since
}

// A listing is what an inventory says of each holder.
type listing struct {
	candidates map[holder]*candidate
	order      []holder                  // as listed
	held       map[session.Identity]bool // by a candidate
	there      map[string]bool           // sessions of candidates
	unsure     map[string]bool           // sessions of which the interface could not be asked
	skipped    map[string]int            // sessions, by reason
}

// list makes candidates of the sessions. It leaves out those that cannot be
// matched.
func (v *inventory) list() *listing {
	l := &listing{
		candidates: make(map[holder]*candidate, len(v.sessions)), held: make(map[session.Identity]bool, len(v.sessions)),
		there: make(map[string]bool, len(v.sessions)), unsure: make(map[string]bool), skipped: make(map[string]int),
	}
	count := make(map[string]int, len(v.sessions))
	for i := range v.sessions {
		count[v.sessions[i].InterfaceID]++
	}
	for i := range v.sessions {
		m := &v.sessions[i]
		face, asked := v.interfaces[m.InterfaceID]
		switch {
		case len(m.ID) > maxName/2 || word(m.ID) == "" || session.Reserved(m.ID) || word(m.InterfaceID) == "",
			m.PacketLength < 0 || m.PacketLength > maxPacketLength:
			l.skipped["odd"]++
			continue
		case m.VNI == 0 || m.VNI > session.MaxVNI:
			l.skipped["no_vni"]++
			continue
		case face == nil:
			l.unsure[m.ID] = !asked
			l.skipped["no_interface"]++
			continue
		case !usable(face.Primary):
			l.skipped["no_address"]++
			continue
		case face.MAC[0]&1 != 0: // a group's
			l.skipped["odd"]++
			continue
		}
		c := v.candidate(m, count[m.InterfaceID] > 1)
		h := holderOf(&c.Entry)
		if l.candidates[h] == nil {
			l.candidates[h] = &c
			l.order = append(l.order, h)
			l.held[h.Identity], l.there[m.ID] = true, true
		}
	}
	return l
}
