package pipeline

import (
	"encoding/binary"
	"net/netip"

	"github.com/periscope-collector/periscope/packet"
)

// An allowList says which outer sources may send. The zero value admits nobody.
type allowList []allowed

// An allowed prefix is a value and the mask that counts, as four words.
type allowed struct{ hi, lo, maskHi, maskLo uint64 }

// newAllowList compiles prefixes. An IPv4 prefix is matched in its v4-mapped
// form.
func newAllowList(prefixes []netip.Prefix) allowList {
	list := make(allowList, 0, len(prefixes))
	for _, p := range prefixes {
		bits := p.Bits()
		if p.Addr().Is4() {
			bits += 96
		}
		a := allowed{maskHi: ^uint64(0), maskLo: ^uint64(0) << (128 - max(bits, 64))}
		if bits < 64 {
			a.maskHi, a.maskLo = ^uint64(0)<<(64-bits), 0
		}
		hi, lo := words(packet.AddrFrom(p.Addr()))
		a.hi, a.lo = hi&a.maskHi, lo&a.maskLo
		list = append(list, a)
	}
	return list
}

// admits reports whether a prefix holds the address. The list is short.
func (l allowList) admits(a packet.Addr) bool {
	hi, lo := words(a)
	for i := range l {
		if hi&l[i].maskHi == l[i].hi && lo&l[i].maskLo == l[i].lo {
			return true
		}
	}
	return false
}

func words(a packet.Addr) (hi, lo uint64) {
	return binary.BigEndian.Uint64(a[:8]), binary.BigEndian.Uint64(a[8:])
}
