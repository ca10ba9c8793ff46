package flow

import "github.com/periscope-collector/periscope/packet"

// IANA protocol numbers and ports that tell classes apart.
const (
	protocolTCP    = 6
	protocolUDP    = 17
	protocolICMPv6 = 58

	portDNS        = 53
	portNTP        = 123
	portActivation = 1688
	portVXLAN      = 4789
)

// ICMPv6 types (RFC 4861, section 4): only routers advertise, and only they are
// solicited.
const (
	routerSolicitation  = 133
	routerAdvertisement = 134
)

// IPv6 addresses of AWS's services (Amazon EC2 User Guide, "Link-local
// addresses"), but for their last two bytes.
var (
	serviceV6 = packet.Addr{0: 0xfd, 2: 0x0e, 3: 0xc2}                    // fd00:ec2::
	routerV6  = packet.Addr{0: 0xfe, 1: 0x80, 2: 0x0e, 3: 0xc2, 15: 0x01} // fe80:ec2::1
)

// classify returns the class of r, by its addresses, protocol, ports and the
// session's CIDRs, whichever end is the initiator. What is more specific wins:
// the two ports of DHCP, the address of a service, a reserved address of the
// session's VPC and subnet, any link-local address, a port. Without the CIDRs
// the resolver at VPC base+2 is [packet.OwnDNS], and the router at subnet
// base+1 is not recognised. It allocates nothing.
func classify(r *packet.Flow) packet.Class {
	if isDHCP(r) {
		return packet.DHCP
	}
	local := isLinkLocal(&r.Addr[0]) || isLinkLocal(&r.Addr[1])
	if local {
		if c := max(service(r, 0), service(r, 1)); c != packet.Ordinary {
			return c
		}
	}
	if c := max(reserved(r, 0), reserved(r, 1)); c != packet.Ordinary {
		return c
	}
	if local {
		return packet.LinkLocal
	}
	return byPort(r)
}

// isDHCP reports whether both ports are those of DHCP (RFC 2131, section 4.1;
// RFC 8415, section 7.2), so that a scan of one of them is not taken for it.
func isDHCP(r *packet.Flow) bool {
	if r.Protocol != protocolUDP {
		return false
	}
	first := uint16(546)
	if r.Addr[0].Is4() {
		first = 67
	}
	return r.Port[0]-first <= 1 && r.Port[1]-first <= 1
}

// isLinkLocal reports whether a is in 169.254.0.0/16, fe80::/10 or
// fd00:ec2::/32.
func isLinkLocal(a *packet.Addr) bool {
	switch a[0] {
	case 0:
		return a[12] == 169 && a[13] == 254 && a.Is4()
	case 0xfe:
		return a[1]&0xc0 == 0x80
	}
	return [4]byte(a[:4]) == [4]byte(serviceV6[:4])
}

// service returns the class of the service that end i is by its link-local
// address, or Ordinary.
func service(r *packet.Flow, i int) packet.Class {
	a := &r.Addr[i]
	last := uint16(a[14])<<8 | uint16(a[15])
	switch {
	case a.Is4():
		return serviceV4(last, r.Protocol, r.Port[i])
	case *a == routerV6:
		return packet.VPCRouter
	case [14]byte(a[:14]) == [14]byte(serviceV6[:14]):
		return service6(last)
	case r.Protocol == protocolICMPv6 && (r.ICMPType == routerSolicitation || r.ICMPType == routerAdvertisement):
		return packet.VPCRouter
	}
	return packet.Ordinary
}

// serviceV4 knows the addresses in 169.254.0.0/16 by their last two bytes.
func serviceV4(last uint16, protocol uint8, port uint16) packet.Class {
	switch last {
	case 169<<8 | 123:
		return packet.TimeSync
	case 169<<8 | 250, 169<<8 | 251:
		if protocol == protocolTCP && port == portActivation {
			return packet.Activation
		}
	case 169<<8 | 254:
		return packet.InstanceMeta
	case 170<<8 | 2:
		return packet.TaskMeta
	case 170<<8 | 23:
		return packet.PodIdentity
	}
	return packet.Ordinary
}

// service6 knows the addresses in fd00:ec2::/112 by their last two bytes.
func service6(last uint16) packet.Class {
	switch last {
	case 0x0023:
		return packet.PodIdentity
	case 0x0123:
		return packet.TimeSync
	case 0x0254:
		return packet.InstanceMeta
	}
	return packet.Ordinary
}

// resolver returns the class of traffic with an address of the Amazon DNS
// server by the port there. Port 0 is that of later fragments and of ICMP.
func resolver(port uint16) packet.Class {
	if port == portDNS || port == 0 {
		return packet.AmazonDNS
	}
	return packet.Ordinary
}

// reserved returns the class of what AWS has at end i's address, or Ordinary.
func reserved(r *packet.Flow, i int) packet.Class {
	switch w := &r.Session.Workload; {
	case w.IsResolver(&r.Addr[i]):
		return resolver(r.Port[i])
	case w.IsRouter(&r.Addr[i]):
		return packet.VPCRouter
	}
	return packet.Ordinary
}

// byPort returns the class by the ports alone, at addresses of no class.
func byPort(r *packet.Flow) packet.Class {
	has := func(port uint16) bool { return r.Port[0] == port || r.Port[1] == port }
	switch {
	case r.Protocol != protocolUDP && r.Protocol != protocolTCP:
		return packet.Ordinary
	case has(portDNS):
		return packet.OwnDNS
	case r.Protocol != protocolUDP:
		return packet.Ordinary
	case has(portNTP):
		return packet.ExternalNTP
	case has(portVXLAN):
		return packet.MirroredVXLAN
	}
	return packet.Ordinary
}
