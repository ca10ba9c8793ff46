package session

import (
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/periscope-collector/periscope/packet"
)

// A Policy says what becomes of frames whose VNI no entry explains.
type Policy uint8

// The policies. The zero value keeps.
const (
	Keep Policy = iota // as session vni-<n>, whatever the sources
	Drop               // not delivered, reason unknown_session
)

// Config configures a Table.
type Config struct {
	// Workers is the number of tallies of each session, at least 1.
	Workers int

	// Unknown says what becomes of VNIs that no entry explains.
	Unknown Policy

	// UnknownMax is how many of them are kept apart at once; frames of further
	// ones are not delivered, reason unknown_limit. 0 keeps none. Each costs
	// about 600 bytes and 128 a worker, and the room in the index is taken at
	// once: 21 to 43 bytes each.
	UnknownMax int

	// BySource keeps unknown senders apart by source and interface as well, so
	// that what is learnt of one later is not said of another: up to UnknownMax
	// of them, and then by VNI alone, up to UnknownMax again.
	BySource bool

	// Stranger, if not nil, is called for every unknown session that is made,
	// by a worker, and must not wait.
	Stranger func(*packet.Session)

	// Log is told once when UnknownMax is reached. It must not be nil.
	Log *slog.Logger
}

// A Table is the live registry of sessions. All methods may be called from any
// goroutine.
type Table struct {
	workers  int
	bySource bool
	tell     func(*packet.Session) // not nil
	log      *slog.Logger
	view     atomic.Pointer[view]

	// lastID counts up: 10,000 identities that all change every hour would
	// take 49 years to use the numbers up.
	lastID atomic.Uint32

	// reload makes Replace and its kin run one after the other. It guards what
	// follows, and is held while a new view is prepared.
	reload sync.Mutex
	listed []Entry // of the session file
	learnt []Entry
	known  []member

	// mu guards what follows, and additions to the view's index. It is held
	// for short whiles only, since a worker that meets a new VNI waits for it.
	mu      sync.Mutex
	live    []*packet.Session // the sessions of known, sorted by name
	unknown []*packet.Session // in order of creation
	ended   history
}

// A member is a session that is explained, and the entry it was made from.
type member struct {
	entry   Entry
	session *packet.Session
}

// A view is what Lookup reads: all of one state of the table. It does not
// change, but for unknown sessions that are added as long as there is room.
type view struct {
	bySource *index                // entries with a source, of each identity the latest; nil if there are none
	byVNI    *index                // entries without one, likewise
	earlier  map[identity]*tenures // of the identities that several entries have
	policy   Policy
	max      int

	// Unknown sessions: by VNI and source, if they are kept apart so, and by
	// VNI alone.
	strangers *index
	apart     atomic.Int64 // how many may be added by source; less than 0 where none are
	room      atomic.Int64 // and by VNI
}

// New returns a table without entries.
func New(c Config) *Table {
	t := &Table{workers: c.Workers, bySource: c.BySource, tell: c.Stranger, log: c.Log}
	if t.tell == nil {
		t.tell = func(*packet.Session) {}
	}
	t.Update(nil, c.Unknown, c.UnknownMax)
	return t
}

// Lookup returns the session of a frame, by its VNI, of which the low 24 bits
// count, its outer source, which may be zero, its time and, for learnt sessions,
// its MAC addresses: that of an entry with this source, else that of one without
// a source, else an unknown session. Without a session the reason is
// UnknownSession or UnknownLimit, else None.
//
// It takes no lock and allocates nothing, except to make an unknown session at
// the first frame of its VNI.
func (t *Table) Lookup(f *packet.Frame) (*packet.Session, packet.Reason) {
	if s := t.view.Load().find(f); s != nil {
		return s, packet.None
	}
	return t.admit(f)
}

// find returns the session of a frame, or nil if there is none or there is room
// for one that fits better.
func (v *view) find(f *packet.Frame) *packet.Session {
	vni := f.VNI & MaxVNI
	if v.bySource != nil {
		if s := v.bySource.find(v.bySource.sourceKey(vni, &f.Source), &f.Source); s != nil {
			if holds(s, f) {
				return s
			}
			if s := v.another(identity{vni, f.Source}, f); s != nil {
				return s
			}
		}
	}
	if s := v.byVNI.find(vniKey(vni), &f.Source); s != nil {
		if holds(s, f) {
			return s
		}
		if s := v.another(identity{vni: vni}, f); s != nil {
			return s
		}
	}
	if v.apart.Load() >= 0 && !f.Source.IsZero() {
		if s := v.strangers.find(v.strangers.sourceKey(vni, &f.Source), &f.Source); s != nil && holds(s, f) {
			return s
		}
		if v.apart.Load() > 0 {
			return nil
		}
	}
	return v.strangers.find(vniKey(vni), &f.Source)
}

// another returns the session that held an identity at the time of the frame, or
// nil.
func (v *view) another(id identity, f *packet.Frame) *packet.Session {
	if t := v.earlier[id]; t != nil {
		return t.find(f)
	}
	return nil
}

// admit makes an unknown session of the frame, unless another worker or a reload
// came first. Where there is no room it takes no lock.
func (t *Table) admit(f *packet.Frame) (*packet.Session, packet.Reason) {
	if r := t.view.Load().refusal(f); r != packet.None {
		return nil, r
	}
	t.mu.Lock()
	v := t.view.Load()
	s, r := v.find(f), packet.None
	last := false
	if s == nil {
		if r = v.refusal(f); r == packet.None {
			s = newUnknown(t.lastID.Add(1), f, v.apart.Load() > 0, t.workers)
			t.unknown = append(t.unknown, s)
			v.addUnknown(s)
			last = v.refusal(f) == packet.UnknownLimit
			defer t.tell(s)
		}
	}
	t.mu.Unlock()
	if last {
		t.log.Warn("no further unknown sessions are kept apart; explain them in the session file or raise sessions.unknown_max",
			"unknown_max", v.max)
	}
	return s, r
}

// refusal says why no session can be made of a frame, or None.
func (v *view) refusal(f *packet.Frame) packet.Reason {
	switch {
	case v.policy == Drop:
		return packet.UnknownSession
	case v.room.Load() > 0, v.apart.Load() > 0 && !f.Source.IsZero():
		return packet.None
	}
	return packet.UnknownLimit
}

// addUnknown adds an unknown session, for which there is room. It takes the
// place of an earlier one of the same source. The caller holds mu, or has the
// view alone.
func (v *view) addUnknown(s *packet.Session) {
	if s.Source.IsZero() {
		v.strangers.add(vniKey(s.VNI), s)
	} else {
		v.strangers.put(v.strangers.sourceKey(s.VNI, &s.Source), s)
	}
	v.roomFor(s).Add(-1)
}

// roomFor returns how many sessions such as s may be added.
func (v *view) roomFor(s *packet.Session) *atomic.Int64 {
	if s.Source.IsZero() {
		return &v.room
	}
	return &v.apart
}
