package packet

import "net/netip"

// Addresses of the Amazon DNS server that are the same in every VPC (Amazon VPC
// User Guide, "Amazon DNS server").
var (
	resolver4 = AddrFrom4([4]byte{169, 254, 169, 253})
	resolver6 = Addr{0: 0xfd, 2: 0x0e, 3: 0xc2, 14: 0x02, 15: 0x53} // fd00:ec2::253
)

// IsResolver reports whether a is the Amazon DNS server's address, as far as
// the workload's CIDRs tell: a link-local one, or base+2 of the VPC's primary
// CIDR or of a subnet, which AWS reserves for it (Amazon VPC User Guide, "Subnet
// sizing"). It allocates nothing.
func (w *Workload) IsResolver(a *Addr) bool {
	switch a[15] & 0x0f {
	case 0x0d:
		return *a == resolver4
	case 0x03:
		return *a == resolver6
	case 0x02: // no CIDR is longer than /28
		return len(w.VPCCIDRs) > 0 && isAt(a, w.VPCCIDRs[0], 2) || isAtAny(a, w.SubnetCIDRs, 2)
	}
	return false
}

// IsRouter reports whether a is the VPC router's address in one of the
// workload's subnets, base+1 (ibid.). It allocates nothing.
func (w *Workload) IsRouter(a *Addr) bool {
	return a[15]&0x0f == 1 && isAtAny(a, w.SubnetCIDRs, 1)
}

func isAtAny(a *Addr, cidrs []netip.Prefix, offset byte) bool {
	for _, cidr := range cidrs {
		if isAt(a, cidr, offset) {
			return true
		}
	}
	return false
}

// isAt reports whether a is offset, 1 or 2, above the base of a masked CIDR of at
// least 16 addresses.
func isAt(a *Addr, cidr netip.Prefix, offset byte) bool {
	base := cidr.Addr().As16()
	base[15] += offset
	return *a == base && cidr.Addr().BitLen()-cidr.Bits() >= 4
}
