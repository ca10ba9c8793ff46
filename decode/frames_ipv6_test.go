package decode_test

import "github.com/periscope-collector/periscope/packet"

// Ends of the IPv6 fixtures: 2001:db8::1 and 2001:db8::2.
const ends6 = ` 20010db8000000000000000000000001 20010db8000000000000000000000002 `

var ipv6Frames = []fixture{
	{
		name: "ipv6_tcp",
		frame: `02000000000b 02000000000a 86dd
			60000000                  // version 6, class, flow label
			0014 06 40                // 20 bytes of payload, TCP` + "\n" + ends6 + `
			c000 01bb 00000001 00000000 50 12 ffff 0000 0000`,
		want: packet.Header{EtherType: 0x86dd, Version: 6, Src: a6, Dst: b6, Protocol: packet.ProtocolTCP,
			SrcPort: 49152, DstPort: 443, TCPFlags: 0x12,
			Network: 14, Transport: 54, Payload: 74, IPLength: 60},
	},
	{
		name: "ipv6_one_byte_short",
		frame: `02000000000b 02000000000a 86dd
			60000000 0014 06 40 20010db8000000000000000000000001 20010db80000000000000000000000`,
		want: packet.Header{EtherType: 0x86dd, Payload: 14, Anomaly: packet.IPv6Short},
	},
	{
		name: "ipv6_version_4",
		frame: `02000000000b 02000000000a 86dd
			40000000 0014 06 40` + ends6,
		want: packet.Header{EtherType: 0x86dd, Payload: 14, Anomaly: packet.IPv6Version},
	},
	{
		name: "ipv6_udp_header_in_padding",
		frame: `02000000000b 02000000000a 86dd
			60000000 0007 11 40` + ends6 + `
			3039 0035 0008 0000`,
		want: packet.Header{EtherType: 0x86dd, Version: 6, Src: a6, Dst: b6, Protocol: packet.ProtocolUDP,
			Network: 14, Payload: 54, IPLength: 47, Anomaly: packet.UDPShort},
	},
	{
		name: "ipv6_payload_length_0_offloaded",
		frame: `02000000000b 02000000000a 86dd
			60000000 0000 06 40` + ends6 + `
			c000 01bb 00000001 00000000 50 10 ffff 0000 0000 aabb`,
		want: packet.Header{EtherType: 0x86dd, Version: 6, Src: a6, Dst: b6, Protocol: packet.ProtocolTCP,
			SrcPort: 49152, DstPort: 443, TCPFlags: 0x10, Network: 14, Transport: 54, Payload: 74},
	},
	{
		name: "ipv6_payload_length_65535_cut",
		frame: `02000000000b 02000000000a 86dd
			60000000 ffff 11 40` + ends6 + `
			3039 0035 0000 0000`,
		want: packet.Header{EtherType: 0x86dd, Version: 6, Src: a6, Dst: b6, Protocol: packet.ProtocolUDP,
			SrcPort: 12345, DstPort: 53, Network: 14, Transport: 54, Payload: 62, IPLength: 65575},
		length: 65589,
	},
	{
		name: "ipv6_no_next_header",
		frame: `02000000000b 02000000000a 86dd
			60000000 0000 3b 40` + ends6 + `
			aabbccdd                  // padding`,
		want: packet.Header{EtherType: 0x86dd, Version: 6, Src: a6, Dst: b6, Protocol: 59,
			Network: 14, Payload: 54, IPLength: 40},
	},
	{
		name: "ipv6_jumbogram",
		frame: `02000000000b 02000000000a 86dd
			60000000 0000 00 40` + ends6 + `
			11 00 c2 04 00011170      // hop by hop: jumbo payload of 70000 bytes
			3039 0035 0000 0000`,
		want: packet.Header{EtherType: 0x86dd, Version: 6, Src: a6, Dst: b6, Protocol: packet.ProtocolUDP,
			SrcPort: 12345, DstPort: 53, Network: 14, Transport: 62, Payload: 70},
	},
	{
		name: "ipv6_multicast_report",
		frame: `3333000000ff 02000000000a 86dd
			60000000 0010 00 01` + ends6 + `
			3a 00 05 02 0000 01 00    // hop by hop: router alert
			8f 00 0000 00000000       // ICMPv6 143`,
		want: packet.Header{EtherType: 0x86dd, Version: 6, Src: a6, Dst: b6, Protocol: packet.ProtocolICMPv6, ICMPType: 143,
			Network: 14, Transport: 62, Payload: 70, IPLength: 56},
	},
	{
		name: "ipv6_every_extension",
		frame: `02000000000b 02000000000a 86dd
			60000000 0040 00 40` + ends6 + `
			3c 00 010400000000        // hop by hop
			2b 01 0104000000000104000000000000 // destination, 16 bytes
			33 00 0000 00000000       // routing, no segments left
			2c 02 0000 00000100 00000001 00000000 // authentication, 16 bytes
			11 00 0000 0000cafe       // fragment, the only one
			3039 0035 0008 0000`,
		want: packet.Header{EtherType: 0x86dd, Version: 6, Src: a6, Dst: b6, Protocol: packet.ProtocolUDP,
			SrcPort: 12345, DstPort: 53, FragmentID: 0xcafe,
			Network: 14, Transport: 110, Payload: 118, IPLength: 104},
	},
	{
		name: "ipv6_8_extensions",
		frame: `02000000000b 02000000000a 86dd
			60000000 0048 3c 40` + ends6 + `
			3c00010400000000 3c00010400000000 3c00010400000000 3c00010400000000
			3c00010400000000 3c00010400000000 3c00010400000000 1100010400000000
			3039 0035 0008 0000`,
		want: packet.Header{EtherType: 0x86dd, Version: 6, Src: a6, Dst: b6, Protocol: packet.ProtocolUDP,
			SrcPort: 12345, DstPort: 53, Network: 14, Transport: 118, Payload: 126, IPLength: 112},
	},
	{
		name: "ipv6_9_extensions",
		frame: `02000000000b 02000000000a 86dd
			60000000 0050 3c 40` + ends6 + `
			3c00010400000000 3c00010400000000 3c00010400000000 3c00010400000000
			3c00010400000000 3c00010400000000 3c00010400000000 3c00010400000000
			1100010400000000 3039 0035 0008 0000`,
		want: packet.Header{EtherType: 0x86dd, Version: 6, Src: a6, Dst: b6, Protocol: 60,
			Network: 14, Payload: 118, IPLength: 120, Anomaly: packet.IPv6Extension},
	},
	{
		name: "ipv6_extension_one_byte_short",
		frame: `02000000000b 02000000000a 86dd
			60000000 0010 00 40` + ends6 + `
			3a 01 05 02 0000 01 00 010400000000 00`,
		want: packet.Header{EtherType: 0x86dd, Version: 6, Src: a6, Dst: b6, Protocol: 0,
			Network: 14, Payload: 54, IPLength: 56, Anomaly: packet.IPv6Extension},
		length: 70,
	},
	{
		name: "ipv6_extension_in_padding",
		frame: `02000000000b 02000000000a 86dd
			60000000 000f 3c 40` + ends6 + `
			3c 00 010400000000 11 00 010400000000`,
		want: packet.Header{EtherType: 0x86dd, Version: 6, Src: a6, Dst: b6, Protocol: 60,
			Network: 14, Payload: 62, IPLength: 55, Anomaly: packet.IPv6Extension},
	},
	{
		name: "ipv6_first_fragment",
		frame: `02000000000b 02000000000a 86dd
			60000000 0018 2c 40` + ends6 + `
			11 00 0001 deadbeef       // more fragments, offset 0
			3039 0035 0100 0000 0102030405060708`,
		want: packet.Header{EtherType: 0x86dd, Version: 6, Src: a6, Dst: b6, Protocol: packet.ProtocolUDP,
			SrcPort: 12345, DstPort: 53, MoreFragments: true, FragmentID: 0xdeadbeef,
			Network: 14, Transport: 62, Payload: 70, IPLength: 64},
	},
	{
		name: "ipv6_last_fragment",
		frame: `02000000000b 02000000000a 86dd
			60000000 0010 2c 40` + ends6 + `
			3c 00 000e deadbeef       // offset 8; the reserved bits are not part of it
			1100010400000000          // not a destination header`,
		want: packet.Header{EtherType: 0x86dd, Version: 6, Src: a6, Dst: b6, Protocol: 60,
			FragmentOffset: 8, FragmentID: 0xdeadbeef,
			Network: 14, Payload: 62, IPLength: 56},
	},
	{
		name: "ipv6_second_fragment_header",
		frame: `02000000000b 02000000000a 86dd
			60000000 0018 2c 40` + ends6 + `
			2c 00 0001 deadbeef
			11 00 0000 00000000       // would hide the first
			3039 0035 0008 0000`,
		want: packet.Header{EtherType: 0x86dd, Version: 6, Src: a6, Dst: b6, Protocol: 44,
			MoreFragments: true, FragmentID: 0xdeadbeef,
			Network: 14, Payload: 62, IPLength: 64, Anomaly: packet.IPv6Extension},
	},
	{
		name: "ipv6_esp_is_not_read",
		frame: `02000000000b 02000000000a 86dd
			60000000 0008 32 40` + ends6 + `
			00000001 00000001`,
		want: packet.Header{EtherType: 0x86dd, Version: 6, Src: a6, Dst: b6, Protocol: 50,
			Network: 14, Payload: 54, IPLength: 48, Anomaly: packet.UnknownProtocol},
	},
}
