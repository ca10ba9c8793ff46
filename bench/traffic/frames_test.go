package traffic

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/periscope-collector/periscope/packet"
)

func TestFramesAreDeterministic(t *testing.T) {
	a, b := NewFrames(FramesConfig{Seed: 7}), NewFrames(FramesConfig{Seed: 7})
	other := NewFrames(FramesConfig{Seed: 8})
	differ := false
	for i := range 1000 {
		x := a.Next()
		if !bytes.Equal(x, b.Next()) {
			t.Fatalf("frame %d differs with the same seed", i)
		}
		differ = differ || !bytes.Equal(x, other.Next())
	}
	if !differ {
		t.Error("another seed gives the same frames")
	}
}

func TestFramesHaveTheSizeAskedFor(t *testing.T) {
	for _, size := range []Size{64, 65, 71, 72, 83, 84, 85, 1514, 9000, 9001} {
		g := NewFrames(FramesConfig{Size: size})
		for i := range uint64(500) {
			frame := g.Next()
			if len(frame) != int(size) {
				t.Fatalf("size %d: frame %d has %d bytes", size, i, len(frame))
			}
			if n, ok := Sequence(frame); !ok || n != i {
				t.Fatalf("size %d: frame %d has sequence number %d, %v", size, i, n, ok)
			}
		}
	}
}

func TestFramesSizesAreBroughtIntoRange(t *testing.T) {
	for size, want := range map[Size]int{-1: 64, 1: 64, 63: 64, 9002: 9001} {
		if n := len(NewFrames(FramesConfig{Size: size}).Next()); n != want {
			t.Errorf("size %d gives %d bytes, want %d", size, n, want)
		}
	}
}

func TestFramesIMIX(t *testing.T) {
	const n = 12_000
	g, count := NewFrames(FramesConfig{}), make(map[int]int)
	for range n {
		switch size := len(g.Next()); {
		case size == 1514, size == 594:
			count[size]++
		case size >= 64 && size <= 84:
			count[64]++
		default:
			t.Fatalf("%d bytes", size)
		}
	}
	for size, parts := range map[int]int{64: 7, 594: 4, 1514: 1} {
		if want := n * parts / 12; count[size] < want*9/10 || count[size] > want*11/10 {
			t.Errorf("%d frames of %d bytes, want about %d", count[size], size, want)
		}
	}
}

// conversation is what both directions of a flow have in common.
type conversation struct {
	addr     [2]packet.Addr // the smaller one first
	port     [2]uint16
	protocol uint8
}

// read takes a frame apart and checks its hardware addresses.
func read(t *testing.T, frame []byte) (c conversation, egress bool) {
	t.Helper()
	p, at := frame[packet.EthernetLen:], ipv4Len
	var src, dst packet.Addr
	switch p[0] >> 4 {
	case 4:
		src, dst = packet.AddrFrom4([4]byte(p[12:])), packet.AddrFrom4([4]byte(p[16:]))
		c.protocol = p[9]
	case 6:
		src, dst = packet.Addr(p[8:]), packet.Addr(p[24:])
		c.protocol, at = p[6], ipv6Len
	}
	near, near4, near6 := Interface()
	from, to := frame[6:12], frame[:6]
	if egress = src == near4 || src == near6; !egress {
		from, to = to, from
	}
	if egress == (dst == near4 || dst == near6) || [6]byte(from) != near || [6]byte(to) != routerMAC() {
		t.Fatalf("not between the interface and the router: %x", frame)
	}
	l4 := p[at:]
	srcPort, dstPort := binary.BigEndian.Uint16(l4), binary.BigEndian.Uint16(l4[2:])
	if c.protocol == packet.ProtocolICMP || c.protocol == packet.ProtocolICMPv6 {
		srcPort = binary.BigEndian.Uint16(l4[4:])
		dstPort = srcPort
	}
	c.addr, c.port = [2]packet.Addr{src, dst}, [2]uint16{srcPort, dstPort}
	if bytes.Compare(src[:], dst[:]) > 0 {
		c.addr, c.port = [2]packet.Addr{dst, src}, [2]uint16{dstPort, srcPort}
	}
	return c, egress
}

func TestFramesAreOfManyFlowsInBothDirections(t *testing.T) {
	for _, flows := range []int{1, 2, 100, 70_000} {
		g := NewFrames(FramesConfig{Flows: flows})
		egress, ingress := make(map[conversation]int), make(map[conversation]int)
		protocols := make(map[string]bool)
		for range 2 * flows {
			c, out := read(t, g.Next())
			if out {
				egress[c]++
			} else {
				ingress[c]++
			}
			protocols[fmt.Sprint(c.addr[0].Is4(), c.protocol)] = true
		}
		if len(egress) != flows || len(ingress) != flows {
			t.Errorf("%d flows out and %d in, want %d", len(egress), len(ingress), flows)
		}
		for c := range egress {
			if egress[c] != 1 || ingress[c] != 1 {
				t.Fatalf("%d frames out and %d in of %+v", egress[c], ingress[c], c)
			}
		}
		if want := min(flows, 6); len(protocols) != want {
			t.Errorf("%d flows: protocols %v, want %d", flows, protocols, want)
		}
	}
}

func TestFramesOfAFlowComeInBursts(t *testing.T) {
	g := NewFrames(FramesConfig{Flows: 10, Burst: 64})
	seen := make(map[conversation]bool)
	for i := range 10 {
		first, _ := read(t, g.Next())
		if seen[first] {
			t.Fatalf("burst %d is of a flow that had one", i)
		}
		seen[first] = true
		for range 63 {
			if c, _ := read(t, g.Next()); c != first {
				t.Fatalf("burst %d is of several flows", i)
			}
		}
	}
}

func TestSequenceOfOtherFrames(t *testing.T) {
	g := NewFrames(FramesConfig{Size: 64})
	for range 10 {
		frame := g.Next()
		if n, ok := Sequence(frame[:64]); !ok {
			t.Fatalf("none in %x", frame)
		} else if again, ok := Sequence(append(bytes.Clone(frame), 0)); !ok || again != n {
			t.Fatal("a trailer hides it")
		}
	}
	tcp := NewFrames(FramesConfig{Size: 64}).Next() // the first flow is TCP, which leaves no room
	for n := range 64 {
		if _, ok := Sequence(tcp[:n]); ok {
			t.Errorf("found in the first %d bytes", n)
		}
	}
	tcp[54] = 'p'
	if _, ok := Sequence(tcp); ok {
		t.Error("found without its mark")
	}
	stacks := NewStacks(1)
	for range stacks.Cycle() {
		if _, ok := Sequence(stacks.Next()); ok {
			t.Fatalf("found in %s", stacks.Name())
		}
	}
}

func TestParseSize(t *testing.T) {
	for s, want := range map[string]Size{"imix": IMIX, "64": 64, "1514": 1514, "9001": 9001} {
		got, err := ParseSize(s)
		if err != nil || got != want || got.String() != s {
			t.Errorf("%q gives %v, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "0", "63", "9002", "-64", "64B", "IMIX", "99999999999999999999"} {
		if got, err := ParseSize(s); err == nil {
			t.Errorf("%q gives %v", s, got)
		}
	}
}

func BenchmarkFramesAppend(b *testing.B) {
	for _, size := range []Size{64, IMIX, 1514, 9001} {
		b.Run(size.String(), func(b *testing.B) {
			g := NewFrames(FramesConfig{Size: size})
			buf := make([]byte, 0, MaxSize)
			b.ReportAllocs()
			var n int64
			for b.Loop() {
				buf = g.Append(buf[:0])
				n += int64(len(buf))
			}
			b.SetBytes(n / int64(b.N))
		})
	}
}
