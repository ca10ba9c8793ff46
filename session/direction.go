package session

import (
	"slices"

	"github.com/periscope-collector/periscope/packet"
)

// Direction tells a decoded frame's direction, as the mirrored interface sees
// it: from the interface's MAC, else from its addresses, else from the frame's
// outer source, which is the interface's primary address (VPC Traffic
// Mirroring, packet format). Of an ARP message the sender's and the target's
// address count. What none of these tells, but is addressed to a group and not
// sent by the MAC, was received. It allocates nothing and only reads f.
func Direction(f *packet.Frame) packet.Direction {
	s, h := f.Session, &f.Header
	hasMAC := s != nil && s.MAC != [6]byte{} && len(f.Data) >= packet.EthernetLen
	if hasMAC {
		switch s.MAC {
		case [6]byte(f.Data[6:]):
			return packet.Egress
		case [6]byte(f.Data):
			return packet.Ingress
		}
	}
	if h.Network != 0 {
		if s != nil && len(s.Addresses) != 0 { // an address that is passed on is copied, for nothing where there are none
			switch {
			case slices.Contains(s.Addresses, h.Src):
				return packet.Egress
			case slices.Contains(s.Addresses, h.Dst):
				return packet.Ingress
			}
		}
		switch f.Source {
		case packet.Addr{}:
		case h.Src:
			return packet.Egress
		case h.Dst:
			return packet.Ingress
		}
	}
	if hasMAC && f.Data[0]&1 != 0 { // group bit (IEEE 802, section 8.2)
		return packet.Ingress
	}
	return packet.DirectionUnknown
}
