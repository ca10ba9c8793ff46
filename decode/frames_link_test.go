package decode_test

import "github.com/periscope-collector/periscope/packet"

var linkFrames = []fixture{
	{
		name: "empty",
		want: packet.Header{Anomaly: packet.EthernetShort},
	},
	{
		name: "ethernet_one_byte_short",
		frame: `02000000000b 02000000000a // MAC addresses
			08                        // EtherType, cut`,
		want: packet.Header{Anomaly: packet.EthernetShort},
	},
	{
		name: "ethernet_nothing_behind",
		frame: `02000000000b 02000000000a
			0800                      // IPv4`,
		want: packet.Header{EtherType: 0x0800, Payload: 14, Anomaly: packet.IPv4Short},
	},
	{
		name: "ethernet_802.3_length",
		frame: `0180c2000000 02000000000a
			0026                      // a length, not a type
			424203 0000000000         // LLC, spanning tree`,
		want: packet.Header{EtherType: 0x26, Payload: 14, Anomaly: packet.UnknownEtherType},
	},
	{
		name: "ethernet_lldp",
		frame: `0180c200000e 02000000000a
			88cc 0207 0402000000000a`,
		want: packet.Header{EtherType: 0x88cc, Payload: 14, Anomaly: packet.UnknownEtherType},
	},
	{
		name: "vlan_priority_is_not_identifier",
		frame: `02000000000b 02000000000a
			8100 f064                 // priority 7, drop eligible, VLAN 100
			0800
			4500 001c 0001 0000 4011 0000 0a000001 0a000002
			3039 0035 0008 0000       // UDP 12345 > 53`,
		want: packet.Header{EtherType: 0x0800, VLAN: [2]uint16{100}, VLANs: 1,
			Version: 4, Src: a4, Dst: b4, Protocol: packet.ProtocolUDP, SrcPort: 12345, DstPort: 53,
			FragmentID: 1, Network: 18, Transport: 38, Payload: 46, IPLength: 28},
	},
	{
		name: "vlan_802.1ad_outer",
		frame: `02000000000b 02000000000a
			88a8 0fff                 // VLAN 4095
			8100 0000                 // VLAN 0
			86dd
			60000000 0008 11 40 20010db8000000000000000000000001 20010db8000000000000000000000002
			3039 0035 0008 0000`,
		want: packet.Header{EtherType: 0x86dd, VLAN: [2]uint16{4095, 0}, VLANs: 2,
			Version: 6, Src: a6, Dst: b6, Protocol: packet.ProtocolUDP, SrcPort: 12345, DstPort: 53,
			Network: 22, Transport: 62, Payload: 70, IPLength: 48},
	},
	{
		name: "vlan_0x9100_outer",
		frame: `02000000000b 02000000000a
			9100 0001 8100 0002 0800
			4500 001c 0001 0000 4001 0000 0a000001 0a000002
			0800 0000 00010001        // echo request`,
		want: packet.Header{EtherType: 0x0800, VLAN: [2]uint16{1, 2}, VLANs: 2,
			Version: 4, Src: a4, Dst: b4, Protocol: packet.ProtocolICMP, ICMPType: 8,
			FragmentID: 1, Network: 22, Transport: 42, Payload: 50, IPLength: 28},
	},
	{
		name: "vlan_three_tags",
		frame: `02000000000b 02000000000a
			8100 0001 8100 0002
			8100 0003                 // one too many
			0800
			4500 001c 0001 0000 4001 0000 0a000001 0a000002
			0800 0000 00010001`,
		want: packet.Header{EtherType: 0x8100, VLAN: [2]uint16{1, 2}, VLANs: 2, Payload: 22, Anomaly: packet.VLANDepth},
	},
	{
		name: "vlan_one_byte_short",
		frame: `02000000000b 02000000000a
			8100 0001 08`,
		want: packet.Header{Payload: 14, Anomaly: packet.VLANShort},
	},
	{
		name: "vlan_second_one_byte_short",
		frame: `02000000000b 02000000000a
			88a8 0001 8100 0002 08`,
		want: packet.Header{VLAN: [2]uint16{1}, VLANs: 1, Payload: 18, Anomaly: packet.VLANShort},
	},
	{
		name: "arp_request_padded",
		frame: `ffffffffffff 02000000000a 0806
			0001 0800 06 04 0001      // IPv4 over Ethernet, request
			02000000000a 0a000001     // sender
			000000000000 0a000002     // target
			0000000000000000000000000000`,
		want: packet.Header{EtherType: 0x0806, Src: a4, Dst: b4, Network: 14, Payload: 42},
	},
	{
		name: "arp_reply_tagged",
		frame: `02000000000a 02000000000b 8100 0064 0806
			0001 0800 06 04 0002
			02000000000b 0a000002 02000000000a 0a000001`,
		want: packet.Header{EtherType: 0x0806, VLAN: [2]uint16{100}, VLANs: 1, Src: b4, Dst: a4, Network: 18, Payload: 46},
	},
	{
		name: "arp_one_byte_short",
		frame: `ffffffffffff 02000000000a 0806
			0001 0800 06 04 0001 02000000000a 0a000001 000000000000 0a0000`,
		want: packet.Header{EtherType: 0x0806, Payload: 14, Anomaly: packet.ARPShort},
	},
	{
		name: "arp_fixed_part_one_byte_short",
		frame: `ffffffffffff 02000000000a 0806
			0001 0800 06 04 00`,
		want: packet.Header{EtherType: 0x0806, Payload: 14, Anomaly: packet.ARPShort},
	},
	{
		name: "arp_infiniband",
		frame: `ffffffffffff 02000000000a 0806
			0020 0800 14 04 0001      // 20 byte hardware addresses
			0000000000000000000000000000000000000000 0a000001
			0000000000000000000000000000000000000000 0a000002`,
		want: packet.Header{EtherType: 0x0806, Payload: 14, Anomaly: packet.ARPFormat},
	},
}
