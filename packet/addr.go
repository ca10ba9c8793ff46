package packet

import (
	"net/netip"
)

// An Addr is an IPv6 address, or an IPv4 address in its v4-mapped form
// (RFC 4291, section 2.5.5.2), so that both families share one comparable,
// pointer-free representation. The zero value is the unspecified address and
// means "not known" wherever an Addr is optional.
type Addr [16]byte

// AddrFrom4 returns the v4-mapped form of four bytes in network order.
func AddrFrom4(b [4]byte) Addr {
	return Addr{10: 0xff, 11: 0xff, 12: b[0], 13: b[1], 14: b[2], 15: b[3]}
}

// AddrFrom returns a in its 16-byte form, without its zone. An invalid a gives
// the zero Addr.
func AddrFrom(a netip.Addr) Addr {
	if !a.IsValid() {
		return Addr{}
	}
	return a.As16()
}

// Is4 reports whether a is an IPv4 address.
func (a Addr) Is4() bool {
	return a[10] == 0xff && a[11] == 0xff && [10]byte(a[:10]) == [10]byte{}
}

// IsZero reports whether a is the zero value, which stands for "not known".
func (a Addr) IsZero() bool { return a == Addr{} }

// Netip returns a as a netip.Addr, IPv4 unmapped. It returns the zero
// netip.Addr for the zero value.
func (a Addr) Netip() netip.Addr {
	if a.IsZero() {
		return netip.Addr{}
	}
	return netip.AddrFrom16(a).Unmap()
}

// String returns the usual text form, and "-" for the zero value.
func (a Addr) String() string {
	if a.IsZero() {
		return "-"
	}
	return a.Netip().String()
}
