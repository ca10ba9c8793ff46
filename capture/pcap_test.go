package capture

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"
)

var (
	little = binary.LittleEndian
	big    = binary.BigEndian
)

// A got is a record as it was read.
type got struct {
	data   string
	length int
	time   int64
	link   link
}

// records reads all of a file, compressed or not.
func records(r io.Reader, window []byte) (all []got, err error) {
	in := input{file: io.NopCloser(r), stream: stream{buf: window}, read: new(atomic.Int64)}
	for {
		var rec record
		if err := in.next(&rec); err != nil {
			if err == io.EOF {
				err = nil
			}
			return all, err
		}
		all = append(all, got{string(rec.data), rec.length, rec.time, rec.link})
	}
}

// Times with nothing, microseconds and nanoseconds below the second; the last
// one is past 2038, where 31 bits end.
const (
	second = int64(1_561_644_070_000_000_000)
	micro  = second + 47_299_000
	nano   = second + 47_299_123
	late   = int64(4_294_967_295_999_999_999)
)

// samples differ in length, so that padding and cutting show.
var samples = []sample{
	{[]byte("first"), 5, micro},
	{nil, 0, nano},
	{[]byte("cut by a snap length"), 1500, late},
	{[]byte("12345678"), 8, second}, // back in time
}

// expect is what samples are read as, with the time counted in units of the
// given number of nanoseconds.
func expect(l link, unit int64) (all []got) {
	for _, s := range samples {
		all = append(all, got{string(s.data), s.wire, s.time / unit * unit, l})
	}
	return all
}

// A fixture is a capture file and what is in it.
type fixture struct {
	name string
	file *builder
	want []got
}

func fixtures() (all []fixture) {
	add := func(name string, f *builder, want []got) { all = append(all, fixture{name, f, want}) }
	for _, order := range []appendOrder{little, big} {
		name := order.String()
		add("pcap/micro/"+name, pcapFile(order, false, 1, samples...), expect(ethernet, 1000))
		add("pcap/nano/"+name, pcapFile(order, true, 276, samples...), expect(cooked2, 1))

		f := ngFile(order)
		f.iface(1, 0)
		f.iface(101, 65535, option{2, []byte("eth0")}, option{optionResolution, []byte{9}}, option{optionEnd, nil})
		var want []got
		for i, s := range samples {
			f.enhanced(0, uint64(s.time/1000), s)
			f.enhanced(1, uint64(s.time), s)
			want = append(want, expect(ethernet, 1000)[i], expect(rawIP, 1)[i])
		}
		add("pcapng/interfaces/"+name, f, want)

		f = ngFile(order)
		f.iface(113, 0)
		want = nil
		for i, s := range samples {
			f.obsolete(0, uint64(s.time/1000), s)
			want = append(want, expect(cooked, 1000)[i])
		}
		add("pcapng/obsolete/"+name, f, want)
	}
	add("pcapng/simple", simpleFixture(), []got{
		{"no time", 7, 0, ethernet},
		{"timed", 5, micro, ethernet},
		{"snap le", 100, micro, ethernet},
	})
	add("pcapng/sections", sectionsFixture(), []got{
		{"one", 3, micro, ethernet}, {"two", 3, micro, rawIPv6}, {"three", 5, micro, ethernet},
	})
	add("pcapng/unknown blocks", unknownFixture(), []got{{"between", 7, micro, ethernet}})
	add("pcap/no packets", pcapFile(little, false, 0x14000001, nil...), nil) // FCS bits set
	add("pcapng/no interfaces", ngFile(big), nil)
	return all
}

func simpleFixture() *builder {
	f := ngFile(little)
	f.iface(1, 7)
	f.simple(sample{data: []byte("no time"), wire: 7})
	f.enhanced(0, uint64(micro/1000), sample{data: []byte("timed"), wire: 5})
	f.simple(sample{data: []byte("snap le"), wire: 100}) // padded: the block has room for 8
	return f
}

func sectionsFixture() *builder {
	f := ngFile(little)
	f.iface(1, 0)
	f.enhanced(0, uint64(micro/1000), sample{data: []byte("one"), wire: 3})
	f.section(big)
	f.iface(229, 0)
	f.enhanced(0, uint64(micro/1000), sample{data: []byte("two"), wire: 3})
	f.section(big)
	f.iface(1, 0)
	f.enhanced(0, uint64(micro/1000), sample{data: []byte("three"), wire: 5})
	return f
}

func unknownFixture() *builder {
	f := ngFile(big)
	f.block(4, func() { f.u32(0, 0) }) // name resolution
	f.iface(250, 0)                    // of a link type that is not read, without packets
	f.iface(1, 0)
	f.block(0x0bad, func() {}) // custom, empty
	f.enhanced(1, uint64(micro/1000), sample{data: []byte("between"), wire: 7})
	f.block(5, func() { f.b = append(f.b, make([]byte, 500)...) }) // statistics
	return f
}

func TestFormats(t *testing.T) {
	window := make([]byte, windowLen)
	for _, f := range fixtures() {
		for name, data := range map[string][]byte{
			"plain": f.file.b, "gzip": gzipped(t, f.file.b), "zstd": zstded(t, f.file.b),
			"gzip members":   append(gzipped(t, f.file.b[:9]), gzipped(t, f.file.b[9:])...),
			"zstd frames":    append(zstded(t, f.file.b[:9]), zstded(t, f.file.b[9:])...),
			"zstd skippable": append([]byte("\x50\x2a\x4d\x18\x04\x00\x00\x00any!"), zstded(t, f.file.b)...),
		} {
			t.Run(f.name+"/"+name, func(t *testing.T) {
				for reader, r := range map[string]io.Reader{
					"whole":    bytes.NewReader(data),
					"bytewise": iotest.OneByteReader(bytes.NewReader(data)),
					"early":    iotest.DataErrReader(bytes.NewReader(data)),
				} {
					all, err := records(r, window)
					if err != nil || !slices.Equal(all, f.want) {
						t.Errorf("%s: read %+v, %v; want %+v", reader, all, err, f.want)
					}
				}
			})
		}
	}
}

// A file that ends anywhere gives every packet before the end, and an error
// exactly when a record is cut, which names where that record begins.
func TestTruncatedAtEveryLength(t *testing.T) {
	window := make([]byte, windowLen)
	for _, f := range fixtures() {
		t.Run(f.name, func(t *testing.T) {
			packets, boundary := 0, 0
			for n := range len(f.file.b) + 1 {
				count, whole := f.file.whole[n]
				if whole {
					packets, boundary = count, n
				}
				all, err := records(bytes.NewReader(f.file.b[:n]), window)
				if !slices.Equal(all, f.want[:packets]) {
					t.Fatalf("%d bytes: read %+v, want the first %d", n, all, packets)
				}
				want := fmt.Sprintf("cut short at offset %d:", boundary)
				switch {
				case n == 0:
					want = "damaged at offset 0: no capture file header"
				case whole:
					want = ""
				}
				if msg := message(err); msg == "" != (want == "") || !strings.HasPrefix(msg, want) {
					t.Fatalf("%d bytes: error %q, want %q", n, msg, want)
				}
			}
		})
	}
}

func message(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// A compressed file that ends anywhere gives what was compressed before, and
// always an error.
func TestTruncatedCompressed(t *testing.T) {
	window := make([]byte, windowLen)
	for _, f := range fixtures() {
		for name, data := range map[string][]byte{"gzip": gzipped(t, f.file.b), "zstd": zstded(t, f.file.b)} {
			for n := range data {
				all, err := records(bytes.NewReader(data[:n]), window)
				if len(all) > len(f.want) || !slices.Equal(all, f.want[:len(all)]) {
					t.Fatalf("%s %s, %d bytes: read %+v", name, f.name, n, all)
				}
				if !strings.Contains(message(err), " at offset ") {
					t.Fatalf("%s %s, %d bytes: error %v", name, f.name, n, err)
				}
			}
		}
	}
}

// What was decompressed before the damage is read, up to the last record.
func TestCompressedDamage(t *testing.T) {
	whole := pcapFile(little, false, 1, slices.Repeat(samples[:1], 100_000)...)
	window := make([]byte, windowLen)
	for name, data := range map[string][]byte{"gzip": gzipped(t, whole.b), "zstd": zstded(t, whole.b)} {
		all, err := records(bytes.NewReader(data[:len(data)-9]), window)
		offset := fmt.Sprintf("offset %d of the uncompressed stream: %s", pcapHeaderLen+len(all)*21, name)
		if len(all) < 10_000 || !strings.Contains(message(err), offset) {
			t.Errorf("%s: %d packets, error %v, want %s", name, len(all), err, offset)
		}
	}
}

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
		{"pcapng link type", edit(oneNG(), 36, 250), 0, "damaged at offset 48: a packet of link type 250:"},
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

func TestClock(t *testing.T) {
	resolution := func(v byte) option { return option{optionResolution, []byte{v}} }
	offset := func(seconds int64) option {
		return option{optionOffset, big.AppendUint64(nil, uint64(seconds))}
	}
	for _, tt := range []struct {
		name    string
		options []option
		units   uint64
		want    int64
		err     string
	}{
		{"default", nil, uint64(micro / 1000), micro, ""},
		{"seconds", []option{resolution(0)}, uint64(second / 1e9), second, ""},
		{"milliseconds", []option{resolution(3)}, uint64(second / 1e6), second, ""},
		{"nanoseconds", []option{resolution(9)}, uint64(nano), nano, ""},
		{"picoseconds", []option{resolution(12)}, 1_500_000_000_999, 1_500_000_000, ""},
		{"10^-28", []option{resolution(28)}, math.MaxUint64, 1, ""},
		{"10^-29", []option{resolution(29)}, 0, 0, "interface 0: time resolution 0x1d"},
		{"2^0", []option{resolution(0x80)}, uint64(second / 1e9), second, ""},
		{"2^-10", []option{resolution(0x8a)}, uint64(second/1e9)<<10 | 512, second + 5e8, ""},
		{"2^-32", []option{resolution(0xa0)}, uint64(second/1e9)<<32 | 1<<30, second + 25e7, ""},
		{"2^-63", []option{resolution(0xbf)}, 3 << 62, 15e8, ""},
		{"2^-64", []option{resolution(0xc0)}, 0, 0, "interface 0: time resolution 0xc0"},
		{"offset", []option{offset(3600)}, uint64(micro / 1000), micro + 3600e9, ""},
		{"offset back", []option{resolution(9), offset(-1)}, 1e9 + 5, 5, ""},
		{"before 1970", []option{offset(-2)}, 1_000_000, 0, ""},
		{"time too large", []option{resolution(0)}, math.MaxUint64, maxTime, ""},
		{"time and offset too large", []option{resolution(0), offset(4_000_000_000)}, math.MaxUint64, maxTime, ""},
		{"offset too large", []option{offset(math.MaxInt64)}, 0, 0, "interface 0: time offset of 9223372036854775807 s"},
		{"offset too small", []option{offset(math.MinInt64)}, 0, 0, "interface 0: time offset of -9223372036854775808 s"},
		{"options end before", []option{{optionEnd, nil}, resolution(0)}, uint64(micro / 1000), micro, ""},
		{"resolution of 2 bytes is not one", []option{{optionResolution, []byte{9, 9}}}, uint64(micro / 1000), micro, ""},
		{"padding", []option{{2, []byte("a")}, {2, []byte("abcde")}, resolution(9)}, uint64(nano), nano, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := ngFile(big)
			f.iface(1, 0, tt.options...)
			f.enhanced(0, tt.units, samples[0])
			all, err := records(bytes.NewReader(f.b), make([]byte, windowLen))
			if tt.err != "" {
				if !strings.Contains(message(err), tt.err) {
					t.Errorf("error %v, want %s", err, tt.err)
				}
				return
			}
			if err != nil || len(all) != 1 || all[0].time != tt.want {
				t.Errorf("read %+v, %v; want time %d", all, err, tt.want)
			}
		})
	}
	f := ngFile(big)
	f.iface(1, 0, option{2, []byte("name")})
	f.b[28+16+3] = 5 // the length of the option
	if _, err := records(bytes.NewReader(f.b), make([]byte, windowLen)); !strings.Contains(message(err), "option 2 of 5 bytes runs past the block") {
		t.Errorf("option too long: error %v", err)
	}
}
