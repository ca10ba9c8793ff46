package pipeline

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"

	"golang.org/x/net/bpf"

	"github.com/periscope-collector/periscope/bench/traffic"
	"github.com/periscope-collector/periscope/capture"
	"github.com/periscope-collector/periscope/decode"
	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/tunnel"
)

// datagram puts a payload behind the headroom, as sources do.
func datagram(encap packet.Encap, payload []byte) packet.Datagram {
	return packet.Datagram{
		Buf:    append(make([]byte, packet.Headroom), payload...),
		Off:    packet.Headroom,
		Length: len(payload),
		Encap:  encap,
		Source: outer,
		Time:   1, Order: 2,
	}
}

var (
	outer  = packet.AddrFrom4([4]byte{10, 0, 9, 1})
	middle = packet.AddrFrom4([4]byte{10, 0, 1, 163})
)

// middle4 is the IPv4 and UDP header of a Gateway Load Balancer, with flags and
// fragment offset as given.
func middle4(port, fragment uint16) []byte {
	b := []byte{0x45, 0, 0, 0, 0, 0, 0, 0, 255, 17, 0, 0}
	binary.BigEndian.PutUint16(b[6:], fragment)
	b = append(append(b, 10, 0, 1, 163), 10, 0, 5, 7)
	b = binary.BigEndian.AppendUint16(append(b, 0xff, 0xc2), port)
	return append(b, 0, 0, 0, 0)
}

func middle6(port uint16) []byte {
	b := make([]byte, 40, 48)
	b[0], b[6], b[7] = 0x60, 17, 255
	b[8], b[23] = 0xfd, 9
	b = binary.BigEndian.AppendUint16(append(b, 0xff, 0xc2), port)
	return append(b, 0, 0, 0, 0)
}

func geneve(protocol uint16, vni uint32, parts ...[]byte) []byte {
	b := tunnel.AppendGENEVE(nil, tunnel.GENEVE{Protocol: protocol, VNI: vni, AWS: true, Endpoint: 1, Attachment: 2, Cookie: 3})
	return append(b, bytes.Join(parts, nil)...)
}

func TestOpen(t *testing.T) {
	frame := []byte("\x02\x00\x00\x00\x00\x01\x02\x00\x00\x00\x00\x02\x90\x00 a frame")
	vxlan := append(tunnel.AppendVXLAN(nil, 0x0a1b2c), frame...)
	ip4 := append([]byte{0x45, 0, 0, 24, 0, 0, 0, 0, 64, 1, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2}, 8, 0, 0, 0)
	ip6 := append([]byte{0x60, 0, 0, 0, 0, 0, 59, 64}, make([]byte, 32)...)
	bare := func(etherType uint16, ip []byte) []byte {
		return append(binary.BigEndian.AppendUint16(make([]byte, 12), etherType), ip...)
	}
	six := packet.AddrFrom(netip.MustParseAddr("fd00::9"))
	for _, c := range []struct {
		name    string
		encap   packet.Encap
		payload []byte
		data    []byte
		vni     uint32
		source  packet.Addr
		reason  packet.Reason
		bits    bool // reserved ones
	}{
		{"vxlan", packet.VXLAN, vxlan, frame, 0x0a1b2c, outer, packet.None, false},
		{"vxlan header alone", packet.VXLAN, vxlan[:8], nil, 0x0a1b2c, outer, packet.None, false},
		{"vxlan one byte short", packet.VXLAN, vxlan[:7], nil, 0, outer, packet.VXLANShort, false},
		{"empty datagram", packet.VXLAN, nil, nil, 0, outer, packet.VXLANShort, false},
		{"vxlan I flag clear", packet.VXLAN, []byte{0xf7, 0, 0, 0, 0, 0, 1, 0}, nil, 0, outer, packet.VXLANFlag, false},
		{"vxlan all reserved bits", packet.VXLAN, []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, nil, 1<<24 - 1, outer, packet.None, true},
		{"geneve, gateway load balancer", packet.GENEVE, geneve(0x0800, 0, middle4(4789, 0), vxlan), frame, 0x0a1b2c, middle, packet.None, false},
		{"geneve, gateway load balancer, ipv6", packet.GENEVE, geneve(0x86dd, 0, middle6(4789), vxlan), frame, 0x0a1b2c, six, packet.None, false},
		{"geneve, vxlan I flag clear", packet.GENEVE, geneve(0x0800, 0, middle4(4789, 0), []byte{0, 0, 0, 0, 0, 0, 1, 0}), nil, 0, middle, packet.VXLANFlag, false},
		{"geneve, vxlan cut", packet.GENEVE, geneve(0x0800, 0, middle4(4789, 0), vxlan[:7]), nil, 0, middle, packet.VXLANShort, false},
		{"geneve, first fragment to 4789", packet.GENEVE, geneve(0x0800, 0, middle4(4789, 0x2000), vxlan), nil, 0, outer, packet.OuterFragment, false},
		{"geneve, gateway load balancer, later fragment", packet.GENEVE, geneve(0x0800, 5, middle4(4789, 0x0010), vxlan), nil, 5, outer, packet.OuterFragment, false},
		{"geneve, later fragment without AWS options is bare ip", packet.GENEVE, append([]byte{0, 0, 8, 0, 0, 0, 5, 0}, middle4(4789, 0x0010)...), bare(0x0800, middle4(4789, 0x0010)), 5, outer, packet.None, false},
		{"geneve, another udp port is bare ip", packet.GENEVE, geneve(0x0800, 5, middle4(4788, 0), vxlan), bare(0x0800, append(middle4(4788, 0), vxlan...)), 5, outer, packet.None, false},
		{"geneve, ethernet", packet.GENEVE, geneve(0x6558, 77, frame), frame, 77, outer, packet.None, false},
		{"geneve, bare ipv4", packet.GENEVE, geneve(0x0800, 78, ip4), bare(0x0800, ip4), 78, outer, packet.None, false},
		{"geneve, bare ipv6", packet.GENEVE, geneve(0x86dd, 79, ip6), bare(0x86dd, ip6), 79, outer, packet.None, false},
		{"geneve, ipv4 one byte short", packet.GENEVE, geneve(0x0800, 78, ip4[:19]), nil, 78, outer, packet.GENEVEPayload, false},
		{"geneve, ipv6 one byte short", packet.GENEVE, geneve(0x86dd, 78, ip6[:39]), nil, 78, outer, packet.GENEVEPayload, false},
		{"geneve, ipv6 said, ipv4 there", packet.GENEVE, geneve(0x86dd, 78, ip4, ip6), nil, 78, outer, packet.GENEVEPayload, false},
		{"geneve, arp", packet.GENEVE, geneve(0x0806, 78, ip4), nil, 78, outer, packet.GENEVEPayload, false},
		{"geneve version 1", packet.GENEVE, []byte{0x40, 0, 0x65, 0x58, 0, 0, 1, 0}, nil, 0, outer, packet.GENEVEVersion, false},
		{"geneve options past the end", packet.GENEVE, []byte{0x01, 0, 0x65, 0x58, 0, 0, 1, 0, 1, 8, 1}, nil, 0, outer, packet.GENEVEOptions, false},
		{"geneve header cut", packet.GENEVE, []byte{0, 0, 0x65, 0x58, 0, 0, 1}, nil, 0, outer, packet.GENEVEOptions, false},
		{"geneve reserved bits", packet.GENEVE, append([]byte{0, 0x01, 0x65, 0x58, 0, 0, 1, 0}, frame...), frame, 1, outer, packet.None, true},
		{"bare", packet.Bare, frame, frame, 0, outer, packet.None, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := datagram(c.encap, c.payload)
			f := packet.Frame{Reserved: true, VNI: 99, Data: []byte("stale"), Session: &packet.Session{}}
			open(&d, &f)
			if f.Reason != c.reason || !bytes.Equal(f.Data, c.data) || f.VNI != c.vni || f.Source != c.source || f.Reserved != c.bits {
				t.Errorf("reason %v, vni %d, source %v, reserved %v, data %x\nwant   %v, vni %d, source %v, reserved %v, data %x",
					f.Reason, f.VNI, f.Source, f.Reserved, f.Data, c.reason, c.vni, c.source, c.bits, c.data)
			}
			if f.Time != 1 || f.Order != 2 || f.Session != nil {
				t.Errorf("time %d, order %d, session %v", f.Time, f.Order, f.Session)
			}
			want := len(c.data)
			if c.reason != packet.None {
				want = len(c.payload)
			}
			if f.Length != want {
				t.Errorf("length %d, want %d", f.Length, want)
			}
		})
	}
}

// Of a datagram that was cut, the frame keeps the length it had.
func TestOpenKeepsTheRealLength(t *testing.T) {
	frame := make([]byte, 500)
	for _, payload := range [][]byte{
		append(tunnel.AppendVXLAN(nil, 1), frame...),
		geneve(0x0800, 0, middle4(4789, 0), tunnel.AppendVXLAN(nil, 1), frame),
		geneve(0x6558, 1, frame),
	} {
		encap := packet.GENEVE
		if len(payload) == 508 {
			encap = packet.VXLAN
		}
		d := datagram(encap, payload[:len(payload)-100])
		d.Length = len(payload)
		var f packet.Frame
		open(&d, &f)
		if len(f.Data) != 400 || f.Length != 500 || !f.Truncated() {
			t.Errorf("encapsulation %d: %d bytes of %d", encap, len(f.Data), f.Length)
		}
	}
}

func TestAllowList(t *testing.T) {
	list := newAllowList([]netip.Prefix{
		netip.MustParsePrefix("10.0.0.0/8"),
		netip.MustParsePrefix("192.0.2.7/32"),
		netip.MustParsePrefix("fd00::/8"),
		netip.MustParsePrefix("2001:db8:0:0:8000::/65"),
	})
	for address, want := range map[string]bool{
		"10.0.0.0": true, "10.255.255.255": true, "9.255.255.255": false, "11.0.0.0": false,
		"192.0.2.7": true, "192.0.2.6": false, "192.0.2.8": false,
		"fd00::1": true, "fdff:ffff::": true, "fc00::1": false, "fe00::": false,
		"2001:db8:0:0:8000::1": true, "2001:db8:0:0:7fff::1": false, "2001:db8::1": false,
		"::": false,
	} {
		if got := list.admits(packet.AddrFrom(netip.MustParseAddr(address))); got != want {
			t.Errorf("%s: %v, want %v", address, got, want)
		}
	}
	for prefix, address := range map[string]string{"0.0.0.0/0": "1.2.3.4", "::/0": "2001:db8::1"} {
		all := newAllowList([]netip.Prefix{netip.MustParsePrefix(prefix)})
		if !all.admits(packet.AddrFrom(netip.MustParseAddr(address))) {
			t.Errorf("%s does not admit %s", prefix, address)
		}
	}
	if newAllowList([]netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}).admits(packet.AddrFrom(netip.MustParseAddr("2001:db8::1"))) {
		t.Error("0.0.0.0/0 admits IPv6")
	}
}

// The program in the kernel and the reader's hash choose the same worker, for
// every stack and at every length.
func TestSteeringIsFlowHash(t *testing.T) {
	stacks := traffic.NewStacks(1)
	type program struct {
		encap packet.Encap
		vm    *bpf.VM
		n     int
	}
	var programs []program
	for _, n := range []int{2, 3, 8} {
		for encap, port := range map[packet.Encap]int{packet.VXLAN: tunnel.VXLANPort, packet.GENEVE: tunnel.GENEVEPort} {
			code, err := capture.Steering(port, n)
			if err != nil {
				t.Fatal(err)
			}
			vm, err := bpf.NewVM(code)
			if err != nil {
				t.Fatal(err)
			}
			programs = append(programs, program{encap, vm, n})
		}
	}
	wraps := map[packet.Encap][]func(frame []byte) []byte{
		packet.VXLAN: {func(frame []byte) []byte { return append(tunnel.AppendVXLAN(nil, 9), frame...) }},
		packet.GENEVE: {
			func(frame []byte) []byte { return geneve(0x6558, 9, frame) },
			func(frame []byte) []byte {
				return geneve(0x0800, 9, middle4(4789, 0), tunnel.AppendVXLAN(nil, 9), frame)
			},
			func(frame []byte) []byte {
				return geneve(0x86dd, 9, middle6(4789), tunnel.AppendVXLAN(nil, 9), frame)
			},
			func(frame []byte) []byte { // bare IP, or what is none
				return geneve(binary.BigEndian.Uint16(frame[12:]), 9, frame[14:])
			},
		},
	}
	for range 300 {
		frame := stacks.Append(nil)
		for _, p := range programs {
			for i, wrap := range wraps[p.encap] {
				payload := wrap(frame)
				step := 1 + len(payload)/60
				for n := len(payload); n > 8; n -= step {
					got, err := p.vm.Run(payload[:n])
					if err != nil {
						t.Fatal(err)
					}
					d := datagram(p.encap, payload[:n])
					var f packet.Frame
					open(&d, &f)
					if f.Reason != packet.None || f.VNI != 9 {
						continue
					}
					if want := int(decode.FlowHash(f.Data) % uint32(p.n)); got != want {
						t.Fatalf("encapsulation %d.%d, %d workers, %d of %d bytes: kernel %d, reader %d\n%x", p.encap, i, p.n, n, len(payload), got, want, payload[:n])
					}
				}
			}
		}
	}
}

func FuzzOpen(f *testing.F) {
	frame := []byte("\x02\x00\x00\x00\x00\x01\x02\x00\x00\x00\x00\x02\x08\x00 a frame")
	f.Add(uint8(packet.VXLAN), append(tunnel.AppendVXLAN(nil, 5), frame...), 3)
	f.Add(uint8(packet.GENEVE), geneve(0x0800, 0, middle4(4789, 0), tunnel.AppendVXLAN(nil, 5), frame), 0)
	f.Add(uint8(packet.GENEVE), geneve(0x86dd, 0, middle6(4789), tunnel.AppendVXLAN(nil, 5), frame), 0)
	f.Add(uint8(packet.GENEVE), geneve(0x86dd, 0, middle6(4788), frame), 0)
	f.Add(uint8(packet.GENEVE), geneve(0x6558, 0, frame), 0)
	f.Add(uint8(packet.Bare), frame, 0)
	f.Fuzz(func(t *testing.T, encap uint8, payload []byte, missing int) {
		d := datagram(packet.Encap(encap%3), payload)
		d.Length += max(missing%65536, 0)
		var frame packet.Frame
		open(&d, &frame)
		switch {
		case frame.Reason != packet.None:
			if frame.Length != d.Length {
				t.Errorf("refused frame of %d bytes, payload of %d", frame.Length, d.Length)
			}
		case len(frame.Data) > len(payload)+packet.EthernetLen || frame.Length < len(frame.Data):
			t.Errorf("frame of %d bytes, real length %d, from a payload of %d", len(frame.Data), frame.Length, len(payload))
		case frame.Length-len(frame.Data) != d.Length-len(payload):
			t.Errorf("%d bytes missing of the frame, %d of the datagram", frame.Length-len(frame.Data), d.Length-len(payload))
		}
		if frame.VNI >= 1<<24 {
			t.Errorf("VNI %d", frame.VNI)
		}
	})
}
