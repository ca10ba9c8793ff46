package capture

import (
	"fmt"
	"math/bits"
)

// Options of an interface description (draft-ietf-opsawg-pcapng, section 4.2).
const (
	optionEnd        = 0
	optionResolution = 9  // if_tsresol, 1 byte
	optionOffset     = 14 // if_tsoffset, 8 bytes
)

// A clock turns the timestamps of an interface into nanoseconds since 1970 UTC.
type clock struct {
	mul, div uint64 // a unit is mul/div nanoseconds
	offset   int64  // nanoseconds
}

// readClock reads the options that tell what timestamps mean. Without them they
// are microseconds.
//
//	0: option   2: length of the value   4: value, padded to 4 bytes
func readClock(order byteOrder, options []byte) (clock, error) {
	c := clock{mul: 1000, div: 1}
	for len(options) >= 4 {
		option, n := order.uint16(options), int(order.uint16(options[2:]))
		options = options[4:]
		if option == optionEnd {
			break
		}
		if n > len(options) {
			return c, fmt.Errorf("option %d of %d bytes runs past the block", option, n)
		}
		value := options[:n]
		switch {
		case option == optionResolution && n == 1:
			if err := c.setResolution(value[0]); err != nil {
				return c, err
			}
		case option == optionOffset && n == 8:
			seconds := int64(order.uint64(value))
			if seconds > maxTime/1_000_000_000 || seconds < -maxTime/1_000_000_000 {
				return c, fmt.Errorf("time offset of %d s", seconds)
			}
			c.offset = seconds * 1e9
		}
		options = options[min((n+3)&^3, len(options)):]
	}
	return c, nil
}

// setResolution takes the value of if_tsresol: units of 10^-v s, or, with the
// high bit set, of 2^-v s.
func (c *clock) setResolution(v byte) error {
	exponent := uint(v &^ 0x80)
	switch {
	case v&0x80 != 0 && exponent <= 63:
		c.mul, c.div = 1e9, 1<<exponent
	case v&0x80 != 0 || exponent > 28:
		return fmt.Errorf("time resolution %#02x: the finest that are read are 10^-28 s and 2^-63 s", v)
	case exponent <= 9:
		c.mul, c.div = pow10(9-exponent), 1
	default:
		c.mul, c.div = 1, pow10(exponent-9)
	}
	return nil
}

// pow10 returns 10^n, for n up to 19.
func pow10(n uint) uint64 {
	v := uint64(1)
	for range n {
		v *= 10
	}
	return v
}

// time returns what t units are, at least 0 and at most maxTime.
func (c *clock) time(t uint64) int64 {
	ns := uint64(maxTime)
	if high, low := bits.Mul64(t, c.mul); high < c.div {
		ns, _ = bits.Div64(high, low, c.div)
		ns = min(ns, maxTime)
	}
	// Neither of them is past maxTime, so the sum does not overflow.
	return min(max(int64(ns)+c.offset, 0), maxTime)
}
