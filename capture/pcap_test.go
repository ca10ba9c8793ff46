package capture

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
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
