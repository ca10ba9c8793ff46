package splunk_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"

	"github.com/periscope-collector/periscope/packet"
)

// flows makes flow records of web services: 64 of them, with clients inside and
// outside, most of them short connections, the rest DNS.
type flows struct {
	random   *rand.Rand
	sessions []*packet.Session
	flow     packet.Flow
}

// A who says how much is known of the sessions.
type who int

const (
	unknownSession who = iota
	instance
	task
)

func newFlows(who who) *flows {
	f := &flows{random: rand.New(rand.NewPCG(1, 2))}
	for i := range 64 {
		vni := uint32(1000 + i)
		if who == unknownSession {
			f.sessions = append(f.sessions, &packet.Session{Name: fmt.Sprintf("vni-%d", vni), VNI: vni})
			continue
		}
		w := packet.Workload{
			InterfaceID: fmt.Sprintf("eni-%017x", f.random.Uint64()>>4), AccountID: "111122223333", Region: "eu-central-1",
			AZID: "euc1-az2", VPCID: "vpc-0a1b2c3d4e5f60718", SubnetID: "subnet-0a1b2c3d4e5f60718",
			InstanceID: fmt.Sprintf("i-%017x", f.random.Uint64()>>4),
			SessionID:  fmt.Sprintf("tms-%017x", f.random.Uint64()>>4), TargetID: "tmt-0a1b2c3d4e5f60718",
		}
		if who == task {
			const arn = "arn:aws:ecs:eu-central-1:111122223333:"
			w.InstanceID = ""
			w.Cluster, w.Service = "production", fmt.Sprintf("checkout-api-%d", i/8)
			w.ClusterARN = arn + "cluster/production"
			w.TaskARN = fmt.Sprintf("%stask/production/%016x%016x", arn, f.random.Uint64(), f.random.Uint64())
			w.TaskDefinitionARN = fmt.Sprintf("%stask-definition/checkout-api:%d", arn, i)
			w.ContainerIDs = []string{fmt.Sprintf("%016x%016x-%010d", f.random.Uint64(), f.random.Uint64(), f.random.Uint32())}
		}
		f.sessions = append(f.sessions, &packet.Session{Name: fmt.Sprintf("checkout-api-%d", i), Known: true, VNI: vni, Workload: w})
	}
	return f
}

// next returns a record, valid until the next call.
func (f *flows) next() *packet.Flow {
	r := f.random
	i := r.IntN(len(f.sessions))
	host := netip.AddrFrom4([4]byte{10, 0, 3, byte(i)})
	begin := int64(1768471200e9) + r.Int64N(60e9)
	f.flow = packet.Flow{
		Session: f.sessions[i], Source: packet.AddrFrom(host), Begin: 1768471200e9, End: 1768471260e9, Reason: packet.FlowClosed,
	}
	client := netip.AddrFrom4([4]byte{10, 0, byte(r.IntN(4)), byte(r.IntN(250))})
	if r.IntN(3) == 0 {
		client = netip.AddrFrom4([4]byte{byte(11 + r.IntN(200)), byte(r.Uint32()), byte(r.Uint32()), byte(r.Uint32())})
	}
	f.flow.Addr = [2]packet.Addr{packet.AddrFrom(client), packet.AddrFrom(host)}
	f.flow.Port = [2]uint16{uint16(32768 + r.IntN(28000)), 8443}
	f.flow.Protocol = packet.ProtocolTCP
	packets, length := 4+uint64(r.ExpFloat64()*12), 60+r.Uint64N(900)
	flags := uint8(0x1b) // FIN, SYN, PSH, ACK
	if r.IntN(4) == 0 {
		f.flow.Addr = [2]packet.Addr{packet.AddrFrom(host), packet.AddrFrom(netip.MustParseAddr("10.0.0.2"))}
		f.flow.Port[1], f.flow.Protocol, packets, length, flags = 53, packet.ProtocolUDP, 1, 60+r.Uint64N(30), 0
	} else {
		f.flow.ServerRTT, f.flow.ClientRTT = r.Int64N(2e6), r.Int64N(80e6)
	}
	for side := range f.flow.Side {
		first := begin + r.Int64N(1e6)
		f.flow.Side[side] = packet.FlowSide{
			Packets: packets, Bytes: packets * length, First: first, Last: first + r.Int64N(5e9),
			Direction: packet.Ingress, TCPFlags: flags,
		}
		packets, length = packets+r.Uint64N(3), length+r.Uint64N(500)
	}
	return &f.flow
}
