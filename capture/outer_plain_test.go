package capture

import (
	"testing"

	"github.com/periscope-collector/periscope/packet"
)

// What is read in one step is read alike step by step.
func checkPlain(t *testing.T, pkt []byte) bool {
	t.Helper()
	var d packet.Datagram
	if !plain(&d, pkt) {
		if d.Buf != nil || !sameDatagram(d, packet.Datagram{}) {
			t.Fatalf("refused, and changed to %+v", d)
		}
		return false
	}
	for _, wire := range []int{0, len(pkt), len(pkt) + 100} {
		h, reason := outer(ethernet, pkt, wire)
		got := outerHeader{off: len(pkt[:h.end]) - len(d.Buf) + d.Off, end: h.end, length: d.Length, source: d.Source, encap: d.Encap}
		if reason != packet.None || got != h || d.Off != packet.Headroom || string(d.Buf[d.Off:]) != string(pkt[h.off:h.end]) || cap(d.Buf) != len(d.Buf) {
			t.Fatalf("%+v, step by step %v %+v", d, reason, h)
		}
	}
	return true
}

func TestPlain(t *testing.T) {
	read := 0
	for _, tt := range outerCases() {
		if tt.link != ethernet {
			continue
		}
		for n := range len(tt.pkt) + 1 {
			if checkPlain(t, tt.pkt[:n:n]) {
				read++
			}
		}
	}
	if read == 0 {
		t.Error("nothing was read in one step")
	}
}

func FuzzPlain(f *testing.F) {
	for _, tt := range outerCases() {
		if tt.link == ethernet {
			f.Add(tt.pkt)
		}
	}
	f.Fuzz(func(t *testing.T, pkt []byte) { checkPlain(t, pkt) })
}
