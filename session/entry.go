package session

import (
	"bytes"
	"cmp"
	"math"
	"reflect"
	"time"

	"github.com/periscope-collector/periscope/packet"
)

// MaxVNI is the largest VXLAN network identifier (RFC 7348, section 5: 24 bits).
const MaxVNI = 1<<24 - 1

// An Entry is one session as the session file, AWS or the sender itself describes
// it, for as long as one workload is behind it.
type Entry struct {
	// Name is not empty. Entries of the session file have the same one only if
	// they are not at the same time.
	Name string

	// VNI is 0 to MaxVNI.
	VNI uint32

	// Source, unless zero, is the only outer source the entry matches. Entries
	// of the session file have the same VNI and source only if they are not at
	// the same time.
	Source packet.Addr

	// MAC and Addresses are the mirrored interface's, zero or empty when not
	// known.
	MAC       [6]byte
	Addresses []packet.Addr

	Workload packet.Workload

	// From and Until bound the times of the frames that the entry explains, in
	// ns since 1970 UTC: from From on, before Until. 0 leaves a side open.
	From, Until int64

	// Learned says that the entry is not the session file's: it was learnt, now or
	// by the journal, and MAC, unless zero, tells whose a frame is: an interface
	// that takes over the address of another one is another session.
	Learned bool

	// Announced says that a learnt entry is what the sender says of itself. It has
	// a source and a MAC address.
	Announced bool
}

// An Identity is what frames are matched by. Source may be zero: any.
type Identity struct {
	VNI    uint32
	Source packet.Addr
}

// Identity returns what the entry's frames are matched by.
func (e *Entry) Identity() Identity { return Identity{e.VNI, e.Source} }

func (id Identity) compare(o Identity) int {
	return cmp.Or(cmp.Compare(id.VNI, o.VNI), bytes.Compare(id.Source[:], o.Source[:]))
}

// A Tenure tells the entries of one VNI and source apart: those of the session
// file by when they begin, learnt ones by who holds it, announced ones by both.
type Tenure struct {
	VNI                    uint32
	Source                 packet.Addr
	From                   int64   // of the session file, announced
	MAC                    [6]byte // announced
	InterfaceID, SessionID string  // learnt of AWS
}

// Tenure returns what stays the same when more is learnt of the entry.
func (e *Entry) Tenure() Tenure {
	switch {
	case e.Announced:
		return Tenure{VNI: e.VNI, Source: e.Source, From: e.From, MAC: e.MAC}
	case e.Learned:
		return Tenure{VNI: e.VNI, Source: e.Source, InterfaceID: e.Workload.InterfaceID, SessionID: e.Workload.SessionID}
	}
	return Tenure{VNI: e.VNI, Source: e.Source, From: e.From}
}

// end returns when the entry ends, in ns.
func (e *Entry) end() int64 {
	if e.Until == 0 {
		return math.MaxInt64
	}
	return e.Until
}

// sameButUntil reports whether two entries differ in no more than when they end.
func (e *Entry) sameButUntil(o *Entry) bool {
	a, b := *e, *o
	a.Until, b.Until = 0, 0
	return reflect.DeepEqual(a, b)
}

// continues reports whether a learnt entry is of the workload that o, of the same
// tenure, is of: none that was known is another one now. Names, tags and networks
// may change.
func (e *Entry) continues(o *Entry) bool {
	same := func(now, before string) bool { return before == "" || now == before }
	w, b := &e.Workload, &o.Workload
	return e.Learned && o.Learned && e.Announced == o.Announced &&
		(e.MAC == o.MAC || o.MAC == [6]byte{}) &&
		same(w.TaskARN, b.TaskARN) && same(w.Service, b.Service) && same(w.InstanceID, b.InstanceID)
}

// session returns a new session of the entry, with which it shares slices and
// maps.
func (e *Entry) session(id uint32, workers int) *packet.Session {
	s := &packet.Session{
		ID:        id,
		Name:      e.Name,
		Known:     true,
		Learned:   e.Learned,
		Announced: e.Announced,
		VNI:       e.VNI,
		Source:    e.Source,
		From:      e.From,
		Since:     time.Now().UnixNano(),
		MAC:       e.MAC,
		ByMAC:     e.Learned && e.MAC != [6]byte{},
		Addresses: e.Addresses,
		Workload:  e.Workload,
		Tallies:   newTallies(workers),
	}
	s.Until.Store(e.Until)
	return s
}
