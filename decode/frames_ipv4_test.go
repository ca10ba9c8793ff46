package decode_test

import "github.com/periscope-collector/periscope/packet"

var ipv4Frames = []fixture{
	{
		name: "ipv4_tcp",
		frame: `02000000000b 02000000000a 0800
			45 00 0028                // version 4, 20 bytes of header, 40 in all
			1234 4000                 // identification, do not fragment
			40 06 0000                // TCP
			0a000001 0a000002
			c000 01bb 00000001 00000000
			50 02 ffff 0000 0000      // 20 bytes of header, SYN`,
		want: packet.Header{EtherType: 0x0800, Version: 4, Src: a4, Dst: b4, Protocol: packet.ProtocolTCP,
			SrcPort: 49152, DstPort: 443, TCPFlags: 0x02, FragmentID: 0x1234,
			Network: 14, Transport: 34, Payload: 54, IPLength: 40},
	},
	{
		name: "ipv4_options",
		frame: `02000000000b 02000000000a 0800
			4f 00 0044 0001 0000 40 11 0000 0a000001 0a000002
			01010101010101010101010101010101010101010101010101010101010101010101010101010101
			3039 0035 0008 0000`,
		want: packet.Header{EtherType: 0x0800, Version: 4, Src: a4, Dst: b4, Protocol: packet.ProtocolUDP,
			SrcPort: 12345, DstPort: 53, FragmentID: 1,
			Network: 14, Transport: 74, Payload: 82, IPLength: 68},
	},
	{
		name: "ipv4_options_one_byte_short",
		frame: `02000000000b 02000000000a 0800
			46 00 0020 0001 0000 40 11 0000 0a000001 0a000002 010101`,
		want: packet.Header{EtherType: 0x0800, Version: 4, Src: a4, Dst: b4, Protocol: packet.ProtocolUDP,
			FragmentID: 1, Network: 14, Payload: 37, IPLength: 32, Anomaly: packet.IPv4Short},
		length: 46,
	},
	{
		name: "ipv4_one_byte_short",
		frame: `02000000000b 02000000000a 0800
			45 00 0028 1234 4000 40 06 0000 0a000001 0a0000`,
		want: packet.Header{EtherType: 0x0800, Payload: 14, Anomaly: packet.IPv4Short},
	},
	{
		name: "ipv4_version_6",
		frame: `02000000000b 02000000000a 0800
			65 00 0014 1234 4000 40 06 0000 0a000001 0a000002`,
		want: packet.Header{EtherType: 0x0800, Payload: 14, Anomaly: packet.IPv4Version},
	},
	{
		name: "ipv4_header_of_16_bytes",
		frame: `02000000000b 02000000000a 0800
			44 00 0014 1234 4000 40 06 0000 0a000001 0a000002`,
		want: packet.Header{EtherType: 0x0800, Payload: 14, Anomaly: packet.IPv4HeaderLength},
	},
	{
		name: "ipv4_total_length_0_offloaded",
		frame: `02000000000b 02000000000a 0800
			45 00 0000 0001 4000 40 06 0000 0a000001 0a000002
			c000 01bb 00000001 00000000 50 10 ffff 0000 0000 aabbcc`,
		want: packet.Header{EtherType: 0x0800, Version: 4, Src: a4, Dst: b4, Protocol: packet.ProtocolTCP,
			SrcPort: 49152, DstPort: 443, TCPFlags: 0x10, FragmentID: 1,
			Network: 14, Transport: 34, Payload: 54},
	},
	{
		name: "ipv4_total_length_below_options",
		frame: `02000000000b 02000000000a 0800
			46 00 0017 0001 0000 40 11 0000 0a000001 0a000002 01010101
			3039 0035 0008 0000`,
		want: packet.Header{EtherType: 0x0800, Version: 4, Src: a4, Dst: b4, Protocol: packet.ProtocolUDP,
			FragmentID: 1, Network: 14, Payload: 38, IPLength: 23, Anomaly: packet.IPv4TotalLength},
	},
	{
		name: "ipv4_nothing_in_it",
		frame: `02000000000b 02000000000a 0800
			45 00 0014 0001 0000 40 11 0000 0a000001 0a000002
			0000 0000 0000 0000       // padding`,
		want: packet.Header{EtherType: 0x0800, Version: 4, Src: a4, Dst: b4, Protocol: packet.ProtocolUDP,
			FragmentID: 1, Network: 14, Payload: 34, IPLength: 20, Anomaly: packet.UDPShort},
	},
	{
		name: "ipv4_padded_to_60_bytes",
		frame: `02000000000b 02000000000a 0800
			45 00 0028 1234 4000 40 06 0000 0a000001 0a000002
			c000 01bb 00000001 00000000 50 04 ffff 0000 0000
			000000000000              // padding`,
		want: packet.Header{EtherType: 0x0800, Version: 4, Src: a4, Dst: b4, Protocol: packet.ProtocolTCP,
			SrcPort: 49152, DstPort: 443, TCPFlags: 0x04, FragmentID: 0x1234,
			Network: 14, Transport: 34, Payload: 54, IPLength: 40},
	},
	{
		name: "ipv4_tcp_header_in_padding",
		frame: `02000000000b 02000000000a 0800
			45 00 0027 1234 4000 40 06 0000 0a000001 0a000002 // 39 bytes in all
			c000 01bb 00000001 00000000 50 04 ffff 0000 0000 000000000000`,
		want: packet.Header{EtherType: 0x0800, Version: 4, Src: a4, Dst: b4, Protocol: packet.ProtocolTCP,
			FragmentID: 0x1234, Network: 14, Payload: 34, IPLength: 39, Anomaly: packet.TCPShort},
	},
	{
		name: "ipv4_cut_by_snap_length",
		frame: `02000000000b 02000000000a 0800
			45 00 05dc 0001 4000 40 06 0000 0a000001 0a000002 // 1500 bytes in all
			c000 01bb 00000001 00000000 50 18 ffff 0000 0000 aabbccdd`,
		want: packet.Header{EtherType: 0x0800, Version: 4, Src: a4, Dst: b4, Protocol: packet.ProtocolTCP,
			SrcPort: 49152, DstPort: 443, TCPFlags: 0x18, FragmentID: 1,
			Network: 14, Transport: 34, Payload: 54, IPLength: 1500},
		length: 1514,
	},
	{
		name: "ipv4_first_fragment",
		frame: `02000000000b 02000000000a 0800
			45 00 0024 beef 2000      // more fragments, offset 0
			40 11 0000 0a000001 0a000002
			3039 0035 0100 0000 0102030405060708`,
		want: packet.Header{EtherType: 0x0800, Version: 4, Src: a4, Dst: b4, Protocol: packet.ProtocolUDP,
			SrcPort: 12345, DstPort: 53, MoreFragments: true, FragmentID: 0xbeef,
			Network: 14, Transport: 34, Payload: 42, IPLength: 36},
	},
	{
		name: "ipv4_tiny_first_fragment",
		frame: `02000000000b 02000000000a 0800
			45 00 001c beef 2000 40 06 0000 0a000001 0a000002
			c000 01bb 00000001        // the flags come with the next fragment`,
		want: packet.Header{EtherType: 0x0800, Version: 4, Src: a4, Dst: b4, Protocol: packet.ProtocolTCP,
			MoreFragments: true, FragmentID: 0xbeef,
			Network: 14, Payload: 34, IPLength: 28, Anomaly: packet.TCPShort},
	},
	{
		name: "ipv4_second_fragment",
		frame: `02000000000b 02000000000a 0800
			45 00 001c beef 2001      // more fragments, offset 8
			40 06 0000 0a000001 0a000002
			00000000 50 02 ffff       // not a TCP header`,
		want: packet.Header{EtherType: 0x0800, Version: 4, Src: a4, Dst: b4, Protocol: packet.ProtocolTCP,
			MoreFragments: true, FragmentOffset: 8, FragmentID: 0xbeef,
			Network: 14, Payload: 34, IPLength: 28},
	},
	{
		name: "ipv4_last_fragment_at_65528",
		frame: `02000000000b 02000000000a 0800
			45 00 001b beef 1fff 40 01 0000 0a000001 0a000002 01020304050607`,
		want: packet.Header{EtherType: 0x0800, Version: 4, Src: a4, Dst: b4, Protocol: packet.ProtocolICMP,
			FragmentOffset: 65528, FragmentID: 0xbeef,
			Network: 14, Payload: 34, IPLength: 27},
	},
	{
		name: "ipv4_reserved_flag_is_not_offset",
		frame: `02000000000b 02000000000a 0800
			45 00 001c 0000 c000 40 11 0000 0a000001 0a000002
			3039 0035 0008 0000`,
		want: packet.Header{EtherType: 0x0800, Version: 4, Src: a4, Dst: b4, Protocol: packet.ProtocolUDP,
			SrcPort: 12345, DstPort: 53, Network: 14, Transport: 34, Payload: 42, IPLength: 28},
	},
	{
		name: "ipv4_gre_is_not_read",
		frame: `02000000000b 02000000000a 0800
			45 00 0018 0000 0000 40 2f 0000 0a000001 0a000002 00000800`,
		want: packet.Header{EtherType: 0x0800, Version: 4, Src: a4, Dst: b4, Protocol: 47,
			Network: 14, Payload: 34, IPLength: 24, Anomaly: packet.UnknownProtocol},
	},
}
