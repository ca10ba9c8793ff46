package session

import (
	"encoding/binary"
	"time"

	"github.com/periscope-collector/periscope/packet"
)

// soleFor is how long an unknown session of any source is watched for a second
// sender: longer than an announcement goes back.
const soleFor = 2 * time.Minute

// watch takes down what a frame tells of the sole sender of an unknown session of
// any source, and reports whether that is news: the interface, or that it is not of
// that sender and the session is mixed from then on.
func watch(s *packet.Session, f *packet.Frame) (news bool) {
	if f.Source != s.Sole.Source || f.Time-s.Since >= int64(soleFor) {
		s.Sole.Mixed.Store(true)
		return true
	}
	mac, ok := ownMAC(f)
	if !ok {
		return false
	}
	key := uint64(1)<<48 | uint64(binary.BigEndian.Uint16(mac[:]))<<32 | uint64(binary.BigEndian.Uint32(mac[2:]))
	if s.Sole.MAC.Load() == key {
		return false
	}
	if !s.Sole.MAC.CompareAndSwap(0, key) && s.Sole.MAC.Load() != key {
		s.Sole.Mixed.Store(true)
	}
	return true
}

// soleMAC returns the address of the interface that watch took down, if it did.
func soleMAC(key uint64) (mac [6]byte, ok bool) {
	binary.BigEndian.PutUint16(mac[:], uint16(key>>32))
	binary.BigEndian.PutUint32(mac[2:], uint32(key))
	return mac, key != 0
}
