package decode

import (
	"encoding/binary"

	"github.com/periscope-collector/periscope/packet"
)

// IPv6 extension headers that are read (RFC 8200, section 4; RFC 4302).
const (
	extHopByHop    = 0
	extRouting     = 43
	extFragment    = 44
	extAH          = 51
	extDestination = 60
)

// noNextHeader says that nothing follows (RFC 8200, section 4.7).
const noNextHeader = 59

// maxExtensions bounds the walk along IPv6 extension headers. A chain longer
// than this has no use but to hide what is behind it.
const maxExtensions = 8

// ipv4 reads an IPv4 header (RFC 791, section 3.1).
func ipv4(h *packet.Header, p []byte, at int) packet.Anomaly {
	if len(p) < ipv4Len {
		return packet.IPv4Short
	}
	b := (*[ipv4Len]byte)(p)
	if b[0]>>4 != 4 {
		return packet.IPv4Version
	}
	headerLen := int(b[0]&0x0f) * 4
	if headerLen < ipv4Len {
		return packet.IPv4HeaderLength
	}
	total := int(binary.BigEndian.Uint16(b[2:4]))
	fragment := binary.BigEndian.Uint16(b[6:8])
	h.Network, h.Version, h.Protocol, h.IPLength = uint16(at), 4, b[9], uint32(total)
	h.FragmentID = uint32(binary.BigEndian.Uint16(b[4:6]))
	h.MoreFragments = fragment&0x2000 != 0
	h.FragmentOffset = fragment << 3 // the 13 low bits, in units of 8 bytes
	setAddr4(&h.Src, b[12:16])
	setAddr4(&h.Dst, b[16:20])
	h.Payload = uint16(at + min(headerLen, len(p)))
	if total != 0 {
		if total < headerLen {
			return packet.IPv4TotalLength
		}
		p = p[:min(total, len(p))]
	}
	if len(p) < headerLen {
		return packet.IPv4Short
	}
	if h.FragmentOffset != 0 {
		return packet.NoAnomaly
	}
	return transport(h, p[headerLen:], at+headerLen)
}

// setAddr4 makes a, which is zero, what packet.AddrFrom4 returns of four bytes.
// It does so in place and in one store: to copy or compare 16 bytes that were
// just written in parts holds the processor up for longer than all the rest of
// the header.
func setAddr4(a *packet.Addr, b []byte) {
	binary.LittleEndian.PutUint64(a[8:], 0xffff_0000|uint64(binary.LittleEndian.Uint32(b))<<32)
}

// ipv6 reads an IPv6 header (RFC 8200, section 3).
func ipv6(h *packet.Header, p []byte, at int) packet.Anomaly {
	if len(p) < ipv6Len {
		return packet.IPv6Short
	}
	b := (*[ipv6Len]byte)(p)
	if b[0]>>4 != 6 {
		return packet.IPv6Version
	}
	h.Network, h.Version, h.Protocol, h.Payload = uint16(at), 6, b[6], uint16(at+ipv6Len)
	h.Src = packet.Addr(b[8:24])
	h.Dst = packet.Addr(b[24:40])
	p = p[ipv6Len:]
	// A payload of 0 bytes is that of a jumbogram (RFC 2675), or of a segment
	// whose length the network card fills in, unless nothing is to follow.
	if n := int(binary.BigEndian.Uint16(b[4:6])); n != 0 || h.Protocol == noNextHeader {
		h.IPLength = uint32(ipv6Len + n)
		p = p[:min(n, len(p))]
	}
	if isExtension(h.Protocol) {
		return extensions(h, p, at+ipv6Len)
	}
	return transport(h, p, at+ipv6Len)
}

func isExtension(protocol uint8) bool {
	switch protocol {
	case extHopByHop, extRouting, extFragment, extAH, extDestination:
		return true
	}
	return false
}

// extensions walks the extension headers of an IPv6 packet, in any order.
// h.Protocol is the first of them on entry, and what follows the last of them
// on return; if the walk stops short, the one it stopped at.
func extensions(h *packet.Header, p []byte, at int) packet.Anomaly {
	fragment := false
	for count := 0; isExtension(h.Protocol); count++ {
		if count == maxExtensions || len(p) < 8 {
			return packet.IPv6Extension
		}
		n := 8 + int(p[1])*8
		switch h.Protocol {
		case extAH:
			n = 8 + int(p[1])*4
		case extFragment:
			if fragment {
				return packet.IPv6Extension
			}
			n, fragment = 8, true
			h.MoreFragments = p[3]&1 != 0
			h.FragmentOffset = binary.BigEndian.Uint16(p[2:4]) &^ 7
			h.FragmentID = binary.BigEndian.Uint32(p[4:8])
		}
		if len(p) < n {
			return packet.IPv6Extension
		}
		h.Protocol = p[0]
		p, at = p[n:], at+n
		h.Payload = uint16(at)
		if h.FragmentOffset != 0 {
			return packet.NoAnomaly
		}
	}
	return transport(h, p, at)
}
