package traffic

import (
	"fmt"
	"strconv"
)

// A Size is the length of generated frames in bytes, from the destination MAC
// address on and without a frame check sequence: MinSize to MaxSize, or IMIX.
type Size int

// Sizes of frames.
const (
	// IMIX, the zero value, mixes frames of 64, 594 and 1514 bytes, 7 : 4 : 1.
	IMIX Size = 0

	// MinSize is the shortest frame that holds TCP over IPv4 and a sequence
	// number.
	MinSize Size = 64

	// MaxSize is a jumbo frame.
	MaxSize Size = 9001
)

const maxIMIX = 1514

// ParseSize reads "imix" or a number of bytes.
func ParseSize(s string) (Size, error) {
	if s == "imix" {
		return IMIX, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || Size(n) < MinSize || Size(n) > MaxSize {
		return 0, fmt.Errorf("frame size %q: want imix, or bytes from %d to %d", s, MinSize, MaxSize)
	}
	return Size(n), nil
}

// String returns what ParseSize reads.
func (s Size) String() string {
	if s == IMIX {
		return "imix"
	}
	return strconv.Itoa(int(s))
}

// longest returns the longest frame that s stands for.
func (s Size) longest() int {
	if s == IMIX {
		return maxIMIX
	}
	return int(s)
}
