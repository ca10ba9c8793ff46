// Package checksum computes Internet checksums (RFC 1071). Its functions keep
// nothing, allocate nothing, and are for any goroutine.
package checksum

import (
	"encoding/binary"
	"math/bits"
)

// Sum adds b, taken as big-endian 16-bit words and padded with a zero byte, to
// the sum s, of which Fold makes the checksum, and returns less than 1<<33. Only the last piece of what is
// summed may have an odd length.
func Sum(s uint64, b []byte) uint64 {
	var carry uint64
	for len(b) >= 32 {
		s, carry = bits.Add64(s, binary.BigEndian.Uint64(b), carry)
		s, carry = bits.Add64(s, binary.BigEndian.Uint64(b[8:]), carry)
		s, carry = bits.Add64(s, binary.BigEndian.Uint64(b[16:]), carry)
		s, carry = bits.Add64(s, binary.BigEndian.Uint64(b[24:]), carry)
		b = b[32:]
	}
	for len(b) >= 8 {
		s, carry = bits.Add64(s, binary.BigEndian.Uint64(b), carry)
		b = b[8:]
	}
	if len(b) > 0 {
		var rest [8]byte
		copy(rest[:], b)
		s, carry = bits.Add64(s, binary.BigEndian.Uint64(rest[:]), carry)
	}
	s, carry = bits.Add64(s, 0, carry)
	s += carry
	return s>>32 + s&0xffffffff
}

// Fold returns the checksum field for the sum s, to which words of up to 32 bits
// may have been added.
func Fold(s uint64) uint16 {
	for s > 0xffff {
		s = s>>16 + s&0xffff
	}
	return ^uint16(s)
}
