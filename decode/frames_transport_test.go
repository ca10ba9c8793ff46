package decode_test

import "github.com/periscope-collector/periscope/packet"

// Ethernet and IPv4 headers of a packet of the given number of bytes, up to the
// protocol; its end is ends4. The length is that of what the fixture holds.
const (
	ether4 = `02000000000b 02000000000a 0800 `
	ends4  = ` 0000 0a000001 0a000002 `
)

// in4 is the header of an IPv4 packet from a4 to b4.
func in4(h packet.Header) packet.Header {
	h.EtherType, h.Version, h.Src, h.Dst, h.Network = 0x0800, 4, a4, b4, 14
	return h
}

var transportFrames = []fixture{
	{
		name: "tcp_one_byte_short",
		frame: ether4 + `4500 0027 0000 4000 40 06` + ends4 + `
			c000 01bb 00000001 00000000 50 02 ffff 0000 00`,
		want: in4(packet.Header{Protocol: packet.ProtocolTCP, Payload: 34, IPLength: 39, Anomaly: packet.TCPShort}),
	},
	{
		name: "tcp_every_flag",
		frame: ether4 + `4500 0028 0000 4000 40 06` + ends4 + `
			c000 01bb 00000001 00000000
			5f ff                     // reserved bits and AE are not among them
			ffff 0000 0000`,
		want: in4(packet.Header{Protocol: packet.ProtocolTCP, SrcPort: 49152, DstPort: 443, TCPFlags: 0xff,
			Transport: 34, Payload: 54, IPLength: 40}),
	},
	{
		name: "tcp_40_bytes_of_options",
		frame: ether4 + `4500 0051 0000 4000 40 06` + ends4 + `
			c000 01bb 00000001 00000000 f0 18 ffff 0000 0000
			01010101010101010101010101010101010101010101010101010101010101010101010101010101 aa`,
		want: in4(packet.Header{Protocol: packet.ProtocolTCP, SrcPort: 49152, DstPort: 443, TCPFlags: 0x18,
			Transport: 34, Payload: 94, IPLength: 81}),
	},
	{
		name: "tcp_options_one_byte_short",
		frame: ether4 + `4500 002b 0000 4000 40 06` + ends4 + `
			c000 01bb 00000001 00000000 60 02 ffff 0000 0000 010101`,
		want: in4(packet.Header{Protocol: packet.ProtocolTCP, SrcPort: 49152, DstPort: 443, TCPFlags: 0x02,
			Transport: 34, Payload: 57, IPLength: 43, Anomaly: packet.TCPShort}),
	},
	{
		name: "tcp_header_of_16_bytes",
		frame: ether4 + `4500 0028 0000 4000 40 06` + ends4 + `
			c000 01bb 00000001 00000000 40 02 ffff 0000 0000`,
		want: in4(packet.Header{Protocol: packet.ProtocolTCP, SrcPort: 49152, DstPort: 443, TCPFlags: 0x02,
			Transport: 34, Payload: 54, IPLength: 40, Anomaly: packet.TCPOffset}),
	},
	{
		name: "udp",
		frame: ether4 + `4500 0020 0000 0000 40 11` + ends4 + `
			3039 0035 000c 0000 01020304`,
		want: in4(packet.Header{Protocol: packet.ProtocolUDP, SrcPort: 12345, DstPort: 53,
			Transport: 34, Payload: 42, IPLength: 32}),
	},
	{
		name: "udp_one_byte_short",
		frame: ether4 + `4500 001b 0000 0000 40 11` + ends4 + `
			3039 0035 0008 00`,
		want: in4(packet.Header{Protocol: packet.ProtocolUDP, Payload: 34, IPLength: 27, Anomaly: packet.UDPShort}),
	},
	{
		name: "udp_length_7",
		frame: ether4 + `4500 001c 0000 0000 40 11` + ends4 + `
			3039 0035 0007 0000`,
		want: in4(packet.Header{Protocol: packet.ProtocolUDP, SrcPort: 12345, DstPort: 53,
			Transport: 34, Payload: 42, IPLength: 28, Anomaly: packet.UDPLength}),
	},
	{
		name: "udp_length_0",
		frame: ether4 + `4500 001c 0000 0000 40 11` + ends4 + `
			3039 0035 0000 0000`,
		want: in4(packet.Header{Protocol: packet.ProtocolUDP, SrcPort: 12345, DstPort: 53,
			Transport: 34, Payload: 42, IPLength: 28}),
	},
	{
		name: "udp_vxlan_is_not_unwrapped",
		frame: ether4 + `4500 0032 0000 0000 40 11` + ends4 + `
			ff80 12b5 001e 0000 0800000000000100
			02000000000b 02000000000a 0800`,
		want: in4(packet.Header{Protocol: packet.ProtocolUDP, SrcPort: 65408, DstPort: 4789,
			Transport: 34, Payload: 42, IPLength: 50}),
	},
	{
		name: "icmp_unreachable_quotes_another_packet",
		frame: ether4 + `4500 0038 0000 0000 40 01` + ends4 + `
			0304 0000 000005dc        // fragmentation needed
			4500 0100 0001 4000 40 06 0000 0a000002 0a000001 01bb c000 00000001`,
		want: in4(packet.Header{Protocol: packet.ProtocolICMP, ICMPType: 3, ICMPCode: 4,
			Transport: 34, Payload: 42, IPLength: 56}),
	},
	{
		name: "icmp_one_byte_short",
		frame: ether4 + `4500 001b 0000 0000 40 01` + ends4 + `
			0800 0000 000100`,
		want: in4(packet.Header{Protocol: packet.ProtocolICMP, Payload: 34, IPLength: 27, Anomaly: packet.ICMPShort}),
	},
	{
		name: "icmpv6_neighbour_solicitation",
		frame: `3333ff000002 02000000000a 86dd
			60000000 0020 3a ff` + ends6 + `
			87 00 0000 00000000 20010db8000000000000000000000002 0101 02000000000a`,
		want: packet.Header{EtherType: 0x86dd, Version: 6, Src: a6, Dst: b6, Protocol: packet.ProtocolICMPv6, ICMPType: 135,
			Network: 14, Transport: 54, Payload: 62, IPLength: 72},
	},
	{
		name: "sctp_init",
		frame: ether4 + `4500 0034 0000 4000 40 84` + ends4 + `
			0bb8 0bb9 00000000 00000000
			0100 0014 00000001 0000ffff 0001 0001 00000001`,
		want: in4(packet.Header{Protocol: packet.ProtocolSCTP, SrcPort: 3000, DstPort: 3001,
			Transport: 34, Payload: 46, IPLength: 52}),
	},
	{
		name: "sctp_one_byte_short",
		frame: ether4 + `4500 001f 0000 4000 40 84` + ends4 + `
			0bb8 0bb9 00000000 000000`,
		want: in4(packet.Header{Protocol: packet.ProtocolSCTP, Payload: 34, IPLength: 31, Anomaly: packet.SCTPShort}),
	},
}
