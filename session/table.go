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
	// Workers is how many workers count each session, at least 1: it has a tally
	// for each, and one more.
	Workers int

	// Unknown says what becomes of VNIs that no entry explains.
	Unknown Policy

	// UnknownMax is how many of them are kept apart at once, by VNI; frames of
	// further ones are not delivered, reason unknown_limit. 0 keeps none. Each
	// costs about 750 bytes and 128 a worker, and the room in the index is taken
	// at once: 43 to 86 bytes each.
	UnknownMax int

	// BySource, unless 0, keeps unknown senders apart by source and interface as
	// well, so that what is learnt of one later is not said of another: up to
	// BySource of them, with twice that room in the index, and then by VNI alone.
	// A swap then ends those without a frame for 10 minutes, whose room is free
	// again.
	BySource int

	// Bare says that frames come without an outer source, as in capture files of
	// inner frames: one is of the learnt session, whatever its source, that has
	// one of the frame's MAC addresses. Each costs some 250 bytes.
	Bare bool

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
	bySource int
	bare     bool
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
	known  []*member

	// mu guards what follows, and additions to the view's index. It is held
	// for short whiles only, since a worker that meets a new VNI waits for it.
	mu      sync.Mutex
	live    []*packet.Session // the sessions of known, sorted by name
	unknown []*packet.Session // in order of creation
	ended   history
}

// A view is what Lookup reads: all of one state of the table. It does not
// change, but for unknown sessions that are added as long as there is room.
type view struct {
	listed  *known // by the session file, which goes first
	learnt  *known
	unknown *strangers
	policy  Policy
	max     int
}

// New returns a table without entries.
func New(c Config) *Table {
	t := &Table{workers: c.Workers, bySource: c.BySource, bare: c.Bare, tell: c.Stranger, log: c.Log}
	if t.tell == nil {
		t.tell = func(*packet.Session) {}
	}
	t.Update(nil, c.Unknown, c.UnknownMax)
	return t
}

// Lookup returns the session of a frame, by its VNI, of which the low 24 bits
// count, its outer source, which may be zero, its time and, for learnt sessions,
// its MAC addresses: that of an entry with this source, else that of one without
// a source, the session file's first; of entries that are at the same time, the
// one that began last, of several such the one that was given first; else an
// unknown session. A bare frame is of a learnt session, as Config.Bare has it,
// unless the session file explains it. Without a session the reason is
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
	if s := v.listed.find(f); s != nil {
		return s
	}
	if s := v.learnt.find(f); s != nil {
		return s
	}
	return v.unknown.find(f)
}

// admit makes an unknown session of the frame, unless another worker or a swap
// came first. Where there is no room it takes no lock.
func (t *Table) admit(f *packet.Frame) (*packet.Session, packet.Reason) {
	if r := t.view.Load().refusal(f); r != packet.None {
		return nil, r
	}
	t.mu.Lock()
	v := t.view.Load()
	s, r := v.find(f), packet.None
	made, last := false, false
	if s == nil {
		if r = v.refusal(f); r == packet.None {
			s = newUnknown(t.lastID.Add(1), f, v.unknown.apart.Load() > 0, t.workers)
			t.unknown = append(t.unknown, s)
			v.unknown.add(s)
			made, last = true, v.unknown.full(f)
		}
	}
	t.mu.Unlock()
	if last {
		t.log.Warn("no further unknown sessions are kept apart; explain them in the session file or raise sessions.unknown_max",
			"unknown_max", v.max)
	}
	if made {
		t.tell(s)
	}
	return s, r
}

// refusal says why no session can be made of a frame, or None.
func (v *view) refusal(f *packet.Frame) packet.Reason {
	switch {
	case v.policy == Drop:
		return packet.UnknownSession
	case v.unknown.full(f) && !v.unknown.retired.Load():
		return packet.UnknownLimit
	}
	return packet.None
}
