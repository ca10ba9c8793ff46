package awsapi

import (
	"net"
	"net/netip"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// tags returns tags as a map, nil for none. pair takes one apart.
func tags[Tag any](from []Tag, pair func(*Tag) (key, value *string)) map[string]string {
	if len(from) == 0 {
		return nil
	}
	to := make(map[string]string, len(from))
	for i := range from {
		key, value := pair(&from[i])
		to[aws.ToString(key)] = aws.ToString(value)
	}
	return to
}

// instant returns a time that has nanoseconds since 1970 in 64 bits, the zero
// time for nil, and false for any other.
func instant(t *time.Time) (time.Time, bool) {
	switch {
	case t == nil:
		return time.Time{}, true
	case t.Year() < 1970 || t.Year() > 2261:
		return time.Time{}, false
	}
	return *t, true
}

// mac returns a MAC address of 48 bits.
func mac(s *string) (address [6]byte, ok bool) {
	hw, err := net.ParseMAC(aws.ToString(s))
	if err != nil || len(hw) != len(address) {
		return address, false
	}
	return [6]byte(hw), true
}

// addresses returns addresses in their order, and the first once only; those that
// are nil or empty are not there.
func addresses(from []*string) ([]netip.Addr, bool) {
	var to []netip.Addr
	for _, s := range from {
		if aws.ToString(s) == "" {
			continue
		}
		a, err := netip.ParseAddr(*s)
		if err != nil || a.Zone() != "" {
			return nil, false
		}
		if len(to) == 0 || a != to[0] {
			to = append(to, a)
		}
	}
	return to, true
}

// prefix returns a block of addresses, its host bits cleared.
func prefix(s *string) (netip.Prefix, bool) {
	p, err := netip.ParsePrefix(aws.ToString(s))
	return p.Masked(), err == nil
}

// small returns a number from 0 to limit; 0 for nil.
func small(n *int32, limit int) (int, bool) {
	v := int(aws.ToInt32(n))
	return v, 0 <= v && v <= limit
}
