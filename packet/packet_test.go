package packet_test

import (
	"net/netip"
	"testing"
	"unsafe"

	"github.com/periscope-collector/periscope/packet"
)

func TestAddr(t *testing.T) {
	for _, c := range []struct {
		text string
		is4  bool
		want string
	}{
		{"10.0.0.1", true, "10.0.0.1"},
		{"::ffff:10.0.0.1", true, "10.0.0.1"}, // as a dual-stack socket gives it
		{"0.0.0.0", true, "0.0.0.0"},
		{"2001:db8::1", false, "2001:db8::1"},
		{"fe80::1%eth0", false, "fe80::1"},
		{"::fffe:10.0.0.1", false, "::fffe:a00:1"},
		{"::", false, "-"}, // the zero value: not known
	} {
		a := packet.AddrFrom(netip.MustParseAddr(c.text))
		if a.Is4() != c.is4 || a.String() != c.want {
			t.Errorf("%s: IPv4 %v, %s; want %v, %s", c.text, a.Is4(), a, c.is4, c.want)
		}
		if c.want != "-" && a.Netip() != netip.MustParseAddr(c.want) {
			t.Errorf("%s: Netip %v", c.text, a.Netip())
		}
	}
	if a := packet.AddrFrom(netip.Addr{}); !a.IsZero() || a.Netip().IsValid() {
		t.Errorf("an invalid address gives %v", a)
	}
	if packet.AddrFrom4([4]byte{10, 0, 0, 1}) != packet.AddrFrom(netip.MustParseAddr("10.0.0.1")) {
		t.Error("AddrFrom4 and AddrFrom differ")
	}
}

// Every value of the closed sets has a word of its own: they are metric labels.
func TestWords(t *testing.T) {
	seen := make(map[string]bool)
	check := func(set string, i int, word string) {
		if word == "" || seen[set+word] {
			t.Errorf("%s %d: word %q is empty or used twice", set, i, word)
		}
		seen[set+word] = true
	}
	for r := range packet.NumReasons {
		check("reason", int(r), r.String())
	}
	for d := range packet.NumDrops {
		check("drop", int(d), d.String())
	}
	for a := range packet.NumAnomalies {
		check("anomaly", int(a), a.String())
	}
	for d := range packet.NumDirections {
		check("direction", int(d), d.String())
	}
	for r := range packet.NumFlowReasons {
		check("flow reason", int(r), r.String())
	}
	for c := range packet.NumClasses {
		check("class", int(c), c.String())
	}
}

func TestBatchResize(t *testing.T) {
	b := packet.NewBatch(3)
	if len(b.Datagrams) != 0 {
		t.Errorf("a new batch has %d datagrams", len(b.Datagrams))
	}
	for _, n := range []int{3, 0, 1, 3} {
		b.Resize(n)
		if len(b.Datagrams) != n || len(b.Frames) != n || len(b.Assigned) != n {
			t.Errorf("resized to %d: %d, %d, %d", n, len(b.Datagrams), len(b.Frames), len(b.Assigned))
		}
	}
}

func TestFrameTruncated(t *testing.T) {
	for length, want := range map[int]bool{9: false, 10: false, 11: true} {
		f := packet.Frame{Data: make([]byte, 10), Length: length}
		if f.Truncated() != want {
			t.Errorf("10 bytes of %d: %v", length, f.Truncated())
		}
	}
}

// A tally fills cache lines, so that workers do not slow one another.
func TestTallyFillsCacheLines(t *testing.T) {
	if size := unsafe.Sizeof(packet.Tally{}); size != 128 {
		t.Errorf("a tally takes %d bytes, want 128", size)
	}
}
