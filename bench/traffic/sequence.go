package traffic

import (
	"encoding/binary"

	"github.com/periscope-collector/periscope/packet"
)

// sequenceLen is the length of the mark "PS" and a 64-bit sequence number.
const sequenceLen = 2 + 8

func appendSequence(b []byte, n uint64) []byte {
	return binary.BigEndian.AppendUint64(append(b, 'P', 'S'), n)
}

// Sequence returns the sequence number of a frame made by [Frames]. It lies
// behind the TCP, UDP or ICMP header: the bytes "PS", then 64 bits in network
// order; so frames cut there or later still have one. Any bytes are accepted;
// those of another origin give false.
func Sequence(frame []byte) (uint64, bool) {
	at := packet.EthernetLen
	if len(frame) < at+ipv4Len {
		return 0, false
	}
	var protocol uint8
	switch binary.BigEndian.Uint16(frame[12:]) {
	case etherIPv4:
		protocol = frame[at+9]
		at += ipv4Len
	case etherIPv6:
		protocol = frame[at+6]
		at += ipv6Len
	default:
		return 0, false
	}
	switch protocol {
	case packet.ProtocolTCP:
		at += tcpLen
	case packet.ProtocolUDP, packet.ProtocolICMP, packet.ProtocolICMPv6:
		at += udpLen
	default:
		return 0, false
	}
	if len(frame) < at+sequenceLen || frame[at] != 'P' || frame[at+1] != 'S' {
		return 0, false
	}
	return binary.BigEndian.Uint64(frame[at+2:]), true
}
