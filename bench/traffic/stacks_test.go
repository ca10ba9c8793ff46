package traffic

import (
	"bytes"
	"testing"

	"github.com/periscope-collector/periscope/packet"
)

func TestStacksSatisfyTshark(t *testing.T) {
	path := writeCapture(t, 20_000, NewStacks(1).Append)
	satisfies(t, path, "ip.checksum.status", "tcp.checksum.status", "udp.checksum.status",
		"icmp.checksum.status", "icmpv6.checksum.status", "sctp.checksum.status")
	for _, filter := range []string{"ip.reassembled.length", "ipv6.reassembled.length"} {
		if tshark(t, path, "-c", "2000", "-Y", filter) == "" {
			t.Errorf("no %s", filter)
		}
	}
}

func TestStacksAreDeterministic(t *testing.T) {
	a, b := NewStacks(7), NewStacks(7)
	for range 3000 {
		if !bytes.Equal(a.Next(), b.Next()) {
			t.Fatalf("%s differs with the same seed", a.Name())
		}
	}
}

func TestStacksCycle(t *testing.T) {
	g := NewStacks(1)
	g.Next()
	first := g.Name()
	names := map[string]int{first: 1}
	for range g.Cycle() - 1 {
		g.Next()
		names[g.Name()]++
	}
	if len(names) != len(g.stacks) {
		t.Errorf("%d stacks of %d in a cycle", len(names), len(g.stacks))
	}
	for _, s := range g.stacks {
		name, want := s.link.name+"/"+s.network.name+"/"+s.transport.name, 1
		if s.network.split {
			want = 3
		}
		if names[name] != want {
			t.Errorf("%s: %d frames in a cycle, want %d", name, names[name], want)
		}
	}
	if g.Next(); g.Name() != first {
		t.Errorf("after a cycle comes %s, not %s", g.Name(), first)
	}
}

func TestStacksVary(t *testing.T) {
	g := NewStacks(1)
	flags := make(map[byte]bool)
	odd, longest, padded := 0, 0, 0
	for range 40_000 {
		frame := g.Next()
		longest = max(longest, len(frame))
		odd += len(frame) & 1
		if len(frame) == 60 {
			padded++
		}
		if g.current.link.tags == nil && g.current.network.name == "ipv4" && g.current.transport.protocol == packet.ProtocolTCP {
			flags[frame[packet.EthernetLen+ipv4Len+13]] = true
		}
	}
	if longest != int(MaxSize) {
		t.Errorf("the longest frame has %d bytes", longest)
	}
	if odd == 0 || padded == 0 {
		t.Errorf("%d frames of odd length, %d padded", odd, padded)
	}
	all := make(map[byte]bool)
	for range 256 {
		b := g.appendTCP(nil, 0)
		all[b[13]] = true
	}
	if len(all) != 256 || len(flags) < 2 {
		t.Errorf("%d combinations of TCP flags", len(all))
	}
}

func TestAppendDoesNotAllocate(t *testing.T) {
	buf := make([]byte, 0, MaxSize)
	frames, stacks := NewFrames(FramesConfig{}), NewStacks(1)
	for range 2 * stacks.Cycle() { // lets it make its longest packet
		stacks.Next()
	}
	for name, appendFrame := range map[string]func([]byte) []byte{"Frames": frames.Append, "Stacks": stacks.Append} {
		if n := testing.AllocsPerRun(5000, func() { buf = appendFrame(buf[:0]) }); n != 0 {
			t.Errorf("%s: %v allocations a frame", name, n)
		}
	}
}

func BenchmarkStacksAppend(b *testing.B) {
	g, buf := NewStacks(1), make([]byte, 0, MaxSize)
	b.ReportAllocs()
	for b.Loop() {
		buf = g.Append(buf[:0])
	}
}
