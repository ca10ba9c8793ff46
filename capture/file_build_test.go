package capture

import (
	"bytes"
	"encoding/binary"
	"io"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// A sample is a packet as a test writes it into a capture file.
type sample struct {
	data []byte
	wire int   // at least len(data)
	time int64 // nanoseconds
}

// An appendOrder is binary.LittleEndian or binary.BigEndian.
type appendOrder interface {
	binary.ByteOrder
	binary.AppendByteOrder
}

// A builder writes a capture file, and remembers where its records end.
type builder struct {
	order appendOrder
	b     []byte
	whole map[int]int // length of the file up to there -> packets in it
	n     int         // packets
}

func (f *builder) u16(v ...uint16) {
	for _, v := range v {
		f.b = f.order.AppendUint16(f.b, v)
	}
}

func (f *builder) u32(v ...uint32) {
	for _, v := range v {
		f.b = f.order.AppendUint32(f.b, v)
	}
}

// mark says that the file is whole here.
func (f *builder) mark() { f.whole[len(f.b)] = f.n }

// pcapFile returns a pcap file of the samples; times are cut to microseconds
// unless nano.
func pcapFile(order appendOrder, nano bool, link uint32, samples ...sample) *builder {
	f := &builder{order: order, whole: map[int]int{}}
	magic, unit := uint32(magicMicro), int64(1000)
	if nano {
		magic, unit = magicNano, 1
	}
	f.u32(magic)
	f.u16(2, 4)
	f.u32(0, 0, 65535, link)
	f.mark()
	for _, s := range samples {
		f.u32(uint32(s.time/1e9), uint32(s.time%1e9/unit), uint32(len(s.data)), uint32(s.wire))
		f.b = append(f.b, s.data...)
		f.n++
		f.mark()
	}
	return f
}

// ngFile returns a pcapng file with a section header, and nothing else yet.
func ngFile(order appendOrder) *builder {
	f := &builder{order: order, whole: map[int]int{}}
	f.section(order)
	return f
}

func (f *builder) block(kind uint32, body func()) {
	start := len(f.b)
	f.u32(kind, 0)
	body()
	for len(f.b)%4 != 0 {
		f.b = append(f.b, 0)
	}
	n := uint32(len(f.b) - start + 4)
	f.order.PutUint32(f.b[start+4:], n)
	f.u32(n)
	f.mark()
}

func (f *builder) section(order appendOrder) {
	f.order = order
	f.block(sectionBlock, func() {
		f.u32(magicOrder)
		f.u16(1, 0)
		f.u32(0xffffffff, 0xffffffff)
	})
}

// option is the value of an option of an interface, or none for a nil value.
type option struct {
	code  uint16
	value []byte
}

func (f *builder) iface(link uint16, snaplen uint32, options ...option) {
	f.block(interfaceBlock, func() {
		f.u16(link, 0)
		f.u32(snaplen)
		for _, o := range options {
			f.u16(o.code, uint16(len(o.value)))
			f.b = append(f.b, o.value...)
			for len(f.b)%4 != 0 {
				f.b = append(f.b, 0)
			}
		}
	})
}

// enhanced adds a packet; units is its time as the interface counts it.
func (f *builder) enhanced(iface uint32, units uint64, s sample) {
	f.n++
	f.block(enhancedBlock, func() {
		f.u32(iface, uint32(units>>32), uint32(units), uint32(len(s.data)), uint32(s.wire))
		f.b = append(f.b, s.data...)
	})
}

// obsolete adds a packet in a Packet Block, which counts drops.
func (f *builder) obsolete(iface uint16, units uint64, s sample) {
	f.n++
	f.block(packetBlock, func() {
		f.u16(iface, 7)
		f.u32(uint32(units>>32), uint32(units), uint32(len(s.data)), uint32(s.wire))
		f.b = append(f.b, s.data...)
	})
}

func (f *builder) simple(s sample) {
	f.n++
	f.block(simpleBlock, func() {
		f.u32(uint32(s.wire))
		f.b = append(f.b, s.data...)
	})
}

func gzipped(t testing.TB, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	write(t, w, b)
	return out.Bytes()
}

func zstded(t testing.TB, b []byte, options ...zstd.EOption) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := zstd.NewWriter(&out, append(options, zstd.WithEncoderConcurrency(1))...)
	if err != nil {
		t.Fatal(err)
	}
	write(t, w, b)
	return out.Bytes()
}

func write(t testing.TB, w io.WriteCloser, b []byte) {
	t.Helper()
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}
