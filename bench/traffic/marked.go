package traffic

import (
	"bytes"
	"encoding/binary"

	"github.com/periscope-collector/periscope/packet"
)

// A Marked is a frame with a payload that one can search for.
type Marked struct {
	Name    string
	Frame   []byte
	Headers int // how long its headers are; what is behind them is the payload, or padding with it
}

// NewMarked returns frames of every kind that decode tells apart, with whole and
// with contradicting headers, each with payload(its name) behind them. Ports are
// 12345 and the given one.
func NewMarked(port uint16, payload func(name string) []byte) (all []Marked) {
	twoPorts := binary.BigEndian.AppendUint16([]byte{0x30, 0x39}, port)
	udp := func(body []byte) []byte { return join(twoPorts, be16(8+len(body)), []byte{0, 0}, body) }
	segment := func(words int, body []byte) []byte {
		b := append(bytes.Clone(twoPorts), make([]byte, 16+max(0, words*4-20))...)
		b[12], b[13] = byte(words<<4), 0x18
		return append(b, body...)
	}
	sctp := func(body []byte) []byte { return join(twoPorts, make([]byte, 8), body) }
	fragment6 := func(offset int, body []byte) []byte {
		return join([]byte{packet.ProtocolUDP, 0}, be16(offset), []byte{0, 0, 0, 9}, body)
	}
	ip4, ip6 := markedEther(0x0800), markedEther(0x86dd)

	for _, kind := range []struct {
		name    string
		headers int
		frame   func(body []byte) []byte
	}{
		{"TCP", 54, func(b []byte) []byte { return join(ip4, markedIPv4(6, 0, segment(5, b))) }},
		{"TCP with options", 66, func(b []byte) []byte { return join(ip4, markedIPv4(6, 0, segment(8, b))) }},
		{"TCP, trailer behind the packet", 54, func(b []byte) []byte { return join(ip4, markedIPv4(6, 0, segment(5, nil)), b) }},
		{"TCP, options beyond the packet", 54, func(b []byte) []byte { return join(ip4, markedIPv4(6, 0, segment(15, nil)[:20]), b) }},
		{"TCP, header cut", 34, func(b []byte) []byte { return join(ip4, markedIPv4(6, 0, b[:19])) }},
		{"UDP", 42, func(b []byte) []byte { return join(ip4, markedIPv4(17, 0, udp(b))) }},
		{"UDP, length of nothing", 42, func(b []byte) []byte {
			f := join(ip4, markedIPv4(17, 0, udp(b)))
			f[39] = 3
			return f
		}},
		{"ICMP, the packet it is about", 42, func(b []byte) []byte {
			return join(ip4, markedIPv4(1, 0, join([]byte{3, 1, 0, 0, 0, 0, 0, 0}, markedIPv4(17, 0, udp(b)))))
		}},
		{"SCTP", 46, func(b []byte) []byte { return join(ip4, markedIPv4(132, 0, sctp(b))) }},
		{"first fragment", 42, func(b []byte) []byte { return join(ip4, markedIPv4(17, 0x2000, udp(b))) }},
		{"later fragment", 34, func(b []byte) []byte { return join(ip4, markedIPv4(17, 6, b)) }},
		{"a tunnel", 34, func(b []byte) []byte {
			return join(ip4, markedIPv4(47, 0, join([]byte{0, 0, 8, 0}, markedIPv4(6, 0, segment(5, b)))))
		}},
		{"IPv4 header beyond its packet", 34, func(b []byte) []byte {
			f := join(ip4, markedIPv4(6, 0, nil), b)
			f[14] = 0x4f
			return f
		}},
		{"IPv4 of no length", 54, func(b []byte) []byte {
			f := join(ip4, markedIPv4(6, 0, segment(5, b)))
			f[16], f[17] = 0, 0
			return f
		}},
		{"one VLAN tag", 46, func(b []byte) []byte { return join(markedEther(0x0800, 5), markedIPv4(17, 0, udp(b))) }},
		{"two VLAN tags", 50, func(b []byte) []byte { return join(markedEther(0x0800, 5, 6), markedIPv4(17, 0, udp(b))) }},
		{"three VLAN tags", 22, func(b []byte) []byte { return join(markedEther(0x0800, 5, 6, 7), markedIPv4(17, 0, udp(b))) }},
		{"IPv6, TCP", 74, func(b []byte) []byte { return join(ip6, markedIPv6(6, segment(5, b))) }},
		{"IPv6, UDP behind an extension", 70, func(b []byte) []byte {
			return join(ip6, markedIPv6(0, join([]byte{17, 0, 1, 4, 0, 0, 0, 0}, udp(b))))
		}},
		{"IPv6, an extension cut", 54, func(b []byte) []byte { return join(ip6, markedIPv6(60, join([]byte{17, 31}, b))) }},
		{"IPv6, first fragment", 70, func(b []byte) []byte { return join(ip6, markedIPv6(44, fragment6(1, udp(b)))) }},
		{"IPv6, later fragment", 62, func(b []byte) []byte { return join(ip6, markedIPv6(44, fragment6(8, b))) }},
		{"ICMPv6", 62, func(b []byte) []byte { return join(ip6, markedIPv6(58, join([]byte{128, 0, 0, 0, 0, 0, 0, 0}, b))) }},
		{"ARP with padding", 42, func(b []byte) []byte {
			return join(markedEther(0x0806), []byte{0, 1, 8, 0, 6, 4, 0, 1}, make([]byte, 20), b)
		}},
		{"ARP for other than IPv4", 14, func(b []byte) []byte { return join(markedEther(0x0806), []byte{0, 9}, b) }},
		{"unknown EtherType", 14, func(b []byte) []byte { return join(markedEther(0x88cc), b) }},
		{"a length for an EtherType", 14, func(b []byte) []byte { return join(markedEther(len(b)), b) }},
		{"not an IP version", 14, func(b []byte) []byte { return join(ip4, []byte{0xf0}, b) }},
		{"shorter than Ethernet", 0, func(b []byte) []byte { return b[:13] }},
	} {
		all = append(all, Marked{kind.name, kind.frame(payload(kind.name)), kind.headers})
	}
	return all
}

func be16(n int) []byte { return binary.BigEndian.AppendUint16(nil, uint16(n)) }

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// markedEther is an Ethernet header, with VLAN tags in front of the type.
func markedEther(etherType int, tags ...int) []byte {
	b := make([]byte, 12, 26)
	for _, tag := range tags {
		b = append(append(b, 0x81, 0), be16(tag)...)
	}
	return append(b, be16(etherType)...)
}

// markedIPv4 is an IPv4 packet without options from 10.0.0.1 to 192.0.2.7, with
// the flags and the offset of a fragment.
func markedIPv4(protocol byte, fragment int, body []byte) []byte {
	return join([]byte{0x45, 0}, be16(20+len(body)), []byte{0, 7}, be16(fragment),
		[]byte{64, protocol, 0, 0, 10, 0, 0, 1, 192, 0, 2, 7}, body)
}

// markedIPv6 is an IPv6 packet from fd00::1 to fd00::2.
func markedIPv6(next byte, body []byte) []byte {
	b := join([]byte{0x60, 0, 0, 0}, be16(len(body)), []byte{next, 64}, make([]byte, 32), body)
	b[8], b[23], b[24], b[39] = 0xfd, 1, 0xfd, 2
	return b
}
