// Package sample makes records of flows, for tests that compare what is sent
// with what arrives: flow i is the same each time and differs from every other in
// its ends, times and counts. Functions may be called at once.
package sample

import (
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/periscope-collector/periscope/packet"
)

// Session returns a mirror session that knows all there is to know of its
// workload, with names that JSON has to escape.
func Session() *packet.Session {
	return &packet.Session{
		ID: 1, Name: "shop/web \"blue\" <é>\u2028", Known: true, VNI: 4711,
		MAC: [6]byte{2, 0, 0, 0, 0, 1}, Addresses: []packet.Addr{inside(0)},
		Workload: packet.Workload{
			InterfaceID: "eni-0123456789abcdef0", AccountID: "111122223333", Region: "eu-central-1", AZID: "euc1-az2",
			VPCID: "vpc-0123456789abcdef0", SubnetID: "subnet-0123456789abcdef0", InstanceID: "i-0123456789abcdef0",
			SessionID: "tms-0123456789abcdef0", TargetID: "tmt-0123456789abcdef0",
			Cluster: "prod", ClusterARN: "arn:aws:ecs:eu-central-1:111122223333:cluster/prod", Service: "web",
			TaskARN:           "arn:aws:ecs:eu-central-1:111122223333:task/prod/0123456789abcdef0123456789abcdef",
			TaskDefinitionARN: "arn:aws:ecs:eu-central-1:111122223333:task-definition/web:7",
		},
	}
}

// Flow returns flow i of the session, 0 <= i < 1<<24, 1.001 ms before flow
// i+1: TCP, both ways, closed; times in microseconds, as Flow has them.
func Flow(s *packet.Session, i int) packet.Flow {
	start := time.Date(2026, 3, 1, 12, 0, 0, 123456000, time.UTC).UnixNano() + int64(i)*1_001_000
	end := start + 250_007_000
	n := uint64(i)
	return packet.Flow{
		Session: s, Source: inside(0), Begin: start, End: start + int64(time.Minute),
		Addr: [2]packet.Addr{inside(i), outside(i)}, Port: [2]uint16{uint16(32768 + i%28000), 443}, Protocol: packet.ProtocolTCP,
		Reason: packet.FlowClosed,
		Side: [2]packet.FlowSide{
			{Packets: 10 + n, Bytes: 1500 + 40*n, FrameBytes: 1640 + 54*n, First: start, Last: end,
				Direction: packet.Egress, TCPFlags: 0x1b},
			{Packets: 12 + n, Bytes: 15_000 + 1460*n, FrameBytes: 15_168 + 1474*n, First: start + 1_500_000, Last: end - 1000,
				Direction: packet.Ingress, TCPFlags: 0x1b, SYNACK: true},
		},
		ServerRTT: 1_500_000, ClientRTT: 210_000,
	}
}

// inside and outside return address i of the workload and of who it talks to.
func inside(i int) packet.Addr  { return v4(0x0a000001 + uint32(i)%250) }
func outside(i int) packet.Addr { return v4(0x0b000000 + uint32(i)) }

func v4(n uint32) packet.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], n)
	return packet.AddrFrom4(b)
}

// Number returns which flow it is that has its other end at a.
func Number(a netip.Addr) int {
	b := a.As4()
	return int(binary.BigEndian.Uint32(b[:]) - 0x0b000000)
}
