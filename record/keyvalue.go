package record

import (
	"github.com/periscope-collector/periscope/packet"
)

// The values of a record in JSON. What they get is that of Key.append: side is
// the end whose packets a key of one end is about. They append nothing for what
// is not known or does not apply.

func firstAt(dst []byte, r *packet.Flow, _ int, _ *JSON) []byte {
	a, b := r.Side[0].First, r.Side[1].First
	if r.Side[0].Packets == 0 || r.Side[1].Packets != 0 && b < a {
		a = b
	}
	return appendTime(dst, a)
}

func lastAt(dst []byte, r *packet.Flow, _ int, _ *JSON) []byte {
	a, b := r.Side[0].Last, r.Side[1].Last
	if r.Side[0].Packets == 0 || r.Side[1].Packets != 0 && b > a {
		a = b
	}
	return appendTime(dst, a)
}

func intervalBegin(dst []byte, r *packet.Flow, _ int, _ *JSON) []byte {
	return appendTime(dst, r.Begin)
}

func intervalEnd(dst []byte, r *packet.Flow, _ int, _ *JSON) []byte {
	return appendTime(dst, r.End)
}

func reason(dst []byte, r *packet.Flow, _ int, _ *JSON) []byte {
	return appendString(dst, r.Reason.String())
}

func class(dst []byte, r *packet.Flow, _ int, _ *JSON) []byte {
	return appendString(dst, r.Class.String())
}

func communityID(dst []byte, r *packet.Flow, _ int, _ *JSON) []byte {
	return append(AppendCommunityID(append(dst, '"'), r), '"')
}

func protocol(dst []byte, r *packet.Flow, _ int, _ *JSON) []byte {
	return appendUint(dst, r.Protocol)
}

// protocolNames are IANA's keywords in lower case, but for ICMPv6's.
var protocolNames = [256]string{
	packet.ProtocolICMP: "icmp", 2: "igmp", 4: "ipv4", packet.ProtocolTCP: "tcp", packet.ProtocolUDP: "udp",
	33: "dccp", 41: "ipv6", 46: "rsvp", 47: "gre", 50: "esp", 51: "ah", packet.ProtocolICMPv6: "icmpv6",
	89: "ospf", 103: "pim", 112: "vrrp", 115: "l2tp", packet.ProtocolSCTP: "sctp", 136: "udplite",
}

func protocolName(dst []byte, r *packet.Flow, _ int, _ *JSON) []byte {
	return appendString(dst, protocolNames[r.Protocol])
}

func ipVersion(dst []byte, r *packet.Flow, _ int, _ *JSON) []byte {
	if r.Addr[0].Is4() && r.Addr[1].Is4() {
		return append(dst, '4')
	}
	return append(dst, '6')
}

func icmpType(dst []byte, r *packet.Flow, _ int, _ *JSON) []byte {
	if !isICMP(r.Protocol) {
		return dst
	}
	return appendUint(dst, r.ICMPType)
}

func icmpCode(dst []byte, r *packet.Flow, _ int, _ *JSON) []byte {
	if !isICMP(r.Protocol) {
		return dst
	}
	return appendUint(dst, r.ICMPCode)
}

// direction is that of the initiator's packets, also when only the responder
// sent some in the interval.
func direction(dst []byte, r *packet.Flow, _ int, _ *JSON) []byte {
	d := r.Side[0].Direction
	if r.Side[0].Packets == 0 {
		switch r.Side[1].Direction {
		case packet.Ingress:
			d = packet.Egress
		case packet.Egress:
			d = packet.Ingress
		}
	}
	if d == packet.DirectionUnknown {
		return dst
	}
	return appendString(dst, d.String())
}

func bothPackets(dst []byte, r *packet.Flow, _ int, _ *JSON) []byte {
	return appendUint(dst, r.Side[0].Packets+r.Side[1].Packets)
}

func bothBytes(dst []byte, r *packet.Flow, _ int, _ *JSON) []byte {
	return appendUint(dst, r.Side[0].Bytes+r.Side[1].Bytes)
}

func serverRTT(dst []byte, r *packet.Flow, _ int, _ *JSON) []byte { return appendRTT(dst, r.ServerRTT) }
func clientRTT(dst []byte, r *packet.Flow, _ int, _ *JSON) []byte { return appendRTT(dst, r.ClientRTT) }

// appendRTT appends nanoseconds as microseconds.
func appendRTT(dst []byte, ns int64) []byte {
	if ns <= 0 {
		return dst
	}
	return appendUint(dst, uint64(ns)/1000)
}

func truncatedLength(dst []byte, r *packet.Flow, _ int, _ *JSON) []byte {
	if r.TruncatedLength == 0 {
		return dst
	}
	return appendUint(dst, r.TruncatedLength)
}

func truncationCause(dst []byte, r *packet.Flow, _ int, o *JSON) []byte {
	if r.TruncatedLength == 0 || o.Cause == nil {
		return dst
	}
	return appendString(dst, o.Cause(r.Session, int(r.TruncatedLength)))
}

func address(dst []byte, r *packet.Flow, side int, _ *JSON) []byte {
	return append(appendAddr(append(dst, '"'), r.Addr[side]), '"')
}

func port(dst []byte, r *packet.Flow, side int, _ *JSON) []byte {
	if !hasPorts(r.Protocol) {
		return dst
	}
	return appendUint(dst, r.Port[side])
}

func hasPorts(protocol uint8) bool {
	return protocol == packet.ProtocolTCP || protocol == packet.ProtocolUDP || protocol == packet.ProtocolSCTP
}

func isICMP(protocol uint8) bool {
	return protocol == packet.ProtocolICMP || protocol == packet.ProtocolICMPv6
}

func awsService(dst []byte, r *packet.Flow, side int, o *JSON) []byte {
	return appendString(dst, o.Ranges.Service(r.Addr[side]))
}

func packets(dst []byte, r *packet.Flow, side int, _ *JSON) []byte {
	return appendUint(dst, r.Side[side].Packets)
}

func ipBytes(dst []byte, r *packet.Flow, side int, _ *JSON) []byte {
	return appendUint(dst, r.Side[side].Bytes)
}

func frameBytes(dst []byte, r *packet.Flow, side int, _ *JSON) []byte {
	return appendUint(dst, r.Side[side].FrameBytes)
}

func sideFirst(dst []byte, r *packet.Flow, side int, _ *JSON) []byte {
	if r.Side[side].Packets == 0 {
		return dst
	}
	return appendTime(dst, r.Side[side].First)
}

func sideLast(dst []byte, r *packet.Flow, side int, _ *JSON) []byte {
	if r.Side[side].Packets == 0 {
		return dst
	}
	return appendTime(dst, r.Side[side].Last)
}

func truncatedPackets(dst []byte, r *packet.Flow, side int, _ *JSON) []byte {
	return appendUint(dst, r.Side[side].Truncated)
}

func duplicatePackets(dst []byte, r *packet.Flow, side int, _ *JSON) []byte {
	return appendUint(dst, r.Side[side].Duplicates)
}

// tcpFlags appends a letter for each flag, from FIN to CWR.
func tcpFlags(dst []byte, r *packet.Flow, side int, _ *JSON) []byte {
	if r.Protocol != packet.ProtocolTCP {
		return dst
	}
	dst = append(dst, '"')
	for bit, letter := range []byte("FSRPAUEC") {
		if r.Side[side].TCPFlags&(1<<bit) != 0 {
			dst = append(dst, letter)
		}
	}
	return append(dst, '"')
}

func retransmitted(dst []byte, r *packet.Flow, side int, _ *JSON) []byte {
	return appendTCP(dst, r, r.Side[side].Retransmitted)
}

func outOfOrder(dst []byte, r *packet.Flow, side int, _ *JSON) []byte {
	return appendTCP(dst, r, r.Side[side].OutOfOrder)
}

func lostBytes(dst []byte, r *packet.Flow, side int, _ *JSON) []byte {
	return appendTCP(dst, r, r.Side[side].Lost)
}

// appendTCP appends a count that only TCP has.
func appendTCP(dst []byte, r *packet.Flow, n uint64) []byte {
	if r.Protocol != packet.ProtocolTCP {
		return dst
	}
	return appendUint(dst, n)
}

func sessionName(dst []byte, r *packet.Flow, _ int, _ *JSON) []byte {
	return appendString(dst, r.Session.Name)
}

func vni(dst []byte, r *packet.Flow, _ int, _ *JSON) []byte { return appendUint(dst, r.Session.VNI) }

func outerSource(dst []byte, r *packet.Flow, _ int, _ *JSON) []byte {
	if r.Source.IsZero() {
		return dst
	}
	return append(appendAddr(append(dst, '"'), r.Source), '"')
}

func containerIDs(dst []byte, r *packet.Flow, _ int, _ *JSON) []byte {
	ids := r.Session.Workload.ContainerIDs
	if len(ids) == 0 {
		return dst
	}
	dst = append(dst, '[')
	for _, id := range ids {
		if id == "" {
			continue
		}
		dst = append(appendString(dst, id), ',')
	}
	if dst[len(dst)-1] == '[' {
		return append(dst, ']')
	}
	dst[len(dst)-1] = ']'
	return dst
}
