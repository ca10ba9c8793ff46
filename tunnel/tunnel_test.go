package tunnel_test

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/periscope-collector/periscope/tunnel"
)

func TestParseVXLAN(t *testing.T) {
	for _, c := range []struct {
		name  string
		b     []byte
		want  tunnel.VXLAN
		frame string
		fault tunnel.Fault
	}{
		{"empty", nil, tunnel.VXLAN{}, "", tunnel.VXLANShort},
		{"one byte short", []byte{8, 0, 0, 0, 0, 0, 1}, tunnel.VXLAN{}, "", tunnel.VXLANShort},
		{"header alone", []byte{8, 0, 0, 0, 0, 0, 1, 0}, tunnel.VXLAN{VNI: 1}, "", tunnel.OK},
		{"as AWS sends it", []byte("\x08\x00\x00\x00\x0a\x1b\x2c\x00frame"), tunnel.VXLAN{VNI: 0x0a1b2c}, "frame", tunnel.OK},
		{"VNI 0", []byte{8, 0, 0, 0, 0, 0, 0, 0}, tunnel.VXLAN{}, "", tunnel.OK},
		{"largest VNI", []byte{8, 0, 0, 0, 0xff, 0xff, 0xff, 0}, tunnel.VXLAN{VNI: 1<<24 - 1}, "", tunnel.OK},
		{"I flag clear", []byte{0, 0, 0, 0, 0, 0, 1, 0}, tunnel.VXLAN{}, "", tunnel.VXLANFlag},
		{"every flag but I", []byte{0xf7, 0xff, 0xff, 0xff, 0, 0, 1, 0xff}, tunnel.VXLAN{}, "", tunnel.VXLANFlag},
		{"group policy bits", []byte{0x88, 0x08, 0, 1, 0, 0, 1, 0}, tunnel.VXLAN{VNI: 1, Reserved: true}, "", tunnel.OK},
		{"reserved byte behind the VNI", []byte{8, 0, 0, 0, 0, 0, 1, 1}, tunnel.VXLAN{VNI: 1, Reserved: true}, "", tunnel.OK},
	} {
		v, frame, fault := tunnel.ParseVXLAN(c.b)
		if v != c.want || string(frame) != c.frame || fault != c.fault {
			t.Errorf("%s: %+v, %q, fault %d; want %+v, %q, fault %d", c.name, v, frame, fault, c.want, c.frame, c.fault)
		}
	}
}

// aws is a header as a Gateway Load Balancer writes it (the tunnel handler
// sample of AWS): three options of class 0x0108.
var aws = []byte{0x08, 0x00, 0x08, 0x00, 0, 0, 0, 0,
	0x01, 0x08, 1, 2, 0, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, // endpoint
	0x01, 0x08, 2, 2, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff, // attachment
	0x01, 0x08, 3, 1, 0xde, 0xad, 0xbe, 0xef} // flow cookie

func TestParseGENEVE(t *testing.T) {
	full := tunnel.GENEVE{Protocol: 0x0800, AWS: true, Endpoint: 0x0011223344556677, Attachment: 0x8899aabbccddeeff, Cookie: 0xdeadbeef}
	long := append([]byte{0x3f, 0, 0x65, 0x58, 0, 0, 5, 0}, make([]byte, 252)...) // 63 empty options
	for _, c := range []struct {
		name    string
		b       []byte
		want    tunnel.GENEVE
		payload string
		fault   tunnel.Fault
	}{
		{"empty", nil, tunnel.GENEVE{}, "", tunnel.GENEVEOptions},
		{"one byte short", []byte{0, 0, 0x65, 0x58, 0, 0, 1}, tunnel.GENEVE{}, "", tunnel.GENEVEOptions},
		{"no options", []byte("\x00\x00\x65\x58\x00\x00\x05\x00frame"), tunnel.GENEVE{VNI: 5, Protocol: 0x6558}, "frame", tunnel.OK},
		{"gateway load balancer", append(bytes.Clone(aws), "ip"...), full, "ip", tunnel.OK},
		{"most options there can be", append(bytes.Clone(long), 'x'), tunnel.GENEVE{VNI: 5, Protocol: 0x6558}, "x", tunnel.OK},
		{"options one byte short", aws[:len(aws)-1], tunnel.GENEVE{}, "", tunnel.GENEVEOptions},
		{"version 1", []byte{0x40, 0, 0x65, 0x58, 0, 0, 1, 0}, tunnel.GENEVE{}, "", tunnel.GENEVEVersion},
		{"version 3", []byte{0xc0, 0, 0x65, 0x58, 0, 0, 1, 0}, tunnel.GENEVE{}, "", tunnel.GENEVEVersion},
		{"option longer than the options", []byte{1, 0, 0x65, 0x58, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0}, tunnel.GENEVE{}, "", tunnel.GENEVEOptions},
		{"AWS option of another length", []byte{2, 0, 0x65, 0x58, 0, 0, 1, 0, 1, 8, 1, 1, 9, 9, 9, 9}, tunnel.GENEVE{VNI: 1, Protocol: 0x6558}, "", tunnel.OK},
		{"AWS option of another type", []byte{2, 0, 0x65, 0x58, 0, 0, 1, 0, 1, 8, 4, 1, 9, 9, 9, 9}, tunnel.GENEVE{VNI: 1, Protocol: 0x6558}, "", tunnel.OK},
		{"another class, AWS type", []byte{2, 0, 0x65, 0x58, 0, 0, 1, 0, 1, 9, 3, 1, 9, 9, 9, 9}, tunnel.GENEVE{VNI: 1, Protocol: 0x6558}, "", tunnel.OK},
		{"reserved bits of an option", []byte{2, 0, 0x65, 0x58, 0, 0, 1, 0, 1, 8, 3, 0xe1, 0, 0, 0, 7}, tunnel.GENEVE{VNI: 1, Protocol: 0x6558, AWS: true, Cookie: 7}, "", tunnel.OK},
		{"control and critical bits are not reserved", []byte{0, 0xc0, 0x65, 0x58, 0, 0, 1, 0}, tunnel.GENEVE{VNI: 1, Protocol: 0x6558}, "", tunnel.OK},
		{"reserved bits", []byte{0, 0x01, 0x65, 0x58, 0, 0, 1, 0}, tunnel.GENEVE{VNI: 1, Protocol: 0x6558, Reserved: true}, "", tunnel.OK},
		{"reserved byte", []byte{0, 0, 0x65, 0x58, 0, 0, 1, 1}, tunnel.GENEVE{VNI: 1, Protocol: 0x6558, Reserved: true}, "", tunnel.OK},
	} {
		g, payload, fault := tunnel.ParseGENEVE(c.b)
		if g != c.want || string(payload) != c.payload || fault != c.fault {
			t.Errorf("%s: %+v, %q, fault %d; want %+v, %q, fault %d", c.name, g, payload, fault, c.want, c.payload, c.fault)
		}
	}
	if got := tunnel.AppendGENEVE(nil, full); !bytes.Equal(got, aws) {
		t.Errorf("AppendGENEVE:\n%x, want\n%x", got, aws)
	}
}

func TestParsingAllocatesNothing(t *testing.T) {
	vxlan := tunnel.AppendVXLAN(make([]byte, 0, 100), 5)
	if n := testing.AllocsPerRun(100, func() {
		tunnel.ParseVXLAN(vxlan)
		tunnel.ParseGENEVE(aws)
		tunnel.ParseGENEVE(aws[:20])
	}); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

func FuzzVXLAN(f *testing.F) {
	f.Add([]byte("\x08\x00\x00\x00\x0a\x1b\x2c\x00frame"))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	f.Add([]byte{8, 0, 0, 0, 0, 0, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		v, frame, fault := tunnel.ParseVXLAN(b)
		whole := len(b) >= tunnel.VXLANLen
		if (fault == tunnel.OK) != (whole && b[0]&8 != 0) {
			t.Fatalf("fault %d", fault)
		}
		if fault != tunnel.OK {
			return
		}
		if len(frame) != len(b)-tunnel.VXLANLen || v.VNI >= 1<<24 {
			t.Fatalf("%+v, frame of %d bytes", v, len(frame))
		}
		again := append(tunnel.AppendVXLAN(nil, v.VNI), frame...)
		if bytes.Equal(again, b) == v.Reserved {
			t.Fatalf("reserved %v, but writing it back gives %x", v.Reserved, again)
		}
	})
}

func FuzzGENEVE(f *testing.F) {
	f.Add(append(bytes.Clone(aws), "payload"...))
	f.Add([]byte("\x00\x00\x65\x58\x00\x00\x05\x00frame"))
	f.Add([]byte{0x3f, 0, 0x65, 0x58, 0, 0, 5, 0, 0, 0, 0, 31})
	f.Fuzz(func(t *testing.T, b []byte) {
		g, payload, fault := tunnel.ParseGENEVE(b)
		if fault != tunnel.OK {
			if payload != nil || g != (tunnel.GENEVE{}) {
				t.Fatalf("fault %d with a result: %+v, %d bytes", fault, g, len(payload))
			}
			return
		}
		header := len(b) - len(payload)
		if header != tunnel.GENEVELen+int(b[0]&0x3f)*4 || g.VNI >= 1<<24 || g.Protocol != binary.BigEndian.Uint16(b[2:]) {
			t.Fatalf("%+v, header of %d bytes", g, header)
		}
		// What lies behind the header has no say in it.
		h, _, fault := tunnel.ParseGENEVE(b[:header])
		if h != g || fault != tunnel.OK {
			t.Fatalf("without payload %+v, fault %d; with it %+v", h, fault, g)
		}
		again, rest, fault := tunnel.ParseGENEVE(tunnel.AppendGENEVE(nil, g))
		g.Reserved = false
		if again != g || len(rest) != 0 || fault != tunnel.OK {
			t.Fatalf("written back %+v, fault %d; want %+v", again, fault, g)
		}
	})
}

func BenchmarkParse(b *testing.B) {
	vxlan := tunnel.AppendVXLAN(nil, 5)
	b.Run("vxlan", func(b *testing.B) {
		for b.Loop() {
			tunnel.ParseVXLAN(vxlan)
		}
	})
	b.Run("geneve", func(b *testing.B) {
		for b.Loop() {
			tunnel.ParseGENEVE(aws)
		}
	})
}
