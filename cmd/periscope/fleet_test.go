package main

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"golang.org/x/net/ipv4"

	"github.com/periscope-collector/periscope/bench/traffic"
	"github.com/periscope-collector/periscope/internal/awsfake"
)

// A fleet is of interfaces that AWS mirrors, as it says, and that send what the
// test has them send.
type fleet struct {
	t    testing.TB
	aws  *awsfake.Server
	from *ipv4.PacketConn // any address of loopback
	to   net.Addr

	mu    sync.Mutex
	all   []*mirrored // by number
	live  []*mirrored // by place, nil for nobody
	ended []*mirrored // that send no more, and AWS does not know yet
	sent  int
}

// A mirrored is an interface with a session. Each of its frames says its number,
// and has a port that is its own.
type mirrored struct {
	number, place   int
	name, stranger  string // of its session, once AWS is asked and before
	vni             uint32
	address         netip.Addr
	mac             net.HardwareAddr
	port            uint16
	iface, instance string
	task            string // its ARN; "" for an instance's
	sent            int
}

// What numbers there may be, so that each has its port.
const (
	firstPort  = 1024
	maxNumbers = 1<<16 - firstPort
)

// newFleet returns a fleet of an AWS of its own, with nobody in it.
func newFleet(t testing.TB) *fleet {
	f := &fleet{t: t, aws: awsfake.Start(t)}
	f.aws.Change(func(s *awsfake.State) {
		r := s.Region(awsfake.HomeAccount, awsfake.HomeRegion)
		r.VPCs = map[string]*awsfake.VPC{"vpc-1": {ID: "vpc-1", OwnerID: awsfake.HomeAccount, State: "available", CIDR: "127.0.0.0/8"}}
		r.Subnets = map[string]*awsfake.Subnet{"subnet-1": {ID: "subnet-1", VPCID: "vpc-1", OwnerID: awsfake.HomeAccount, State: "available", CIDR: "127.0.0.0/8"}}
	})
	conn, err := net.ListenPacket("udp4", ":0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	f.from = ipv4.NewPacketConn(conn)
	return f
}

// run starts who has an address and a VNI, that others may have had: of ten one
// is a task, and nine are instances.
func (f *fleet) run(place int) *mirrored {
	f.t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	m := &mirrored{
		number: len(f.all), place: place, port: firstPort + uint16(len(f.all)),
		vni: uint32(1000 + place%500), address: netip.AddrFrom4([4]byte{127, byte(1 + place>>16), byte(place >> 8), byte(place)}),
	}
	m.stranger = fmt.Sprintf("vni-%d-%s", m.vni, m.address)
	if m.number >= maxNumbers {
		f.t.Fatalf("%d is one more than there are ports", m.number)
	}
	var mac string
	if m.number%10 == 0 {
		task, err := f.aws.RunTask(awsfake.Run{
			Account: awsfake.HomeAccount, Region: awsfake.HomeRegion, Address: m.address, Service: fmt.Sprintf("service-%d", m.number/10%20),
		})
		if err != nil {
			f.t.Fatal(err)
		}
		m.task, m.iface = task.ARN, task.Interface()
		for _, d := range task.Attachments[0].Details {
			if d.Name == "macAddress" {
				mac = d.Value
			}
		}
		id := task.ARN[strings.LastIndexByte(task.ARN, '/')+1:]
		m.name = strings.TrimPrefix(task.Group, "service:") + "-" + id[:8]
	} else {
		m.name = fmt.Sprintf("host-%d", m.number)
		instance, face, err := f.aws.RunInstance(awsfake.HomeAccount, awsfake.HomeRegion, m.name, m.address)
		if err != nil {
			f.t.Fatal(err)
		}
		m.instance, m.iface, mac = instance.ID, face.ID, face.MAC
	}
	var err error
	if m.mac, err = net.ParseMAC(mac); err != nil {
		f.t.Fatal(err)
	}
	if _, err := f.aws.Mirror(awsfake.HomeAccount, awsfake.HomeRegion, m.iface, m.vni); err != nil {
		f.t.Fatal(err)
	}
	for len(f.live) <= place {
		f.live = append(f.live, nil)
	}
	f.all, f.live[place] = append(f.all, m), m
	return m
}

// end has who is at a place send no more.
func (f *fleet) end(place int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ended = append(f.ended, f.live[place])
	f.live[place] = nil
}

// stop has AWS know of those that ended, and returns them.
func (f *fleet) stop() (stopped []*mirrored) {
	f.t.Helper()
	f.mu.Lock()
	stopped, f.ended = f.ended, nil
	f.mu.Unlock()
	for _, m := range stopped {
		if m.task == "" {
			f.aws.DeleteInterface(awsfake.HomeAccount, awsfake.HomeRegion, m.iface)
		} else if _, err := f.aws.StopTask(m.task); err != nil {
			f.t.Fatal(err)
		}
	}
	return stopped
}

// send sends frames of one interface, in turn by it and to it.
func (f *fleet) send(m *mirrored, frames int) {
	f.t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	for range frames {
		if _, err := f.from.WriteTo(vxlan(m.vni, m.frame(f.t)), &ipv4.ControlMessage{Src: m.address.AsSlice()}, f.to); err != nil {
			f.t.Error(err)
			return
		}
		m.sent++
		f.sent++
	}
}

// frame is the next one, with the interface's number and its own as sequence
// number.
func (m *mirrored) frame(t testing.TB) []byte {
	eth := layers.Ethernet{SrcMAC: m.mac, DstMAC: net.HardwareAddr{2, 0, 0, 0, 0, 1}, EthernetType: layers.EthernetTypeIPv4}
	ip := layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolUDP, SrcIP: m.address.AsSlice(), DstIP: net.IP{198, 18, 0, 1}}
	udp := layers.UDP{SrcPort: layers.UDPPort(m.port), DstPort: 7}
	if m.sent%2 == 1 {
		eth.SrcMAC, eth.DstMAC = eth.DstMAC, eth.SrcMAC
		ip.SrcIP, ip.DstIP = ip.DstIP, ip.SrcIP
		udp.SrcPort, udp.DstPort = udp.DstPort, udp.SrcPort
	}
	if err := udp.SetNetworkLayerForChecksum(&ip); err != nil {
		t.Fatal(err)
	}
	b := gopacket.NewSerializeBuffer()
	payload := binary.BigEndian.AppendUint64([]byte("PS"), uint64(m.number)<<32|uint64(m.sent))
	err := gopacket.SerializeLayers(b, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, &eth, &ip, &udp, gopacket.Payload(payload))
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// load has those that live send so many frames every 10 ms, in turn, until stop
// is called.
func (f *fleet) load(frames int) (stop func()) {
	end, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for next := 0; ; {
			select {
			case <-tick.C:
			case <-end:
				return
			}
			for range frames {
				f.mu.Lock()
				m := f.live[next%len(f.live)]
				f.mu.Unlock()
				if next++; m != nil {
					f.send(m, 1)
				}
			}
		}
	}()
	stop = sync.OnceFunc(func() {
		close(end)
		<-done
	})
	f.t.Cleanup(stop)
	return stop
}

// checkFiles checks that each frame of everybody is in capture files of the
// session's name, once.
func (f *fleet) checkFiles(files []captureFile) {
	f.t.Helper()
	noPartial(f.t, files)
	once(f.t, sequences(f.t, files), 0, 0)
	frames := make([]int, len(f.all))
	for _, file := range files {
		for _, r := range file.records {
			n, _ := traffic.Sequence(r.data)
			m := f.all[n>>32]
			if frames[m.number]++; file.session != m.name {
				f.t.Fatalf("%s has a frame of %s, which was %s", file.path, m.name, m.stranger)
			}
		}
	}
	for _, m := range f.all {
		if frames[m.number] != m.sent {
			f.t.Fatalf("%s sent %d frames, %d are in files", m.name, m.sent, frames[m.number])
		}
	}
}

// checkFlows checks that each frame of everybody is in flow records of its
// session, and returns how many of those were written before AWS told whose they
// are.
func (f *fleet) checkFlows(dir string) (records, before int) {
	f.t.Helper()
	packets := make([]uint64, len(f.all))
	readFlows(f.t, dir, func(r flowRecord) {
		if r.Status != "" {
			return // says that there was nothing
		}
		port := max(r.InitiatorPort, r.ResponderPort)
		if port < firstPort || int(port-firstPort) >= len(f.all) {
			f.t.Fatalf("nobody sent %+v", r)
		}
		m := f.all[port-firstPort]
		packets[m.number] += r.Packets
		records++
		switch r.Session {
		case m.name:
			if r.Interface != m.iface {
				f.t.Errorf("%+v is of interface %s", r, m.iface)
			}
		case m.stranger:
			before++
		default:
			f.t.Errorf("%+v is of %s", r, m.name)
		}
	})
	for _, m := range f.all {
		if packets[m.number] != uint64(m.sent) {
			f.t.Fatalf("%s sent %d frames, %d are in flow records", m.name, m.sent, packets[m.number])
		}
	}
	return records, before
}
