package record

import (
	"net/netip"
	"strconv"

	"github.com/periscope-collector/periscope/packet"
)

// The values of a line of flow logs. What they get is that of Field.flow: side
// sent what the line is about, the other end received it.

func appendVersion(dst []byte, f *Fields, _ *packet.Flow, _ int) []byte {
	return strconv.AppendInt(dst, int64(f.version), 10)
}

// appendSrcAddr appends the source. Of what the interface sends it is an
// address of the interface: what passes through it, as through a NAT instance,
// goes under the primary one.
func appendSrcAddr(dst []byte, _ *Fields, r *packet.Flow, side int) []byte {
	a := r.Addr[side]
	if r.Side[side].Direction == packet.Egress {
		a = interfaceAddr(r.Session, a, false)
	}
	return appendAddr(dst, a)
}

// appendDstAddr appends the destination. Of what the interface receives it is
// an address of the interface: of IPv4 always the primary one, also when a
// packet is for a secondary one.
func appendDstAddr(dst []byte, _ *Fields, r *packet.Flow, side int) []byte {
	a := r.Addr[1-side]
	if r.Side[side].Direction == packet.Ingress {
		a = interfaceAddr(r.Session, a, a.Is4())
	}
	return appendAddr(dst, a)
}

// interfaceAddr returns the address that flow logs show where a packet has a:
// a itself if it is the interface's and need not be primary, else the primary
// one of its family. The session's first address of a family counts as primary;
// without any it is a.
func interfaceAddr(s *packet.Session, a packet.Addr, primary bool) packet.Addr {
	first, found := a, false
	for _, own := range s.Addresses {
		if own == a && !primary {
			return a
		}
		if !found && own.Is4() == a.Is4() {
			first, found = own, true
		}
	}
	return first
}

func appendPktSrcAddr(dst []byte, _ *Fields, r *packet.Flow, side int) []byte {
	return appendAddr(dst, r.Addr[side])
}

func appendPktDstAddr(dst []byte, _ *Fields, r *packet.Flow, side int) []byte {
	return appendAddr(dst, r.Addr[1-side])
}

func appendSrcPort(dst []byte, _ *Fields, r *packet.Flow, side int) []byte {
	return strconv.AppendUint(dst, uint64(r.Port[side]), 10)
}

func appendDstPort(dst []byte, _ *Fields, r *packet.Flow, side int) []byte {
	return strconv.AppendUint(dst, uint64(r.Port[1-side]), 10)
}

func appendProtocol(dst []byte, _ *Fields, r *packet.Flow, _ int) []byte {
	return strconv.AppendUint(dst, uint64(r.Protocol), 10)
}

func appendPackets(dst []byte, _ *Fields, r *packet.Flow, side int) []byte {
	return strconv.AppendUint(dst, r.Side[side].Packets, 10)
}

func appendBytes(dst []byte, _ *Fields, r *packet.Flow, side int) []byte {
	return strconv.AppendUint(dst, r.Side[side].Bytes, 10)
}

func appendStart(dst []byte, _ *Fields, r *packet.Flow, side int) []byte {
	return appendSeconds(dst, r.Side[side].First)
}

func appendEnd(dst []byte, _ *Fields, r *packet.Flow, side int) []byte {
	return appendSeconds(dst, r.Side[side].Last)
}

// constant returns the value of a field that is the same in every line.
func constant(s string) func([]byte, *Fields, *packet.Flow, int) []byte {
	return func(dst []byte, _ *Fields, _ *packet.Flow, _ int) []byte { return append(dst, s...) }
}

// appendTCPFlags appends the flags that flow logs know, those of all packets
// together: FIN 1, SYN 2, RST 4, and 18 for SYN with ACK. ACK by itself, PSH,
// URG, ECE and CWR count as 0, as does what is not TCP ("if no flags are sent,
// the TCP flag value is 0"). An invalid combination, SYN with FIN or RST in one
// packet, is "-".
func appendTCPFlags(dst []byte, _ *Fields, r *packet.Flow, side int) []byte {
	const fin, syn, rst, synACK = 1, 2, 4, 18
	s := &r.Side[side]
	switch {
	case r.Protocol != packet.ProtocolTCP:
		return append(dst, '0')
	case s.BadFlags:
		return append(dst, '-')
	}
	flags := s.TCPFlags & (fin | syn | rst)
	if s.SYNACK {
		flags |= synACK
	}
	return strconv.AppendUint(dst, uint64(flags), 10)
}

func appendType(dst []byte, _ *Fields, r *packet.Flow, _ int) []byte {
	if r.Addr[0].Is4() && r.Addr[1].Is4() {
		return append(dst, "IPv4"...)
	}
	return append(dst, "IPv6"...)
}

func appendSrcService(dst []byte, f *Fields, r *packet.Flow, side int) []byte {
	return appendText(dst, f.ranges.Service(r.Addr[side]))
}

func appendDstService(dst []byte, f *Fields, r *packet.Flow, side int) []byte {
	return appendText(dst, f.ranges.Service(r.Addr[1-side]))
}

func appendDirection(dst []byte, _ *Fields, r *packet.Flow, side int) []byte {
	if d := r.Side[side].Direction; d != packet.DirectionUnknown {
		return append(dst, d.String()...)
	}
	return append(dst, '-')
}

// appendTrafficPath appends 1 (through another resource in the same VPC) where
// addresses tell. Which gateway other traffic takes is for route tables to say.
func appendTrafficPath(dst []byte, _ *Fields, r *packet.Flow, side int) []byte {
	if r.Side[side].Direction == packet.Egress {
		to := ip(r.Addr[1-side])
		for _, vpc := range r.Session.Workload.VPCCIDRs {
			if vpc.Contains(to) {
				return append(dst, '1')
			}
		}
	}
	return append(dst, '-')
}

// appendSeconds appends nanoseconds since 1970 as seconds.
func appendSeconds(dst []byte, ns int64) []byte { return strconv.AppendInt(dst, ns/1e9, 10) }

// appendAddr appends the address of a packet, of which also the zero value is
// one: IPv6's unspecified address.
func appendAddr(dst []byte, a packet.Addr) []byte { return ip(a).AppendTo(dst) }

func ip(a packet.Addr) netip.Addr { return netip.AddrFrom16(a).Unmap() }

// appendText appends a value that someone else chose, or "-" if there is none.
// What is not a printable ASCII character is percent-encoded, spaces and the
// percent sign too, so that no value breaks the line.
func appendText(dst []byte, s string) []byte {
	const hex = "0123456789ABCDEF"
	if s == "" {
		return append(dst, '-')
	}
	plain := 0 // bytes that have not been appended
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || c == '%' {
			dst = append(dst, s[plain:i]...)
			dst = append(dst, '%', hex[c>>4], hex[c&0xf])
			plain = i + 1
		}
	}
	return append(dst, s[plain:]...)
}
