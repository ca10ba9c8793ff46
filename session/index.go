package session

import (
	"encoding/binary"
	"math/bits"
	"math/rand/v2"
	"sync/atomic"

	"github.com/periscope-collector/periscope/packet"
)

// An index finds sessions by a 64-bit key in one open-addressed array. Any
// number of goroutines may find while one adds; nothing is ever removed.
//
// A slot takes 32 bytes and the array is at most 3/4 full, so 10,000 sessions
// take 512 KiB, which fits the second-level cache, and a look-up usually
// touches one cache line. The seed is random, so that a sender cannot choose
// VNIs that share a place.
type index struct {
	slots []slot // a power of two
	shift uint8  // 64 less the number of bits of a place
	seed  uint64
}

// A slot is free while its key is 0, which is stored last. What says whether the
// session holds a frame is beside it, so that the session, which is somewhere else
// in memory, need not be read. That of put is not kept.
type slot struct {
	key     atomic.Uint64
	session atomic.Pointer[packet.Session]
	from    int64
	mac     [6]byte
	byMAC   bool
	open    bool // it has not ended
}

// surely reports whether the session holds a frame, without a look at it; where it
// does not, that may still be.
func (s *slot) surely(f *packet.Frame) bool {
	if !s.open || f.Time < s.from {
		return false
	}
	d := f.Data
	return !s.byMAC || len(d) >= packet.EthernetLen && ([6]byte(d[6:]) == s.mac || [6]byte(d) == s.mac)
}

// newIndex returns an index with room for n sessions.
func newIndex(n int) *index {
	width := max(3, bits.Len(uint(n+n/3)))
	return &index{slots: make([]slot, 1<<width), shift: uint8(64 - width), seed: rand.Uint64()}
}

// A key is never 0. It holds the VNI in its upper 24 bits and below them what
// kind of source it asks for: none, an IPv4 address, or a hash, which needs a
// comparison to be certain: 39 bits of that of an IPv6 address, or 37 bits of
// that of an address and a MAC address.
const (
	anySource  = 1 << 38
	ipv4Source = 1 << 37
	ipv6Source = 1 << 39
	macSource  = 1<<38 | 1<<37
)

func vniKey(vni uint32) uint64 { return uint64(vni)<<40 | anySource }

func (x *index) sourceKey(vni uint32, source *packet.Addr) uint64 {
	if source.Is4() {
		return uint64(vni)<<40 | ipv4Source | uint64(binary.BigEndian.Uint32(source[12:]))
	}
	h := mix(mix(binary.LittleEndian.Uint64(source[:8])^x.seed) ^ binary.LittleEndian.Uint64(source[8:]))
	return uint64(vni)<<40 | ipv6Source | h>>25
}

func (x *index) macKey(vni uint32, source *packet.Addr, mac [6]byte) uint64 {
	h := mix(mix(binary.LittleEndian.Uint64(source[:8])^x.seed) ^ binary.LittleEndian.Uint64(source[8:]))
	h = mix(h ^ uint64(binary.LittleEndian.Uint32(mac[:])) ^ uint64(binary.LittleEndian.Uint16(mac[4:]))<<32)
	return uint64(vni)<<40 | macSource | h>>27
}

// mix folds the product of v and an odd constant without pattern (the
// fractional part of the golden ratio), so that every bit of v counts in every
// bit of the result.
func mix(v uint64) uint64 {
	high, low := bits.Mul64(v, 0x9e3779b97f4a7c15)
	return high ^ low
}

func (x *index) place(key uint64) uint64 { return mix(key^x.seed) >> x.shift }

// find returns the session with the key, or nil.
func (x *index) find(key uint64, source *packet.Addr) *packet.Session {
	if s := x.slot(key, source); s != nil {
		return s.session.Load()
	}
	return nil
}

// slot returns the slot with the key, or nil. The source is compared where the key
// does not hold all of it.
func (x *index) slot(key uint64, source *packet.Addr) *slot {
	mask := uint64(len(x.slots) - 1)
	for i := x.place(key); ; i++ {
		s := &x.slots[i&mask]
		switch s.key.Load() {
		case key:
			if key&ipv6Source == 0 || s.session.Load().Source == *source {
				return s
			}
		case 0:
			return nil
		}
	}
}

// findMAC returns the session with the source and MAC address, or nil.
func (x *index) findMAC(vni uint32, source *packet.Addr, mac [6]byte) *packet.Session {
	key := x.macKey(vni, source, mac)
	mask := uint64(len(x.slots) - 1)
	for i := x.place(key); ; i++ {
		s := &x.slots[i&mask]
		switch s.key.Load() {
		case key:
			if found := s.session.Load(); found.Source == *source && found.MAC == mac {
				return found
			}
		case 0:
			return nil
		}
	}
}

// add puts a session in that is not there yet; the caller knows that there is
// room and that nobody else adds. open says that the session has no end.
func (x *index) add(key uint64, s *packet.Session, open bool) {
	mask := uint64(len(x.slots) - 1)
	i := x.place(key)
	for x.slots[i&mask].key.Load() != 0 {
		i++
	}
	free := &x.slots[i&mask]
	free.session.Store(s)
	free.from, free.mac, free.byMAC, free.open = s.From, s.MAC, s.ByMAC, open
	free.key.Store(key)
}

// put puts a session in, in place of the one with the same key if there is one.
func (x *index) put(key uint64, s *packet.Session) {
	mask := uint64(len(x.slots) - 1)
	for i := x.place(key); ; i++ {
		switch slot := &x.slots[i&mask]; slot.key.Load() {
		case key:
			if old := slot.session.Load(); key&ipv6Source == 0 || old.Source == s.Source {
				slot.session.Store(s)
				return
			}
		case 0:
			slot.session.Store(s)
			slot.key.Store(key)
			return
		}
	}
}
