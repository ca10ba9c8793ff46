package decode_test

import (
	"bytes"
	"testing"

	"github.com/periscope-collector/periscope/decode"
	"github.com/periscope-collector/periscope/packet"
)

// read decodes a frame of which length bytes were on the wire. The header is
// full of stale values before.
func read(data []byte, length int) packet.Frame {
	f := packet.Frame{Data: data, Length: length, Header: stale}
	decode.Decode(&f)
	return f
}

// stale is a header with no field at zero.
var stale = packet.Header{
	Src: a6, Dst: b6, SrcPort: 1, DstPort: 2, EtherType: 3, VLAN: [2]uint16{4, 5}, VLANs: 2, Version: 6, Protocol: 7,
	TCPFlags: 8, ICMPType: 9, ICMPCode: 10, MoreFragments: true, FragmentOffset: 11, FragmentID: 12,
	Network: 13, Transport: 14, Payload: 15, IPLength: 16, Anomaly: packet.SCTPShort,
}

func TestDecode(t *testing.T) {
	seen := make(map[string]bool)
	for _, c := range fixtures() {
		t.Run(c.name, func(t *testing.T) {
			if seen[c.name] {
				t.Fatal("name used twice")
			}
			seen[c.name] = true
			data := wire(c.frame)
			got := read(data, len(data))
			if got.Header != c.want {
				t.Errorf("header\n got %+v\nwant %+v", got.Header, c.want)
			}
			want := c.length
			if want == 0 {
				want = len(data)
			}
			if got.Length != want {
				t.Errorf("length = %d, want %d", got.Length, want)
			}
			if err := check(&got, len(data)); err != nil {
				t.Error(err)
			}
		})
	}
}

// Every anomaly has a fixture that shows it.
func TestDecodeAnomalies(t *testing.T) {
	var shown [packet.NumAnomalies]bool
	for _, c := range fixtures() {
		shown[c.want.Anomaly] = true
	}
	for a, ok := range shown {
		if !ok {
			t.Errorf("no fixture for %v", packet.Anomaly(a))
		}
	}
}

// The wire length that the outer headers tell stands when the IP header claims
// less.
func TestDecodeKeepsLength(t *testing.T) {
	for _, c := range []struct{ outer, want int }{{54, 54}, {60, 60}, {9001, 9001}} {
		data := named("ipv4_tcp")
		if f := read(data, c.outer); f.Length != c.want {
			t.Errorf("outer length %d: length = %d, want %d", c.outer, f.Length, c.want)
		}
	}
}

// A frame cut anywhere keeps every property, and what is read of it is what is
// read of the whole frame.
func TestDecodeCutAnywhere(t *testing.T) {
	for _, c := range fixtures() {
		whole := wire(c.frame)
		for n := range len(whole) {
			cut := whole[:n:n]
			f := read(cut, len(whole))
			if err := check(&f, len(whole)); err != nil {
				t.Errorf("%s cut to %d bytes: %v", c.name, n, err)
			}
			if spare := read(whole[:n], len(whole)); spare.Header != f.Header {
				t.Errorf("%s cut to %d bytes: reads beyond the end", c.name, n)
			}
			h := f.Header
			if n < int(c.want.Payload) && h.Anomaly == packet.NoAnomaly {
				t.Errorf("%s cut to %d bytes: no anomaly, although headers end at %d", c.name, n, c.want.Payload)
			}
			if n >= int(c.want.Payload) && c.want.Anomaly == packet.NoAnomaly && h != c.want {
				t.Errorf("%s cut to %d bytes, behind its headers:\n got %+v\nwant %+v", c.name, n, h, c.want)
			}
			if h.Network != 0 && (h.Src != c.want.Src || h.Dst != c.want.Dst || h.IPLength != c.want.IPLength) {
				t.Errorf("%s cut to %d bytes: other addresses or length: %+v", c.name, n, h)
			}
			if h.Transport != 0 && (h.Transport != c.want.Transport || h.SrcPort != c.want.SrcPort || h.DstPort != c.want.DstPort) {
				t.Errorf("%s cut to %d bytes: other ports: %+v", c.name, n, h)
			}
		}
	}
}

func TestDecodeDoesNotAllocate(t *testing.T) {
	for _, c := range fixtures() {
		data := wire(c.frame)
		before := bytes.Clone(data)
		f := packet.Frame{Data: data, Length: len(data)}
		var sum uint32
		if n := testing.AllocsPerRun(100, func() {
			decode.Decode(&f)
			sum += decode.FlowHash(data)
		}); n != 0 {
			t.Errorf("%s: %v allocations", c.name, n)
		}
		if !bytes.Equal(data, before) {
			t.Errorf("%s: frame was written to", c.name)
		}
	}
}
