package capture

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
)

func TestDamage(t *testing.T) {
	// edit overwrites bytes of a fixture.
	edit := func(f *builder, at int, b ...byte) []byte {
		out := bytes.Clone(f.b)
		copy(out[at:], b)
		return out
	}
	oneNG := func() *builder { // section 28 bytes, interface 20, packet from 48
		f := ngFile(little)
		f.iface(1, 0)
		f.enhanced(0, 1, sample{data: []byte("data"), wire: 4})
		return f
	}
	long := func(n int) *builder { return pcapFile(little, false, 1, sample{data: make([]byte, n), wire: n}) }
	longNG := ngFile(big)
	longNG.iface(1, 0)
	longNG.enhanced(0, 0, sample{data: make([]byte, maxPacket+1), wire: maxPacket + 1})
	// commented has a packet with options, in a block of n bytes at 48.
	commented := func(n int) []byte {
		f := oneNG()
		f.block(enhancedBlock, func() {
			f.u32(0, 0, 0, 4, 4)
			f.b = append(f.b, make([]byte, n-32)...)
		})
		return slices.Concat(f.b[:48], f.b[84:])
	}
	window := make([]byte, windowLen)
	for _, tt := range []struct {
		name    string
		file    []byte
		packets int
		want    string
	}{
		{"text", []byte("hello, world"), 0, `damaged at offset 0: no capture file header: it begins with 68656c6c`},
		{"modified pcap", []byte("\x34\xcd\xb2\xa1____"), 0, "no capture file header"},
		{"pcap version", edit(long(1), 6, 3), 0, "damaged at offset 0: pcap version 2.3"},
		{"pcap link type", edit(long(1), 20, 147), 0, "damaged at offset 0: link type 147: only Ethernet (1)"},
		{"longest packet", long(maxPacket).b, 1, ""},
		{"too long a packet", long(maxPacket + 1).b, 0, "damaged at offset 24: it claims a packet of 262145 bytes"},
		{"packet of 4 GiB", edit(long(20), 32, 255, 255, 255, 255), 0, "damaged at offset 24: it claims a packet of 4294967295 bytes"},
		{"wire length below captured", edit(long(20), 36, 1), 1, ""},

		{"pcapng whole", oneNG().b, 1, ""},
		{"pcapng byte order", edit(oneNG(), 8, 0), 0, "damaged at offset 0: byte-order magic"},
		{"pcapng version", edit(oneNG(), 12, 2), 0, "damaged at offset 0: pcapng version 2.0"},
		{"section too short", edit(oneNG(), 4, 24), 0, "damaged at offset 0: it claims 24 bytes"},
		{"block not of words", edit(oneNG(), 32, 21), 0, "damaged at offset 28: it claims a block of 21 bytes"},
		{"block of 8 bytes", edit(oneNG(), 32, 8), 0, "damaged at offset 28: it claims a block of 8 bytes"},
		{"block of 4 GiB", edit(oneNG(), 52, 0xfc, 255, 255, 255), 0, "damaged at offset 48: it claims 4294967292 bytes for a block of type 0x6"},
		{"longest block", commented(windowLen), 1, ""},
		{"too long a block", commented(windowLen + 4), 0, "damaged at offset 48: it claims 1048580 bytes for a block of type 0x6"},
		{"unknown block of 4 GiB", edit(oneNG(), 48, 99, 0, 0, 0, 0xfc, 255, 255, 255), 0, "cut short at offset 48"},
		{"length again", edit(oneNG(), 44, 24), 0, "damaged at offset 28: it claims a block of 20 bytes at its beginning, of 24 at its end"},
		{"length again, unknown block", edit(unknownFixture(), 28+16, 24), 0, "damaged at offset 28: it claims a block of 20 bytes at its beginning"},
		{"interface not described", edit(oneNG(), 56, 1), 0, "damaged at offset 48: a packet of interface 1,"},
		{"interface of the section before", sectionWithoutInterface(), 1, "damaged at offset 112: a packet of interface 0,"},
		{"longer than the block", edit(oneNG(), 68, 5), 0, "damaged at offset 48: it claims a packet of 5 bytes"},
		{"pcapng too long a packet", longNG.b, 0, "damaged at offset 48: it claims a packet of 262145 bytes"},
		{"damage after a packet", append(oneNG().b, make([]byte, 12)...), 1, "damaged at offset 84: it claims a block of 0 bytes"},
		{"gzip garbage behind", append(gzipped(t, oneNG().b), "garbage..."...), 1, "damaged at offset 84 of the uncompressed stream: gzip"},
		{"zstd window of 1 GiB", append([]byte("\x28\xb5\x2f\xfd\x00\xa0"), make([]byte, 100)...), 0, "damaged at offset 0 of the uncompressed stream: window size exceeded"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			all, err := records(bytes.NewReader(tt.file), window)
			msg := message(err)
			if len(all) != tt.packets || !strings.Contains(msg, tt.want) || (tt.want == "") != (msg == "") {
				t.Errorf("%d packets, error %q; want %d, %q", len(all), msg, tt.packets, tt.want)
			}
			for _, r := range all {
				if r.length < len(r.data) {
					t.Errorf("length %d below the %d bytes captured", r.length, len(r.data))
				}
			}
		})
	}
}

func sectionWithoutInterface() []byte {
	f := ngFile(little)
	f.iface(1, 0)
	f.enhanced(0, 0, sample{data: []byte("data"), wire: 4})
	f.section(little)
	f.enhanced(0, 0, sample{data: []byte("data"), wire: 4})
	return f.b
}

func TestInterfacesBounded(t *testing.T) {
	f := ngFile(little)
	for range maxInterfaces {
		f.iface(1, 0)
	}
	f.enhanced(maxInterfaces-1, 0, samples[0])
	at := len(f.b)
	f.iface(1, 0)
	all, err := records(bytes.NewReader(f.b), make([]byte, windowLen))
	if want := fmt.Sprintf("damaged at offset %d: more than 65536 interfaces", at); len(all) != 1 || !strings.Contains(message(err), want) {
		t.Errorf("%d packets, error %v; want 1, %s", len(all), err, want)
	}
}

func TestReaderThatGivesNothing(t *testing.T) {
	_, err := records(nothing{}, make([]byte, windowLen))
	if !strings.Contains(message(err), io.ErrNoProgress.Error()) {
		t.Errorf("error %v", err)
	}
}

type nothing struct{}

func (nothing) Read([]byte) (int, error) { return 0, nil }
