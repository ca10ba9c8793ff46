package session

import (
	"fmt"

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
}

// identity is what frames are matched by.
type identity struct {
	vni    uint32
	source packet.Addr
}

func (e *Entry) identity() identity { return identity{e.VNI, e.Source} }

// session returns a new session of the entry, with which it shares slices and
// maps.
func (e *Entry) session(id uint32, workers int) *packet.Session {
	return &packet.Session{
		ID:        id,
		Name:      e.Name,
		Known:     true,
		VNI:       e.VNI,
		Source:    e.Source,
		MAC:       e.MAC,
		Addresses: e.Addresses,
		Workload:  e.Workload,
		Tallies:   make([]packet.Tally, workers),
	}
}

// unknownName is the name of the session of a VNI that no entry explains.
func unknownName(vni uint32) string { return fmt.Sprintf("vni-%d", vni) }

func newUnknown(id, vni uint32, workers int) *packet.Session {
	return &packet.Session{
		ID:      id,
		Name:    unknownName(vni),
		VNI:     vni,
		Tallies: make([]packet.Tally, workers),
	}
}
