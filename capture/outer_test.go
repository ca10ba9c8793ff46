package capture

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/periscope-collector/periscope/packet"
)

const body = "the payload of a datagram" // 25 bytes

var (
	source4 = packet.AddrFrom4([4]byte{10, 0, 0, 1})
	source6 = packet.Addr{0x20, 0x01, 0x0d, 0xb8, 15: 1}
)

func cat(parts ...[]byte) []byte { return slices.Concat(parts...) }

// udpTo returns a UDP datagram whose header says it has n bytes in all.
func udpTo(port uint16, n int) []byte {
	b := big.AppendUint16([]byte{0xff, 0x80}, port)
	b = big.AppendUint16(b, uint16(n))
	return append(append(b, 0, 0), body...)
}

var (
	vxlan  = udpTo(4789, 33)
	geneve = udpTo(6081, 33)
)

// ip4 puts an IPv4 header in front of data; edits change its bytes.
func ip4(data []byte, edits ...func([]byte)) []byte {
	h := []byte{0x45, 0, 0, 0, 0x12, 0x34, 0, 0, 64, packet.ProtocolUDP, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2}
	big.PutUint16(h[2:], uint16(len(h)+len(data)))
	b := append(h, data...)
	for _, edit := range edits {
		edit(b)
	}
	return b
}

// ip6 puts an IPv6 header in front of data, which is of the given protocol.
func ip6(protocol byte, data []byte, edits ...func([]byte)) []byte {
	b := []byte{0x60, 0, 0, 0, 0, 0, protocol, 64}
	big.PutUint16(b[4:], uint16(len(data)))
	b = cat(b, source6[:], source6[:], data)
	for _, edit := range edits {
		edit(b)
	}
	return b
}

func set(at int, v ...byte) func([]byte) { return func(b []byte) { copy(b[at:], v) } }

func frame(etherType uint16, data []byte) []byte {
	return cat(make([]byte, 12), big.AppendUint16(nil, etherType), data)
}

func tag(etherType uint16, data []byte) []byte {
	return cat([]byte{0, 7}, big.AppendUint16(nil, etherType), data)
}

// extension returns an IPv6 extension header of 8 * (1 + more) bytes.
func extension(next byte, more int, data []byte) []byte {
	return cat([]byte{next, byte(more)}, make([]byte, 6+8*more), data)
}

// fragmented puts an IPv6 fragment header in front of data.
func fragmented(next byte, offsetAndMore uint16, data []byte) []byte {
	return cat([]byte{next, 0}, big.AppendUint16(nil, offsetAndMore), []byte{0, 0, 0, 9}, data)
}

type outerCase struct {
	name string
	link link
	pkt  []byte
	wire int // 0 for len(pkt)
	want outerHeader
	not  packet.Reason
}

func outerCases() []outerCase {
	const v, g = packet.VXLAN, packet.GENEVE
	at := func(off int, source packet.Addr, encap packet.Encap) outerHeader {
		return outerHeader{off: off, end: off + len(body), length: len(body), source: source, encap: encap}
	}
	options := ip4(cat([]byte{1, 1, 1, 1}, vxlan), set(0, 0x46))
	sll := cat(make([]byte, 14), []byte{0x08, 0x00}, ip4(vxlan))
	sll2 := cat([]byte{0x86, 0xdd}, make([]byte, 18), ip6(17, vxlan))
	padding := make([]byte, 11)
	half := vxlan[:20] // 12 of 25 bytes
	return []outerCase{
		{"ethernet IPv4", ethernet, frame(0x0800, ip4(vxlan)), 0, at(42, source4, v), 0},
		{"ethernet IPv6", ethernet, frame(0x86dd, ip6(17, vxlan)), 0, at(62, source6, v), 0},
		{"geneve", ethernet, frame(0x0800, ip4(geneve)), 0, at(42, source4, g), 0},
		{"VLAN", ethernet, frame(0x8100, tag(0x0800, ip4(vxlan))), 0, at(46, source4, v), 0},
		{"QinQ", ethernet, frame(0x88a8, tag(0x8100, tag(0x86dd, ip6(17, vxlan)))), 0, at(70, source6, v), 0},
		{"four tags", ethernet, frame(0x9100, tag(0x9100, tag(0x88a8, tag(0x8100, tag(0x0800, ip4(vxlan)))))), 0, at(58, source4, v), 0},
		{"five tags", ethernet, frame(0x9100, tag(0x9100, tag(0x9100, tag(0x88a8, tag(0x8100, tag(0x0800, ip4(vxlan))))))), 0, outerHeader{}, packet.NotTunnel},
		{"cooked", cooked, sll, 0, at(44, source4, v), 0},
		{"cooked VLAN", cooked, cat(make([]byte, 14), []byte{0x81, 0}, tag(0x0800, ip4(vxlan))), 0, at(48, source4, v), 0},
		{"cooked2", cooked2, sll2, 0, at(68, source6, v), 0},
		{"raw IPv4", rawIP, ip4(vxlan), 0, at(28, source4, v), 0},
		{"raw IPv6", rawIP, ip6(17, vxlan), 0, at(48, source6, v), 0},
		{"IPv4 link", rawIPv4, ip4(vxlan), 0, at(28, source4, v), 0},
		{"IPv6 link", rawIPv6, ip6(17, vxlan), 0, at(48, source6, v), 0},
		{"IPv6 on the IPv4 link", rawIPv4, ip6(17, vxlan), 0, outerHeader{}, packet.NotTunnel},
		{"loopback", loopback, cat([]byte{2, 0, 0, 0}, ip4(vxlan)), 0, at(32, source4, v), 0},
		{"loopback IPv6", loopback, cat([]byte{0, 0, 0, 30}, ip6(17, vxlan)), 0, at(52, source6, v), 0},
		{"IP options", rawIP, options, 0, at(32, source4, v), 0},
		{"empty payload", rawIP, ip4(udpTo(4789, 8)[:8]), 0, outerHeader{28, 28, 0, source4, v}, 0},

		{"padding", ethernet, frame(0x0800, cat(ip4(vxlan), padding)), 0, at(42, source4, v), 0},
		{"padding, captured in part", ethernet, frame(0x0800, cat(ip4(vxlan), padding)), 90, at(42, source4, v), 0},
		{"cut by the snap length", rawIP, ip4(half, set(2, 0, 53)), 53, outerHeader{28, 40, 25, source4, v}, 0},
		{"cut, and the file does not say", rawIP, ip4(half, set(2, 0, 53)), 0, outerHeader{28, 40, 25, source4, v}, 0},
		{"UDP length 0", rawIP, cat(ip4(udpTo(4789, 0)), padding), 0, at(28, source4, v), 0},
		{"UDP length 7", rawIP, ip4(udpTo(4789, 7)), 0, at(28, source4, v), 0},
		{"UDP length 8", rawIP, ip4(udpTo(4789, 8)), 0, outerHeader{28, 28, 0, source4, v}, 0},
		{"UDP length past the IP packet", rawIP, cat(ip4(udpTo(4789, 34)), padding), 0, at(28, source4, v), 0},
		{"total length 0", rawIP, ip4(vxlan, set(2, 0, 0)), 0, at(28, source4, v), 0},
		{"no length at all", rawIP, ip4(udpTo(4789, 0), set(2, 0, 0)), 1000, outerHeader{28, 53, 972, source4, v}, 0},
		{"no length at all, behind Ethernet", ethernet, frame(0x0800, ip4(udpTo(4789, 0), set(2, 0, 0))), 1014, outerHeader{42, 67, 972, source4, v}, 0},
		{"total length within the headers", rawIP, ip4(vxlan, set(2, 0, 27)), 0, at(28, source4, v), 0},
		{"IPv6 payload length 0", rawIP, ip6(17, udpTo(4789, 0), set(4, 0, 0)), 0, at(48, source6, v), 0},
		{"wire length below the headers' lengths", rawIP, ip4(vxlan), 3, at(28, source4, v), 0},

		{"extension headers", rawIP, ip6(0, extension(60, 0, extension(43, 1, extension(17, 2, vxlan)))), 0, at(96, source6, v), 0},
		{"eight extension headers", rawIP, ip6(60, extensions(8)), 0, at(112, source6, v), 0},
		{"nine extension headers", rawIP, ip6(60, extensions(9)), 0, outerHeader{}, packet.NotTunnel},
		{"unfragmented with a fragment header", rawIP, ip6(44, fragmented(17, 0, vxlan)), 0, at(56, source6, v), 0},
		{"ESP", rawIP, ip6(50, vxlan), 0, outerHeader{}, packet.NotTunnel},

		{"first fragment", rawIP, ip4(vxlan, set(6, 0x20)), 0, outerHeader{}, packet.OuterFragment},
		{"first fragment to another port", rawIP, ip4(udpTo(53, 33), set(6, 0x20)), 0, outerHeader{}, packet.NotTunnel},
		{"later fragment", rawIP, ip4(vxlan, set(6, 0x20, 1)), 0, outerHeader{}, packet.OuterFragment},
		{"last fragment, any bytes", rawIP, ip4([]byte{1}, set(6, 0x01, 0)), 0, outerHeader{}, packet.OuterFragment},
		{"later fragment of TCP", rawIP, ip4(vxlan, set(6, 0x01, 0), set(9, 6)), 0, outerHeader{}, packet.NotTunnel},
		{"don't fragment", rawIP, ip4(vxlan, set(6, 0x40)), 0, at(28, source4, v), 0},
		{"IPv6 first fragment", rawIP, ip6(44, fragmented(17, 1, vxlan)), 0, outerHeader{}, packet.OuterFragment},
		{"IPv6 first fragment to another port", rawIP, ip6(44, fragmented(17, 1, udpTo(53, 33))), 0, outerHeader{}, packet.NotTunnel},
		{"IPv6 later fragment", rawIP, ip6(44, fragmented(17, 8, []byte{1})), 0, outerHeader{}, packet.OuterFragment},
		{"IPv6 later fragment of options", rawIP, ip6(44, fragmented(60, 8, extension(17, 0, vxlan))), 0, outerHeader{}, packet.NotTunnel},
		{"IPv6 later fragment of TCP", rawIP, ip6(44, fragmented(6, 8, vxlan)), 0, outerHeader{}, packet.NotTunnel},

		{"another port", rawIP, ip4(udpTo(4790, 33)), 0, outerHeader{}, packet.NotTunnel},
		{"from the tunnel port", rawIP, ip4(cat([]byte{0x12, 0xb5, 0, 53}, vxlan[4:])), 0, outerHeader{}, packet.NotTunnel},
		{"TCP", rawIP, ip4(vxlan, set(9, 6)), 0, outerHeader{}, packet.NotTunnel},
		{"ARP", ethernet, frame(0x0806, make([]byte, 28)), 0, outerHeader{}, packet.NotTunnel},
		{"EtherType IPv6, IPv4 behind", ethernet, frame(0x86dd, ip4(vxlan)), 0, outerHeader{}, packet.NotTunnel},
		{"EtherType IPv4, IPv6 behind", ethernet, frame(0x0800, ip6(17, vxlan)), 0, outerHeader{}, packet.NotTunnel},
		{"header length 16", rawIP, ip4(vxlan, set(0, 0x44), set(16, vxlan...)), 0, outerHeader{}, packet.NotTunnel},
		{"header length past the packet", rawIP, ip4(nil, set(0, 0x4f)), 0, outerHeader{}, packet.NotTunnel},
		{"extension header past the packet", rawIP, ip6(60, extension(17, 2, nil)[:8]), 0, outerHeader{}, packet.NotTunnel},
		{"nothing", rawIP, nil, 0, outerHeader{}, packet.NotTunnel},
	}
}

func extensions(n int) []byte {
	b := vxlan
	next := byte(17)
	for range n {
		b = extension(next, 0, b)
		next = 60
	}
	return b
}

// outer reads a packet for the standard ports.
func outer(l link, pkt []byte, wire int) (h outerHeader, reason packet.Reason) {
	if reason = standardPorts.outer(&h, l, pkt, wire); reason != packet.None {
		h = outerHeader{}
	}
	return h, reason
}

func TestOuter(t *testing.T) {
	for _, tt := range outerCases() {
		t.Run(tt.name, func(t *testing.T) {
			if h, reason := outer(tt.link, tt.pkt, tt.wire); h != tt.want || reason != tt.not {
				t.Errorf("got %+v, %v; want %+v, %v", h, reason, tt.want, tt.not)
			}
		})
	}
}

// A packet cut anywhere behind its UDP header keeps the payload's real length;
// cut before, it is not a datagram that can be read.
func TestOuterTruncatedAtEveryLength(t *testing.T) {
	for _, tt := range outerCases() {
		for n := range len(tt.pkt) {
			h, reason := outer(tt.link, tt.pkt[:n:n], max(tt.wire, len(tt.pkt)))
			want := tt.want
			want.end = min(want.end, n)
			switch {
			case tt.not == packet.NotTunnel || tt.not == packet.None && n < want.off:
				if reason != packet.NotTunnel {
					t.Fatalf("%s, %d bytes: %v, want not_tunnel", tt.name, n, reason)
				}
			case tt.not == packet.None:
				if h != want || reason != packet.None {
					t.Fatalf("%s, %d bytes: got %+v, %v; want %+v", tt.name, n, h, reason, want)
				}
			case reason != packet.NotTunnel && reason != packet.OuterFragment:
				t.Fatalf("%s, %d bytes: %v", tt.name, n, reason)
			}
		}
	}
}

func TestOuterAllocatesNothing(t *testing.T) {
	cases := outerCases()
	if n := testing.AllocsPerRun(100, func() {
		for _, tt := range cases {
			outer(tt.link, tt.pkt, tt.wire)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestLinkOf(t *testing.T) {
	for number, want := range map[uint32]link{
		0: loopback, 1: ethernet, 2: unknownLink, 12: rawIP, 14: rawIP, 101: rawIP, 105: unknownLink,
		108: loopback, 113: cooked, 228: rawIPv4, 229: rawIPv6, 276: cooked2, 277: unknownLink, 1<<32 - 1: unknownLink,
	} {
		if l := linkOf(number); l != want {
			t.Errorf("link type %d is %d, want %d", number, l, want)
		}
	}
}

// FuzzOuter holds that any bytes give a reason or a payload within them.
func FuzzOuter(f *testing.F) {
	for _, tt := range outerCases() {
		f.Add(byte(tt.link), tt.pkt, tt.wire)
	}
	f.Fuzz(func(t *testing.T, l byte, pkt []byte, wire int) {
		from := link(l % byte(len(linkLayout)))
		wire = max(0, min(wire, 1<<32-1)) // what a file can say
		before := bytes.Clone(pkt)
		h, reason := outer(from, pkt, wire)
		switch {
		case !bytes.Equal(pkt, before):
			t.Fatal("the packet was changed")
		case reason == packet.NotTunnel || reason == packet.OuterFragment:
			return
		case reason != packet.None:
			t.Fatal(reason)
		case h.off < 28 || h.off > h.end || h.end > len(pkt) || h.length < h.end-h.off || h.length > max(wire, len(pkt), 1<<16):
			t.Fatalf("%+v of %d bytes, %d on the wire", h, len(pkt), wire)
		case !strings.Contains(string(pkt[:h.off]), "\x12\xb5") && !strings.Contains(string(pkt[:h.off]), "\x17\xc1"):
			t.Fatal("no tunnel port in the headers")
		}
	})
}

// One interface of a kind that is not read must not hide the packets of the
// others: its own are no datagrams.
func TestFilesReadOnPastAnInterfaceOfAnotherKind(t *testing.T) {
	f := ngFile(little)
	f.iface(250, 0)
	f.iface(1, 0)
	for i := range uint32(4) {
		f.enhanced(i%2, uint64(micro/1000), sample{data: []byte("of either kind"), wire: 14})
	}
	path := filepath.Join(t.TempDir(), "mixed.pcapng")
	if err := os.WriteFile(path, f.b, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, vni := range []int64{-1, 7} {
		files, err := OpenFiles(FileConfig{Paths: []string{path}, BareVNI: vni})
		if err != nil {
			t.Fatal(err)
		}
		b, err := files.Next()
		if err != nil {
			t.Fatal(err)
		}
		for i, d := range b.Datagrams {
			if refused := d.Reason == packet.NotTunnel; refused != (vni < 0 || i%2 == 0) {
				t.Errorf("VNI %d, packet %d: reason %v", vni, i, d.Reason)
			}
		}
		if len(b.Datagrams) != 4 || files.Err() != nil {
			t.Errorf("VNI %d: %d packets, error %v", vni, len(b.Datagrams), files.Err())
		}
		files.Close()
	}
}
