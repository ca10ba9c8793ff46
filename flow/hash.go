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

// words returns an address as two words, for hashing and ordering.
func words(a *packet.Addr) (uint64, uint64) {
	return binary.LittleEndian.Uint64(a[:8]), binary.LittleEndian.Uint64(a[8:])
}

// tuple hashes two addresses, and 64 bits of other things.
func (h *hasher) tuple(a0, a1, b0, b1, rest uint64) uint64 {
	return fold(fold(a0^h[0], a1^h[1])^rest^h[4], fold(b0^h[2], b1^h[3])^h[5])
}

// join makes one hash of two.
func (h *hasher) join(a, b uint64) uint64 { return fold(a^h[6], b^h[7]) }

// bytes hashes p, starting from a hash of what is in front of it.
func (h *hasher) bytes(p []byte, start uint64) uint64 {
	x, y, n := start^h[0], start^h[1], uint64(len(p))
	for ; len(p) >= 32; p = p[32:] {
		x = fold(x^binary.LittleEndian.Uint64(p), h[2]^binary.LittleEndian.Uint64(p[8:]))
		y = fold(y^binary.LittleEndian.Uint64(p[16:]), h[3]^binary.LittleEndian.Uint64(p[24:]))
	}
	for ; len(p) >= 8; p = p[8:] {
		x = fold(x^binary.LittleEndian.Uint64(p), h[4]^y)
	}
	var last [8]byte
	copy(last[:], p)
	return fold(fold(x^binary.LittleEndian.Uint64(last[:]), h[5]^y)^n, h[6]^x)
}
