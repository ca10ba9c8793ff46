package decode_test

import (
	"bytes"
	"testing"

	"github.com/periscope-collector/periscope/decode"
	"github.com/periscope-collector/periscope/packet"
)

// Any bytes give a header that keeps the contract and depends on nothing but
// the bytes that it says were read.
func FuzzDecode(f *testing.F) {
	for _, c := range fixtures() {
		f.Add(wire(c.frame), uint16(c.length))
	}
	f.Fuzz(func(t *testing.T, data []byte, more uint16) {
		length := len(data) + int(more)
		got := read(bytes.Clone(data), length)
		if err := check(&got, length); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got.Data, data) {
			t.Fatal("frame was written to")
		}

		other := bytes.Clone(data)
		invert(other[:min(12, len(other))])
		if f := read(other, length); f.Header != got.Header {
			t.Fatalf("depends on the MAC addresses:\n%+v\n%+v", got.Header, f.Header)
		}
		if decode.FlowHash(other) != decode.FlowHash(data) {
			t.Fatal("hash depends on the MAC addresses")
		}

		if got.Header.Anomaly != packet.NoAnomaly {
			return
		}
		payload := int(got.Header.Payload)
		other = bytes.Clone(data)
		invert(other[payload:])
		if f := read(other, length); f.Header != got.Header || f.Length != got.Length {
			t.Fatalf("depends on the payload:\n%+v\n%+v", got.Header, f.Header)
		}
		if f := read(data[:payload:payload], length); f.Header != got.Header || f.Length != got.Length {
			t.Fatalf("depends on the bytes behind the headers:\n%+v\n%+v", got.Header, f.Header)
		}
	})
}

func invert(b []byte) {
	for i := range b {
		b[i] = ^b[i]
	}
}

// The hash is what the kernel's program computes, and the same in both
// directions.
func FuzzFlowHash(f *testing.F) {
	for _, c := range fixtures() {
		f.Add(wire(c.frame))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		h := decode.FlowHash(data)
		if want := classicHash(data); h != want {
			t.Fatalf("hash = %#x, want %#x", h, want)
		}
		if back := decode.FlowHash(reversed(data)); back != h {
			t.Fatalf("hash = %#x, of the other direction %#x", h, back)
		}
	})
}
