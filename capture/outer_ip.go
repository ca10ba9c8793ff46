package capture

import "encoding/binary"

// An ipHeader is what an outer IP header says, extension headers included.
type ipHeader struct {
	off      int // of what follows, from the header's first byte; it may not be captured
	length   int // of the whole IP packet; 0 when the header does not say
	protocol uint8
	source   []byte // 4 or 16, of the packet

	fragment bool // part of a larger packet
	later    bool // and not its beginning
}

// parseIPv4 reads an IPv4 header (RFC 791, section 3.1) into h, which is zero.
// It fails if the 20 bytes without options are cut, or not an IPv4 header.
func (h *ipHeader) parseIPv4(b []byte) bool {
	if len(b) < 20 || b[0]>>4 != 4 {
		return false
	}
	h.off = int(b[0]&0x0f) * 4
	if h.off < 20 {
		return false
	}
	h.length = int(binary.BigEndian.Uint16(b[2:])) // 0 when segmentation was left to the card
	h.setFragment(binary.BigEndian.Uint16(b[6:])&0x1fff, b[6]&0x20 != 0)
	h.protocol = b[9]
	h.source = b[12:16]
	return true
}

func (h *ipHeader) setFragment(offset uint16, more bool) {
	h.later = offset != 0
	h.fragment = h.later || more
}

// Extension headers that may come before UDP (RFC 8200, section 4).
const (
	hopByHop           = 0
	routing            = 43
	fragment           = 44
	destinationOptions = 60
)

const (
	ipv6Len       = 40
	fragmentLen   = 8
	maxExtensions = 8
)

// parseIPv6 reads an IPv6 header and its extension headers into h, which is
// zero, up to the transport header or the end of what a later fragment says. It
// fails if the fixed part of one of them is cut, or if there are too many.
func (h *ipHeader) parseIPv6(b []byte) bool {
	if len(b) < ipv6Len || b[0]>>4 != 6 {
		return false
	}
	if n := int(binary.BigEndian.Uint16(b[4:])); n > 0 { // 0 in jumbograms (RFC 2675)
		h.length = ipv6Len + n
	}
	h.protocol = b[6]
	h.source = b[8:24]
	h.off = ipv6Len
	for range maxExtensions {
		if !isExtension(h.protocol) || h.later {
			return true
		}
		if len(b)-h.off < 8 { // none is shorter
			return false
		}
		extension := b[h.off:]
		n := 8 + int(extension[1])*8
		if h.protocol == fragment {
			n = fragmentLen
			offset := binary.BigEndian.Uint16(extension[2:])
			h.setFragment(offset>>3, offset&1 != 0)
		}
		h.protocol = extension[0]
		h.off += n
	}
	return !isExtension(h.protocol)
}

func isExtension(protocol uint8) bool {
	switch protocol {
	case hopByHop, routing, fragment, destinationOptions:
		return true
	}
	return false
}
