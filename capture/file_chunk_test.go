package capture

import (
	"bytes"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/periscope-collector/periscope/packet"
)

// manyChunks returns a file of several chunks of one packet, repeated.
func manyChunks(s sample) []byte {
	one := pcapFile(little, true, 1, s).b
	return slices.Concat(one[:pcapHeaderLen], bytes.Repeat(one[pcapHeaderLen:], 5*readLen/len(one)))
}

// Where batches end depends neither on how the bytes arrive nor on how many
// batches are lent.
func TestFilesBatchesDependOnTheBytesAlone(t *testing.T) {
	ng := ngFile(big)
	ng.iface(1, 0)
	for i := range 200 {
		ng.enhanced(0, 1, sample{data: make([]byte, 7_001*(i%5)), wire: 50_000})
		ng.block(99, func() { ng.b = append(ng.b, make([]byte, 100_000*(i%4))...) })
	}
	for name, file := range map[string][]byte{"pcap": manyChunks(tunnelSample()), "pcapng": ng.b} {
		var want []int
		for _, batches := range []int{1, 2, 7} {
			for _, r := range []io.Reader{bytes.NewReader(file), iotest.HalfReader(bytes.NewReader(file)), oneKilobyte{bytes.NewReader(file)}} {
				got := batchLens(t, openFiles(t, FileConfig{Paths: []string{"-"}, Stdin: r, BareVNI: 0, Batches: batches}), batches)
				if want == nil {
					want = got
				}
				if !slices.Equal(got, want) {
					t.Errorf("%s, %d batches, %T: %v, want %v", name, batches, r, got, want)
				}
			}
		}
		if slices.Max(want) == slices.Min(want) {
			t.Errorf("%s: no batch ends with a chunk: %v", name, want)
		}
	}
}

type oneKilobyte struct{ io.Reader }

func (r oneKilobyte) Read(b []byte) (int, error) { return r.Reader.Read(b[:min(len(b), 1024)]) }

// batchLens reads f to its end, keeping lent as many batches as may be.
func batchLens(t *testing.T, f *Files, batches int) (lens []int) {
	t.Helper()
	var lent []*packet.Batch
	for {
		if len(lent) == batches {
			f.Release(lent[0])
			lent = lent[1:]
		}
		b, err := f.Next()
		if err != nil {
			break
		}
		lens, lent = append(lens, len(b.Datagrams)), append(lent, b)
	}
	if err := f.Err(); err != nil {
		t.Error(err)
	}
	for _, b := range lent {
		f.Release(b)
	}
	if n := len(f.chunks); n != batches {
		t.Errorf("%d chunks are free at the end, want %d", n, batches)
	}
	return lens
}

// What is lent stays as it is while the file is read on, whoever holds how
// much of it, and whatever stages do with the room in front.
func TestFilesLendInPlace(t *testing.T) {
	for _, tt := range []struct {
		name string
		link uint32
		bare int64
		pkt  []byte
	}{
		{"tunnel", 1, -1, frame(0x0800, ip4(vxlan))},
		{"bare", 1, 0, []byte("a bare frame of this length")},
		{"bare IP", 101, 0, ip4([]byte("without Ethernet header"))},
	} {
		t.Run(tt.name, func(t *testing.T) {
			one := pcapFile(little, true, tt.link, datagramSample(nano, tt.pkt)).b
			file := slices.Concat(one[:pcapHeaderLen], bytes.Repeat(one[pcapHeaderLen:], 5*readLen/len(one)))
			f := openFiles(t, FileConfig{Paths: store(t, file), BareVNI: tt.bare, Batches: 4})
			var lent []*packet.Batch
			want := ""
			for {
				if len(lent) == 4 { // the first and the last stay longest
					f.Release(lent[1])
					lent = slices.Delete(lent, 1, 2)
				}
				b, err := f.Next()
				if err != nil {
					break
				}
				lent = append(lent, b)
				for _, b := range lent {
					for _, d := range b.Datagrams {
						clear(d.Buf[:d.Off])
						got := string(d.Buf[d.Off:])
						if want == "" {
							want = got
						}
						if got != want {
							t.Fatalf("datagram %d is %q, want %q", d.Order, got, want)
						}
					}
				}
			}
			for _, b := range lent {
				f.Release(b)
			}
		})
	}
}

// A file that shrinks while it is read is no reason to fail otherwise, wherever
// it ends then.
func TestFilesShrink(t *testing.T) {
	s := tunnelSample()
	file, record := manyChunks(s), pcapRecordLen+len(s.data)
	for name, size := range map[string]int{
		"between records":      pcapHeaderLen + 1000*record,
		"within a record":      pcapHeaderLen + 1000*record + 20,
		"behind what was read": pcapHeaderLen,
		"to nothing":           0,
	} {
		t.Run(name, func(t *testing.T) {
			path := store(t, file)[0]
			f := openFiles(t, FileConfig{Paths: []string{path, store(t, file)[0]}, BareVNI: -1})
			b, err := f.Next()
			if err != nil {
				t.Fatal(err)
			}
			n := len(b.Datagrams)
			f.Release(b)
			if err := os.Truncate(path, int64(size)); err != nil {
				t.Fatal(err)
			}
			for b, err := f.Next(); err == nil; b, err = f.Next() {
				n += len(b.Datagrams)
				f.Release(b)
			}
			records := len(file) / record
			least := records + max(readLen, size)/record - 1 // of both files
			if n < least || n >= 2*records {
				t.Errorf("%d datagrams, want at least %d", n, least)
			}
			if msg := message(f.Err()); !strings.HasPrefix(msg, path+": shrank while it was read, from ") || strings.Contains(msg, "\n") {
				t.Errorf("error %q", msg)
			}
		})
	}
}
