package record_test

import (
	"net/netip"

	"github.com/periscope-collector/periscope/packet"
)

func addr(s string) packet.Addr { return packet.AddrFrom(netip.MustParseAddr(s)) }

// TCP flags.
const (
	fin = 1 << iota
	syn
	rst
	psh
	ack
	urg
	ece
	cwr
)

// minute is the interval of the flows below: 2026-01-15 10:00:00 UTC, in ns.
const minute = 1768471200e9

// web returns a flow of an HTTPS client behind the session of a Fargate task.
func web() *packet.Flow {
	return &packet.Flow{
		Session: &packet.Session{
			ID: 1, Name: "fargate", Known: true, VNI: 1001,
			Addresses: []packet.Addr{addr("10.0.1.163")},
			Workload: packet.Workload{
				InterfaceID: "eni-0a1b2c3d4e5f60718", AccountID: "111122223333", Region: "eu-central-1",
				AZID: "euc1-az2", VPCID: "vpc-1", SubnetID: "subnet-1", SessionID: "tms-1", TargetID: "tmt-1",
				VPCCIDRs: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/16"), netip.MustParsePrefix("2001:db8:a::/56")},
				Service:  "web",
				TaskARN:  "arn:aws:ecs:eu-central-1:111122223333:task/prod/0123456789abcdef0123456789abcdef",
				Cluster:  "prod",
			},
		},
		Source:   addr("10.0.1.163"),
		Begin:    minute,
		End:      minute + 60e9,
		Addr:     [2]packet.Addr{addr("10.0.1.163"), addr("203.0.113.9")},
		Port:     [2]uint16{44321, 443},
		Protocol: packet.ProtocolTCP,
		Reason:   packet.FlowClosed,
		Side: [2]packet.FlowSide{
			{Packets: 12, Bytes: 2384, FrameBytes: 2552, First: minute + 250_000, Last: minute + 58e9 + 999_999_000,
				Direction: packet.Egress, TCPFlags: fin | syn | psh | ack},
			{Packets: 10, Bytes: 9000, FrameBytes: 9140, First: minute + 1e6, Last: minute + 57e9,
				Direction: packet.Ingress, TCPFlags: fin | syn | psh | ack, SYNACK: true, Retransmitted: 1, OutOfOrder: 2, Lost: 1448},
		},
		ServerRTT: 1_500_000,
		ClientRTT: 80_000,
	}
}
