package session

import (
	"encoding/binary"
	"slices"
	"time"

	"github.com/periscope-collector/periscope/packet"
)

// soleFor is how long an unknown session of any source is watched for a second
// sender: longer than an announcement goes back.
const soleFor = 2 * time.Minute

// begin takes down the first frame of an unknown session of any source.
func begin(s *packet.Session, f *packet.Frame) {
	s.Sole.Source = f.Source
	if len(f.Data) >= packet.EthernetLen {
		s.Sole.Ends = ends(f.Data)
	}
	watch(s, f)
}

// ends returns the MAC addresses of a frame.
func ends(d []byte) [2]uint64 {
	return [2]uint64{soleKey(binary.LittleEndian.Uint64(d)), soleKey(binary.LittleEndian.Uint64(d[6:]))}
}

// news reports whether a frame may tell something new of the sole sender of an
// unknown session of any source: one between the same two as the first does not.
func news(s *packet.Session, f *packet.Frame) bool {
	if len(f.Data) < packet.EthernetLen || f.Source != s.Sole.Source || f.Time-s.Since >= int64(soleFor) {
		return true
	}
	e := ends(f.Data)
	return e != s.Sole.Ends && e != [2]uint64{s.Sole.Ends[1], s.Sole.Ends[0]}
}

// watch takes down what a frame tells of the sole sender of an unknown session of
// any source: the interface, or that it is not of that sender and the session is
// mixed from then on. It reports whether it took down anything.
func watch(s *packet.Session, f *packet.Frame) bool {
	if f.Source != s.Sole.Source || f.Time-s.Since >= int64(soleFor) {
		s.Sole.Mixed.Store(true)
		return true
	}
	mac, ok := ownMAC(f)
	if !ok {
		return false
	}
	key := soleKey(uint64(binary.LittleEndian.Uint32(mac[:])) | uint64(binary.LittleEndian.Uint16(mac[4:]))<<32)
	if s.Sole.MAC.Load() == key {
		return false
	}
	if !slices.Contains(s.Sole.Ends[:], key) || !s.Sole.MAC.CompareAndSwap(0, key) && s.Sole.MAC.Load() != key {
		s.Sole.Mixed.Store(true)
	}
	return true
}

// soleKey returns what Sole.MAC is for an address in the lower 48 bits, the first
// byte lowest.
func soleKey(mac uint64) uint64 { return mac&(1<<48-1) | 1<<48 }

// soleFrame returns the first frame of a sole sender, as far as it tells the
// interface: that alone if it is known, else both ends.
func soleFrame(s *packet.Session) (data []byte) {
	e := s.Sole.Ends
	if mac := s.Sole.MAC.Load(); mac != 0 {
		e = [2]uint64{mac, mac}
	}
	if e[0] == 0 {
		return nil
	}
	data = binary.LittleEndian.AppendUint64(nil, e[0])[:6]
	data = binary.LittleEndian.AppendUint64(data, e[1])[:12]
	return append(data, 0, 0)
}
