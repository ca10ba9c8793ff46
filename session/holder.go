package session

import (
	"encoding/binary"

	"github.com/periscope-collector/periscope/packet"
)

// holds reports whether a frame that came with the session's VNI, from its
// source, is the session's: by its time and, where the session says so, by the
// interface it was mirrored from.
func holds(s *packet.Session, f *packet.Frame) bool {
	if f.Time < s.From {
		return false
	}
	if until := s.Until.Load(); until != 0 && f.Time >= until {
		return false
	}
	if !s.ByMAC || len(f.Data) < packet.EthernetLen {
		return true
	}
	return [6]byte(f.Data[6:]) == s.MAC || [6]byte(f.Data) == s.MAC || !tells(f)
}

// tells reports whether one of a frame's MAC addresses is that of the interface
// it was mirrored from: that of a frame which the interface sends or receives
// is, unless it came to a group. A bare IP packet has none.
func tells(f *packet.Frame) bool {
	if len(f.Data) < packet.EthernetLen {
		return false
	}
	if dst := [6]byte(f.Data); dst[0]&1 == 0 && dst != [6]byte{} {
		return true
	}
	_, ok := ownMAC(f)
	return ok
}

// ownMAC returns the MAC address of the interface that a frame was mirrored
// from, where the frame tells which it is: the one that goes with the outer
// source, which is the interface's primary address (VPC Traffic Mirroring,
// packet format).
func ownMAC(f *packet.Frame) (mac [6]byte, ok bool) {
	d := f.Data
	if len(d) < packet.EthernetLen {
		return mac, false
	}
	var sender, target packet.Addr
	dst, src := d[:6], d[6:12]
	switch etherType, ip := binary.BigEndian.Uint16(d[12:]), d[packet.EthernetLen:]; {
	case etherType == 0x0800 && len(ip) >= 20:
		sender, target = packet.AddrFrom4([4]byte(ip[12:])), packet.AddrFrom4([4]byte(ip[16:]))
	case etherType == 0x86dd && len(ip) >= 40:
		sender, target = packet.Addr(ip[8:24]), packet.Addr(ip[24:40])
	case etherType == 0x0806 && len(ip) >= 28:
		sender, target = packet.AddrFrom4([4]byte(ip[14:])), packet.AddrFrom4([4]byte(ip[24:]))
	}
	switch f.Source {
	case packet.Addr{}:
		return mac, false
	case sender:
		mac = [6]byte(src)
	case target:
		mac = [6]byte(dst)
	}
	return mac, mac != [6]byte{} && mac[0]&1 == 0
}
