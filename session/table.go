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
	// about 500 bytes and 64 a worker, and the room in the index is taken at
	// once: 21 to 43 bytes each.
	UnknownMax int

	// Log is told once when UnknownMax is reached. It must not be nil.
	Log *slog.Logger
}

// A Table is the live registry of sessions. All methods may be called from any
// goroutine.
type Table struct {
	workers int
	log     *slog.Logger
	view    atomic.Pointer[view]

	// lastID counts up: 10,000 identities that all change every hour would
	// take 49 years to use the numbers up.
	lastID atomic.Uint32

	// reload makes Replace and its kin run one after the other. It guards
	// known, and is held while a new view is prepared.
	reload sync.Mutex
	known  []member

	// mu guards what follows, and additions to the view's index. It is held
	// for short whiles only, since a worker that meets a new VNI waits for it.
	mu      sync.Mutex
	live    []*packet.Session // the sessions of known, sorted by name
	unknown []*packet.Session // in order of creation
	ended   history
}

// A member is a configured session and the entry it was made from.
type member struct {
	entry   Entry
	session *packet.Session
}

// A view is what Lookup reads: all of one state of the table. It does not
// change, but for unknown sessions that are added to byVNI as long as there is
// room.
type view struct {
	bySource *index // entries with a source; nil if there are none
	byVNI    *index // entries without one, and unknown sessions
	policy   Policy
	max      int
	room     atomic.Int64 // how many unknown sessions may be added
}

// New returns a table without entries.
func New(c Config) *Table {
	t := &Table{workers: c.Workers, log: c.Log}
	t.Update(nil, c.Unknown, c.UnknownMax)
	return t
}

// Lookup returns the session of a frame that came with the VNI, of which the
// low 24 bits count, from the outer source, which may be zero: that of the
// entry with this source, else that of the entry without a source, else an
// unknown session. Without a session the reason is UnknownSession or
// UnknownLimit, else None.
//
// It takes no lock and allocates nothing, except to make an unknown session at
// the first frame of its VNI.
func (t *Table) Lookup(vni uint32, source packet.Addr) (*packet.Session, packet.Reason) {
	vni &= MaxVNI
	v := t.view.Load()
	if s := v.find(vni, &source); s != nil {
		return s, packet.None
	}
	return t.stranger(v, vni, &source)
}

func (v *view) find(vni uint32, source *packet.Addr) *packet.Session {
	if v.bySource != nil {
		if s := v.bySource.find(v.bySource.sourceKey(vni, source), source); s != nil {
			return s
		}
	}
	return v.byVNI.find(vniKey(vni), source)
}

// stranger handles a VNI that is not in v.
func (t *Table) stranger(v *view, vni uint32, source *packet.Addr) (*packet.Session, packet.Reason) {
	switch {
	case v.policy == Drop:
		return nil, packet.UnknownSession
	case v.room.Load() <= 0:
		return nil, packet.UnknownLimit
	}
	s, reason, last := t.admit(vni, source)
	if last {
		t.log.Warn("no further unknown sessions are kept apart; explain them in the session file or raise sessions.unknown_max",
			"unknown_max", v.max)
	}
	return s, reason
}

// admit makes an unknown session of the VNI, unless another worker or a reload
// came first. It reports whether it took the last room.
func (t *Table) admit(vni uint32, source *packet.Addr) (s *packet.Session, r packet.Reason, last bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	v := t.view.Load()
	s = v.find(vni, source)
	switch {
	case s != nil:
		return s, packet.None, false
	case v.policy == Drop:
		return nil, packet.UnknownSession, false
	case v.room.Load() <= 0:
		return nil, packet.UnknownLimit, false
	}
	s = newUnknown(t.lastID.Add(1), vni, t.workers)
	t.unknown = append(t.unknown, s)
	v.byVNI.add(vniKey(vni), s)
	return s, packet.None, v.room.Add(-1) == 0
}
