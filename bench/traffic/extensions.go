package traffic

import (
	"encoding/binary"

	"github.com/periscope-collector/periscope/packet"
)

// IPv6 extension headers (RFC 8200, section 4; RFC 4302 for AH).
const (
	extHopByHop    = 0
	extRouting     = 43
	extFragment    = 44
	extAH          = 51
	extDestination = 60
)

// fragment is what a fragment header says; the zero value is that of a packet
// in one piece.
type fragment struct {
	id     uint32
	offset uint16 // in bytes, a multiple of 8
	more   bool
}

// extLen returns the length of an extension header in bytes.
func extLen(kind uint8) int {
	if kind == extRouting || kind == extAH {
		return 24
	}
	return 8
}

// appendExtensions appends a chain of extension headers, of which the last one
// names protocol.
func appendExtensions(b []byte, chain []uint8, protocol uint8, f fragment, dst packet.Addr) []byte {
	for i, kind := range chain {
		next := protocol
		if i+1 < len(chain) {
			next = chain[i+1]
		}
		b = appendExtension(b, kind, next, f, dst)
	}
	return b
}

func appendExtension(b []byte, kind, next uint8, f fragment, dst packet.Addr) []byte {
	switch kind {
	case extHopByHop:
		return append(b, next, 0, 5, 2, 0, 0, 1, 0) // router alert (RFC 2711), PadN
	case extRouting:
		// Type 0, no segments left: the packet has arrived (RFC 5095).
		b = append(b, next, 2, 0, 0, 0, 0, 0, 0)
		return append(b, dst[:]...)
	case extFragment:
		field := f.offset
		if f.more {
			field |= 1
		}
		b = append(b, next, 0, byte(field>>8), byte(field))
		return binary.BigEndian.AppendUint32(b, f.id)
	case extAH:
		// Length in words less 2; SPI, sequence number, 96 bits of check value.
		b = append(b, next, 4, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1)
		return append(b, 0xa5, 0xa5, 0xa5, 0xa5, 0xa5, 0xa5, 0xa5, 0xa5, 0xa5, 0xa5, 0xa5, 0xa5)
	default:
		return append(b, next, 0, 1, 4, 0, 0, 0, 0) // PadN
	}
}

// ipv4Options are options of several lengths (RFC 791, section 3.1), none of
// which changes the destination.
var ipv4Options = [...][]byte{
	{148, 4, 0, 0},        // router alert (RFC 2113)
	{1, 1, 1, 0},          // no operation, end of list
	{7, 7, 4, 7: 0},       // record route, with room for one
	{68, 12, 5, 0, 11: 0}, // time stamps, with room for two
	{7, 39, 4, 39: 0},     // record route, with room for nine
}
