package session

import (
	"cmp"
	"encoding/binary"
	"math"
	"slices"
	"sync/atomic"

	"github.com/periscope-collector/periscope/packet"
)

// holds reports whether a frame that came with the session's VNI, from its
// source, is the session's: by its time and, where the session says so, by the
// interface it was mirrored from. A frame that an interface sends or receives
// has its MAC address, unless it came to a group.
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
	dst, src := [6]byte(f.Data), [6]byte(f.Data[6:])
	if src == s.MAC || dst == s.MAC {
		return true
	}
	if s.Known && dst[0]&1 == 0 && dst != [6]byte{} { // zero: a bare IP packet has no MAC addresses
		return false
	}
	mac, ok := ownMAC(f)
	return !ok || mac == s.MAC
}

// ownMAC returns the MAC address of the interface that a frame was mirrored
// from, where the frame tells: the one that goes with the outer source, which is
// the interface's primary address (VPC Traffic Mirroring, packet format).
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

// Tenures are the sessions that held one identity one after the other.
type tenures struct {
	sessions []*packet.Session // the latest first, by From
	latest   []int64           // when the last of sessions[i:] ends
	recent   atomic.Pointer[packet.Session]
}

// newTenures takes the sessions of one identity, which it sorts.
func newTenures(sessions []*packet.Session) *tenures {
	slices.SortStableFunc(sessions, func(a, b *packet.Session) int { return cmp.Compare(b.From, a.From) })
	t := &tenures{sessions: sessions, latest: make([]int64, len(sessions))}
	last := int64(math.MinInt64)
	for i, s := range slices.Backward(sessions) {
		until := s.Until.Load()
		if until == 0 {
			until = math.MaxInt64
		}
		last = max(last, until)
		t.latest[i] = last
	}
	return t
}

// find returns the latest session that holds the frame, or nil. Until of the
// sessions only ever shrinks, so what latest says is enough.
func (t *tenures) find(f *packet.Frame) *packet.Session {
	if s := t.recent.Load(); s != nil && holds(s, f) {
		return s
	}
	i, _ := slices.BinarySearchFunc(t.sessions, f.Time, func(s *packet.Session, time int64) int { return cmp.Compare(time, s.From) })
	for ; i < len(t.sessions) && t.latest[i] > f.Time; i++ {
		if s := t.sessions[i]; holds(s, f) {
			t.recent.Store(s)
			return s
		}
	}
	return nil
}
