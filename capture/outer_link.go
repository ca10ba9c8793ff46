package capture

import (
	"encoding/binary"
	"math"
)

// EtherTypes in outer headers.
const (
	etherIPv4 = 0x0800
	etherIPv6 = 0x86dd
	etherVLAN = 0x8100 // 802.1Q
	etherQinQ = 0x88a8 // 802.1ad
	etherOld  = 0x9100 // QinQ before it was standardised
)

// A link is how the packets of a capture begin.
type link uint8

const (
	unknownLink link = iota
	ethernet
	cooked   // Linux "any" device, version 1
	cooked2  // version 2
	rawIP    // either version
	rawIPv4  // IPv4 only
	rawIPv6  // IPv6 only
	loopback // BSD: four bytes of address family, then IP
)

const knownLinks = "only Ethernet (1), Linux cooked (113, 276), raw IP (12, 14, 101, 228, 229) and BSD loopback (0, 108) are read"

// linkOf returns the link of a LINKTYPE_ number (tcpdump.org/linktypes.html).
// 12 and 14 are what raw IP is called within systems.
func linkOf(number uint32) link {
	switch number {
	case 1:
		return ethernet
	case 113:
		return cooked
	case 276:
		return cooked2
	case 12, 14, 101:
		return rawIP
	case 228:
		return rawIPv4
	case 229:
		return rawIPv6
	case 0, 108:
		return loopback
	}
	return unknownLink
}

// linkLayout says where a link header keeps the EtherType, and how long it is.
// Without a header the IP version tells.
var linkLayout = [...]struct{ etherType, len int }{
	unknownLink: {0, math.MaxInt}, // never long enough: NotTunnel
	ethernet:    {12, 14},         // destination, source, EtherType
	cooked:      {14, 16},         // packet type, ARPHRD, address length, address (8), EtherType
	cooked2:     {0, 20},          // EtherType, reserved, interface (4), ARPHRD, packet type, address length, address (8)
	loopback:    {-1, 4},
	rawIP:       {-1, 0},
	rawIPv4:     {-1, 0},
	rawIPv6:     {-1, 0},
}

// linkHeader returns the EtherType of what follows the link header, and where
// it begins. It fails if the header is cut.
func linkHeader(l link, pkt []byte) (etherType uint16, off int, ok bool) {
	layout := linkLayout[l]
	switch {
	case len(pkt) < layout.len:
		return 0, 0, false
	case layout.etherType >= 0:
		return binary.BigEndian.Uint16(pkt[layout.etherType:]), layout.len, true
	case l == rawIPv6, l != rawIPv4 && len(pkt) > layout.len && pkt[layout.len]>>4 == 6:
		return etherIPv6, layout.len, true
	}
	return etherIPv4, layout.len, true
}

// maxVLANs bounds the tags in front of an outer IP header.
const maxVLANs = 4

// skipVLANs skips the tags, of 4 bytes each, at off.
func skipVLANs(etherType uint16, off int, pkt []byte) (uint16, int, bool) {
	for range maxVLANs {
		if etherType != etherVLAN && etherType != etherQinQ && etherType != etherOld {
			break
		}
		if len(pkt)-off < 4 {
			return 0, 0, false
		}
		etherType = binary.BigEndian.Uint16(pkt[off+2:])
		off += 4
	}
	return etherType, off, true
}
