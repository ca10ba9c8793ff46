package capture

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/periscope-collector/periscope/bench/traffic"
	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/tunnel"
)

// A probe is a datagram as it is on the wire, or something else that is there,
// and what a backend should find in it. Its number is in its source address.
type probe struct {
	name    string
	kind    probeKind
	pkts    [][]byte // more than one if it is fragmented
	flow    int      // of the frame inside, or -1
	source  packet.Addr
	encap   packet.Encap
	payload []byte
}

// A probeKind is what a backend may treat in a way of its own.
type probeKind uint8

const (
	probeWhole     probeKind = iota // a datagram to a tunnel port
	probeParts                      // one in two fragments
	probeTagged                     // one of a VLAN
	probeDamaged                    // one that the IP stack of a host refuses
	probeCorrupt                    // one with a wrong UDP checksum
	probeElsewhere                  // one to another host's hardware address
	probeOther                      // what is no datagram to a tunnel port
	numProbes
)

// An outerForm is how a datagram is sent.
type outerForm struct {
	six      bool
	tags     []byte // VLAN tags
	checksum bool   // of UDP
	padding  int    // behind the packet
}

// tagForms are tags that a host takes without knowing of VLANs: they bring a
// priority and no VLAN (IEEE 802.1Q).
var tagForms = [][]byte{nil, {0x81, 0, 0x60, 0}, {0x88, 0xa8, 0xe0, 0, 0x81, 0, 0x20, 0}}

// forms goes through all combinations.
func forms(i int) outerForm {
	return outerForm{six: i&1 != 0, checksum: i&2 != 0, tags: tagForms[i/4%len(tagForms)], padding: i / 12 % 2 * 6}
}

// An assortment collects probes.
type assortment struct{ probes []probe }

// source returns the address that tells the next probe from all others.
func (in *assortment) source(six bool) netip.Addr {
	n := len(in.probes)
	if six {
		return netip.AddrFrom16([16]byte{0: 0xfd, 13: 1, 14: byte(n >> 8), 15: byte(n)})
	}
	return netip.AddrFrom4([4]byte{10, 1, byte(n >> 8), byte(n)})
}

var (
	target4 = netip.AddrFrom4([4]byte{10, 0, 0, 2})
	target6 = netip.AddrFrom16([16]byte{0: 0xfd, 15: 2})
)

// add makes a probe of a payload, and returns it to be changed.
func (in *assortment) add(name string, f outerForm, encap packet.Encap, payload []byte) *probe {
	p := probe{name: name, flow: -1, encap: encap, payload: payload}
	source, target, port := in.source(f.six), target4, uint16(tunnel.VXLANPort)
	if f.six {
		target = target6
	}
	if encap == packet.GENEVE {
		port = tunnel.GENEVEPort
	}
	p.source = packet.AddrFrom(source)
	pkt := traffic.AppendOuter(nil, netip.AddrPortFrom(source, 65408), netip.AddrPortFrom(target, port), payload)
	if f.checksum {
		setChecksum(pkt)
	}
	p.pkts = [][]byte{cat(pkt[:12], f.tags, pkt[12:], make([]byte, f.padding))}
	in.probes = append(in.probes, p)
	return &in.probes[len(in.probes)-1]
}

// tunnelled returns a frame in a tunnel.
func tunnelled(encap packet.Encap, six bool, frame []byte) []byte {
	if encap == packet.VXLAN {
		return traffic.AppendVXLAN(nil, 7, frame)
	}
	inner, target := netip.AddrFrom4([4]byte{10, 2, 0, 1}), target4
	if six {
		inner, target = netip.MustParseAddr("fd00::2:1"), target6
	}
	return traffic.AppendGENEVE(nil, tunnel.GENEVE{VNI: 1}, inner, target, 7, frame)
}

// newInput returns one of everything that is on a tunnel's wire.
func newInput() []probe {
	in := &assortment{}
	in.flows()
	in.stacks()
	in.sizes()
	in.odd()
	in.vlans()
	in.fragments()
	in.damaged()
	in.others()
	return in.probes
}

const inputFlows = 40

// flows are frames of flows in both directions. Every third one comes through
// both tunnels, as when both its ends are mirrored.
func (in *assortment) flows() {
	frames := traffic.NewFrames(traffic.FramesConfig{Flows: inputFlows})
	for i := range 10 * inputFlows {
		frame := frames.Next()
		for _, encap := range []packet.Encap{packet.VXLAN, packet.GENEVE} {
			if encap == packet.GENEVE && i%3 != 0 {
				continue
			}
			f := forms(i)
			in.add(fmt.Sprintf("frame %d", i), f, encap, tunnelled(encap, f.six, frame)).flow = i % inputFlows
		}
	}
}

// stacks are all combinations of inner headers.
func (in *assortment) stacks() {
	stacks := traffic.NewStacks(1)
	for i := range stacks.Cycle() {
		encap, f := packet.Encap(i&1), forms(i>>1)
		in.add("", f, encap, tunnelled(encap, f.six, stacks.Next())).name = stacks.Name()
	}
}

// sizes are of payloads, from none to more than is taken.
func (in *assortment) sizes() {
	for i, n := range []int{0, 1, 7, 8, 9, 17, 18, 1472, 1473, 3502, 4096, 8973, 9019, packet.MaxDatagram - 1, packet.MaxDatagram, packet.MaxDatagram + 1, 12_000} {
		for j := range 4 {
			payload := make([]byte, n)
			for k := range payload {
				payload[k] = byte(i + k)
			}
			in.add(fmt.Sprintf("%d bytes", n), forms(j), packet.Encap(j&1), payload)
		}
	}
}

// odd are datagrams that are as they should be, if seldom.
func (in *assortment) odd() {
	frame := traffic.NewFrames(traffic.FramesConfig{Size: 600}).Next()
	for _, n := range []int{14, 33, 54, 599} {
		in.add("a frame cut at the mirrored interface", outerForm{}, packet.VXLAN, tunnelled(packet.VXLAN, false, frame[:n]))
	}
	payload := tunnelled(packet.VXLAN, false, frame)

	p := in.add("bytes behind the UDP datagram", outerForm{}, packet.VXLAN, payload[:500])
	pkt := in.add("", outerForm{}, packet.VXLAN, payload).pkts[0]
	in.probes = in.probes[:len(in.probes)-1]
	copy(pkt[26:30], p.pkts[0][26:30])
	binary.BigEndian.PutUint16(pkt[38:], 508)
	seal(pkt)
	p.pkts[0] = pkt

	p = in.add("IPv4 options", outerForm{}, packet.VXLAN, payload)
	pkt = cat(p.pkts[0][:34], []byte{1, 1, 1, 0}, p.pkts[0][34:])
	pkt[14] = 0x46
	binary.BigEndian.PutUint16(pkt[16:], uint16(len(pkt)-14))
	seal(pkt)
	p.pkts[0] = pkt
}
