package flow

import (
	"encoding/binary"
	"math/bits"

	"github.com/periscope-collector/periscope/packet"
)

// A hasher holds what a seed expands to. The hash multiplies 64 by 64 bits and
// folds the product, as wyhash and its kin do. The standard library's maphash
// cannot be given a seed.
type hasher [8]uint64

// newHasher expands the seed by splitmix64.
func newHasher(seed uint64) *hasher {
	h := new(hasher)
	for i := range h {
		seed += 0x9e3779b97f4a7c15
		z := seed
		z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
		z = (z ^ z>>27) * 0x94d049bb133111eb
		h[i] = z ^ z>>31
	}
	return h
}

func fold(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}

// words returns an address as two words.
func words(a *packet.Addr) (uint64, uint64) {
	return binary.LittleEndian.Uint64(a[:8]), binary.LittleEndian.Uint64(a[8:])
}

// end hashes one end of a flow.
func (h *hasher) end(a *packet.Addr, port uint16) uint64 {
	x, y := words(a)
	return fold(x^h[0], y^h[1]) + uint64(port)*0x9e3779b97f4a7c15
}

// tuple hashes the hashes of two ends, in any order, and the protocol.
func (h *hasher) tuple(a, b uint64, protocol uint8) uint64 {
	return fold(a^h[2], b^h[2]) + uint64(protocol)*0xbf58476d1ce4e5b9
}

// packet hashes what tells an IP packet apart from others: its addresses in
// their order, its protocol and its identification.
func (h *hasher) packet(p *packet.Header) uint64 {
	return fold(h.end(&p.Src, 0)^h[3], h.end(&p.Dst, 0)^h[4]) + (uint64(p.FragmentID)<<8|uint64(p.Protocol))*0x9e3779b97f4a7c15
}

// join makes one hash of two.
func (h *hasher) join(a, b uint64) uint64 { return fold(a^h[6], b^h[7]) }

// bytes hashes p, starting from a hash of what is in front of it.
func (h *hasher) bytes(p []byte, start uint64) uint64 {
	x, y, n := start^h[0], start^h[1], uint64(len(p))
	for ; len(p) >= 32; p = p[32:] {
		x = fold(x^binary.LittleEndian.Uint64(p), h[3]^binary.LittleEndian.Uint64(p[8:]))
		y = fold(y^binary.LittleEndian.Uint64(p[16:]), h[4]^binary.LittleEndian.Uint64(p[24:]))
	}
	for ; len(p) >= 8; p = p[8:] {
		x = fold(x^binary.LittleEndian.Uint64(p), h[5]^y)
	}
	var last [8]byte
	copy(last[:], p)
	return fold(fold(x^binary.LittleEndian.Uint64(last[:]), h[6]^y)^n, h[7]^x)
}
