package capture

import (
	"bytes"
	"io"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/klauspost/compress/zstd"
)

// FuzzFiles holds of any bytes read as a capture file: the packets are counted
// in order and lie within the memory of their batch, none is longer than may
// be, there are no more than the bytes can hold, an error names an offset, and
// none of it depends on how the bytes arrive.
func FuzzFiles(f *testing.F) {
	for _, x := range fixtures() {
		f.Add(x.file.b, true)
		f.Add(x.file.b[:len(x.file.b)-1], false)
	}
	for _, tt := range outerCases() {
		for number := range uint32(300) {
			if linkOf(number) == tt.link {
				f.Add(pcapFile(little, true, number, datagramSample(nano, tt.pkt)).b, false)
				break
			}
		}
	}
	compressed := pcapFile(big, false, 1, samples...).b
	f.Add(gzipped(f, compressed), true)
	f.Add(zstded(f, compressed, zstd.WithWindowSize(zstd.MinWindowSize)), true)
	f.Add(zstded(f, slices.Repeat(compressed, 1000)), false)

	// One source for all runs: its memory takes longer to make than a run.
	source := openFiles(f, FileConfig{Paths: []string{"-"}, Stdin: strings.NewReader(""), Batches: 1})
	read := func(t *testing.T, r io.Reader, bareVNI int64) ([]lent, string) {
		source.paths, source.stdin, source.bareVNI = []string{"-"}, r, bareVNI
		source.order, source.now, source.errs = 0, 0, nil
		source.read.Store(0)
		return drain(t, source), message(source.Err())
	}
	f.Fuzz(func(t *testing.T, file []byte, bare bool) {
		vni := int64(-1)
		if bare {
			vni = 1
		}
		all, damage := read(t, bytes.NewReader(file), vni)
		captured := 0
		for _, d := range all {
			captured += len(d.payload)
			if len(d.payload) > maxPacket+14 || d.Length > math.MaxUint32+14 || d.Time < 0 || d.Time > maxTime {
				t.Fatalf("%d bytes of %d at %d", len(d.payload), d.Length, d.Time)
			}
		}
		if !isGzip(file) && !isZstd(file[:min(4, len(file))]) && captured+2*len(all) > len(file) {
			t.Fatalf("%d packets of %d bytes out of %d", len(all), captured, len(file))
		}
		if damage != "" && !strings.Contains(damage, " at offset ") {
			t.Fatal(damage)
		}
		if n, _ := source.Progress(); n > int64(len(file)) {
			t.Fatalf("read %d of %d bytes", n, len(file))
		}
		again, sameDamage := read(t, iotest.HalfReader(bytes.NewReader(file)), vni)
		if damage != sameDamage || !slices.EqualFunc(all, again, func(a, b lent) bool {
			return a.payload == b.payload && sameDatagram(a.Datagram, b.Datagram)
		}) {
			t.Fatalf("read in halves it differs: %q, %q", damage, sameDamage)
		}
	})
}
