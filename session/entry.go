package session

import (
	"fmt"
	"reflect"

	"github.com/periscope-collector/periscope/packet"
)

// MaxVNI is the largest VXLAN network identifier (RFC 7348, section 5: 24 bits).
const MaxVNI = 1<<24 - 1

// An Entry is one configured session: what the session file says of it.
type Entry struct {
	// Name is unique among entries and not empty.
	Name string

	// VNI is 0 to MaxVNI.
	VNI uint32

	// Source, unless zero, is the only outer source the entry matches. No two
	// entries have the same VNI and source.
	Source packet.Addr

	// MAC and Addresses are the mirrored interface's, zero or empty when not
	// known.
	MAC       [6]byte
	Addresses []packet.Addr

	Workload packet.Workload

	// From and Until bound the times of the frames that the entry explains, in
	// ns since 1970 UTC: from From on, before Until. 0 leaves a side open.
	From, Until int64

	// Learned says that AWS gave the entry, now or by the journal, and that
	// MAC, unless zero, tells whose a frame is: an interface that takes over
	// the address of another one is another session.
	Learned bool
}

// identity is what frames are matched by.
type identity struct {
	vni    uint32
	source packet.Addr
}

func (e *Entry) identity() identity { return identity{e.VNI, e.Source} }

// tenure is one holder's time as an identity.
type tenure struct {
	identity
	from   int64  // of the session file
	holder string // learnt
}

func (e *Entry) tenure() tenure {
	if e.Learned {
		return tenure{e.identity(), 0, e.Workload.InterfaceID + "/" + e.Workload.SessionID}
	}
	return tenure{e.identity(), e.From, ""}
}

// sameButUntil reports whether two entries differ in no more than when they end.
func (e *Entry) sameButUntil(o *Entry) bool {
	a, b := *e, *o
	a.Until, b.Until = 0, 0
	return reflect.DeepEqual(a, b)
}

// refines reports whether a learnt entry says of the same holder what o says,
// and what o left open.
func (e *Entry) refines(o *Entry) bool {
	if !e.Learned || !o.Learned {
		return false
	}
	merged := *o
	merged.Name, merged.From, merged.Until = e.Name, e.From, e.Until
	fill(reflect.ValueOf(&merged).Elem(), reflect.ValueOf(*e))
	return reflect.DeepEqual(merged, *e)
}

// fill sets what is zero in the struct to what it is in from.
func fill(to, from reflect.Value) {
	for i := range to.NumField() {
		switch field := to.Field(i); {
		case field.Kind() == reflect.Struct:
			fill(field, from.Field(i))
		case field.IsZero():
			field.Set(from.Field(i))
		}
	}
}

// session returns a new session of the entry, with which it shares slices and
// maps.
func (e *Entry) session(id uint32, workers int) *packet.Session {
	s := &packet.Session{
		ID:        id,
		Name:      e.Name,
		Known:     true,
		Learned:   e.Learned,
		VNI:       e.VNI,
		Source:    e.Source,
		From:      e.From,
		MAC:       e.MAC,
		ByMAC:     e.Learned && e.MAC != [6]byte{},
		Addresses: e.Addresses,
		Workload:  e.Workload,
		Tallies:   make([]packet.Tally, workers),
	}
	s.Until.Store(e.Until)
	return s
}

// unknownName is the name of the session of a VNI that no entry explains.
func unknownName(vni uint32) string { return fmt.Sprintf("vni-%d", vni) }

// newUnknown returns the session of a frame that no entry explains: of its VNI,
// and if apart of its source and the interface, too.
func newUnknown(id uint32, f *packet.Frame, apart bool, workers int) *packet.Session {
	s := &packet.Session{
		ID:      id,
		VNI:     f.VNI & MaxVNI,
		Since:   f.Time,
		Tallies: make([]packet.Tally, workers),
	}
	s.Name = unknownName(s.VNI)
	if apart && !f.Source.IsZero() {
		s.Source = f.Source
		s.Name += "-" + f.Source.String()
		s.MAC, s.ByMAC = ownMAC(f)
	}
	return s
}
