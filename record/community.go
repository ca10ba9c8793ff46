package record

import (
	"bytes"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"

	"github.com/periscope-collector/periscope/packet"
)

// AppendCommunityID appends the Community ID of a flow, version 1 with seed 0
// (github.com/corelight/community-id-spec): "1:" and the base64 of a SHA-1 over
// addresses, protocol and ports, the lower end first, so that both directions
// have the same. It does not allocate when dst has room for 30 bytes.
func AppendCommunityID(dst []byte, r *packet.Flow) []byte {
	return appendCommunityID(dst, &r.Addr, r.Port, r.Protocol, r.ICMPType, r.ICMPCode)
}

func appendCommunityID(dst []byte, addr *[2]packet.Addr, ends [2]uint16, protocol, icmpType, icmpCode uint8) []byte {
	oneWay, withPorts := false, true
	switch protocol {
	case packet.ProtocolTCP, packet.ProtocolUDP, packet.ProtocolSCTP:
	case packet.ProtocolICMP:
		ends, oneWay = icmpPorts(icmpPairs, icmpType, icmpCode)
	case packet.ProtocolICMPv6:
		ends, oneWay = icmpPorts(icmpv6Pairs, icmpType, icmpCode)
	default:
		withPorts = false
	}
	low, high := 0, 1
	order := bytes.Compare(addr[0][:], addr[1][:])
	if !oneWay && (order > 0 || order == 0 && ends[0] > ends[1]) {
		low, high = 1, 0
	}

	var buf [2 + 16 + 16 + 2 + 4]byte
	in := buf[:2] // the seed
	from := 0
	if addr[0].Is4() && addr[1].Is4() {
		from = 12
	}
	in = append(in, addr[low][from:]...)
	in = append(in, addr[high][from:]...)
	in = append(in, protocol, 0)
	if withPorts {
		in = binary.BigEndian.AppendUint16(in, ends[low])
		in = binary.BigEndian.AppendUint16(in, ends[high])
	}
	sum := sha1.Sum(in)
	return base64.StdEncoding.AppendEncode(append(dst, "1:"...), sum[:])
}

// Types of ICMP messages that ask and answer.
var (
	icmpPairs = [][2]uint8{
		{8, 0},   // echo
		{10, 9},  // router solicitation and advertisement
		{13, 14}, // timestamp
		{15, 16}, // information
		{17, 18}, // address mask
	}
	icmpv6Pairs = [][2]uint8{
		{128, 129}, // echo
		{130, 131}, // multicast listener query and report
		{133, 134}, // router solicitation and advertisement
		{135, 136}, // neighbor solicitation and advertisement
		{139, 140}, // node information
		{144, 145}, // home agent address discovery
	}
)

// icmpPorts returns what stands for ports: the type of the message and that of
// its counterpart; where there is none, type and code. Those do not change
// places with the ends, so that the ends are not put in order.
func icmpPorts(pairs [][2]uint8, icmpType, icmpCode uint8) (ports [2]uint16, oneWay bool) {
	for _, p := range pairs {
		switch icmpType {
		case p[0]:
			return [2]uint16{uint16(p[0]), uint16(p[1])}, false
		case p[1]:
			return [2]uint16{uint16(p[1]), uint16(p[0])}, false
		}
	}
	return [2]uint16{uint16(icmpType), uint16(icmpCode)}, true
}
