package capture

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/periscope-collector/periscope/packet"
)

// A lent is a copy of a datagram as Files lent it.
type lent struct {
	payload string
	packet.Datagram
}

// drain reads f to its end, holds every promise about batches, and returns what
// was in them.
func drain(t testing.TB, f *Files) (all []lent) {
	t.Helper()
	now := int64(0)
	for {
		b, err := f.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if n := len(b.Datagrams); n == 0 || n > fileBatchLen || len(b.Frames) != n || len(b.Assigned) != n {
			t.Fatalf("%d datagrams, %d frames, %d assigned", n, len(b.Frames), len(b.Assigned))
		}
		for _, d := range b.Datagrams {
			if d.Order != int64(len(all)) {
				t.Fatalf("order %d, want %d", d.Order, len(all))
			}
			now = max(now, d.Time)
			l := lent{Datagram: d}
			if d.Reason == packet.None {
				room := d.Off >= packet.Headroom || d.Off == 0 && d.Encap == packet.Bare
				if !room || d.Length < len(d.Buf)-d.Off || cap(d.Buf) != len(d.Buf) {
					t.Fatalf("offset %d in %d bytes of %d, length %d", d.Off, len(d.Buf), cap(d.Buf), d.Length)
				}
				clear(d.Buf[:d.Off]) // as stages may
				l.payload = string(d.Buf[d.Off:])
			}
			l.Buf, l.Off = nil, 0
			all = append(all, l)
		}
		if b.Mark != int64(len(all)) || b.Now != now {
			t.Fatalf("mark %d and now %d, want %d and %d", b.Mark, b.Now, len(all), now)
		}
		f.Release(b)
	}
	if b, err := f.Next(); b != nil || err != io.EOF {
		t.Fatalf("after the end: %v, %v", b, err)
	}
	return all
}

// openFiles opens a source that poisons what is released.
func openFiles(t testing.TB, c FileConfig) *Files {
	t.Helper()
	f, err := OpenFiles(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	f.poison = true
	return f
}

// store writes files into a new directory and returns their paths.
func store(t testing.TB, files ...[]byte) (paths []string) {
	t.Helper()
	dir := t.TempDir()
	for i, b := range files {
		path := filepath.Join(dir, string(rune('a'+i))+".pcap")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	return paths
}

// datagramSample is a whole packet with an Ethernet header.
func datagramSample(time int64, pkt []byte) sample { return sample{pkt, len(pkt), time} }

func TestFilesLendDatagrams(t *testing.T) {
	cut := frame(0x0800, ip4(vxlan))
	file := pcapFile(little, true, 1,
		datagramSample(nano, frame(0x0800, ip4(vxlan))),
		datagramSample(micro, frame(0x86dd, ip6(17, geneve))),
		datagramSample(late, frame(0x0806, make([]byte, 28))),
		sample{cut[:50], len(cut), nano},
		sample{frame(0x0800, ip4(vxlan, set(6, 0x20))), 1500, nano},
	)
	f := openFiles(t, FileConfig{Paths: store(t, file.b), BareVNI: -1})
	want := []lent{
		{body, packet.Datagram{Time: nano, Order: 0, Length: 25, Source: source4, Encap: packet.VXLAN}},
		{body, packet.Datagram{Time: micro, Order: 1, Length: 25, Source: source6, Encap: packet.GENEVE}},
		{"", packet.Datagram{Time: late, Order: 2, Length: 42, Reason: packet.NotTunnel}},
		{body[:8], packet.Datagram{Time: nano, Order: 3, Length: 25, Source: source4, Encap: packet.VXLAN}},
		{"", packet.Datagram{Time: nano, Order: 4, Length: 1500, Reason: packet.OuterFragment}},
	}
	all := drain(t, f)
	for i := range all {
		if all[i].payload != want[i].payload || !sameDatagram(all[i].Datagram, want[i].Datagram) {
			t.Errorf("datagram %d: %+v, want %+v", i, all[i], want[i])
		}
	}
	if len(all) != len(want) || f.Err() != nil {
		t.Errorf("%d datagrams, %v; want %d", len(all), f.Err(), len(want))
	}
}

// sameDatagram compares all but the buffers.
func sameDatagram(a, b packet.Datagram) bool {
	return a.Time == b.Time && a.Order == b.Order && a.Length == b.Length && a.Source == b.Source &&
		a.VNI == b.VNI && a.Encap == b.Encap && a.Reason == b.Reason
}

func TestFilesBare(t *testing.T) {
	inner := ip4([]byte("inner"))
	inner6 := ip6(17, []byte("inner"))
	sll := cat(make([]byte, 14), []byte{0x08, 0x06}, []byte("arp"))
	sll2 := cat([]byte{0x81, 0}, make([]byte, 18), []byte("vlan"))
	for _, tt := range []struct {
		name   string
		link   uint32
		pkt    []byte
		wire   int
		want   string
		length int
		not    packet.Reason
	}{
		{"ethernet as it is", 1, []byte("frame"), 60, "frame", 60, 0},
		{"empty ethernet", 1, nil, 0, "", 0, 0},
		{"raw IPv4", 101, inner, 100, string(frame(0x0800, inner)), 114, 0},
		{"raw IPv6", 101, inner6, len(inner6), string(frame(0x86dd, inner6)), len(inner6) + 14, 0},
		{"raw, neither version", 101, []byte{0x10}, 1, string(frame(0x0800, []byte{0x10})), 15, 0},
		{"raw, empty", 101, nil, 40, string(frame(0x0800, nil)), 54, 0},
		{"IPv6 link", 229, nil, 40, string(frame(0x86dd, nil)), 54, 0},
		{"cooked", 113, sll, 46, string(frame(0x0806, []byte("arp"))), 44, 0},
		{"cooked2", 276, sll2, len(sll2), string(frame(0x8100, []byte("vlan"))), 18, 0},
		{"cooked, header cut", 113, sll[:15], 46, "", 46, packet.NotTunnel},
		{"loopback", 0, cat([]byte{2, 0, 0, 0}, inner), 4 + len(inner), string(frame(0x0800, inner)), 14 + len(inner), 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			// A poisoned batch of before must not show through the zeros of the header.
			file := pcapFile(big, false, tt.link, slices.Repeat([]sample{{tt.pkt, tt.wire, micro}}, 2*fileBatchLen)...)
			f := openFiles(t, FileConfig{Paths: store(t, file.b), BareVNI: 1<<24 - 1, Batches: 1})
			all := drain(t, f)
			for _, d := range all {
				want := packet.Datagram{Time: micro, Order: d.Order, Length: tt.length, VNI: 1<<24 - 1, Encap: packet.Bare, Reason: tt.not}
				if d.payload != tt.want || !sameDatagram(d.Datagram, want) {
					t.Fatalf("got %q %+v, want %q %+v", d.payload, d.Datagram, tt.want, want)
				}
			}
			if len(all) != 2*fileBatchLen {
				t.Errorf("%d datagrams", len(all))
			}
		})
	}
}

// Several files are one input, whatever each of them is; damage in one does not
// keep the next from being read.
func TestFilesInOrder(t *testing.T) {
	one := func(text string, time int64) sample { return sample{[]byte(text), len(text), time} }
	ng := ngFile(big)
	ng.iface(1, 0)
	ng.enhanced(0, uint64(micro/1000), one("c", micro))
	ng.simple(one("timeless", 0))
	paths := store(t,
		pcapFile(little, true, 1, one("a", late), one("b", second)).b,
		nil,
		gzipped(t, ng.b),
		append(pcapFile(big, false, 1, one("d", second)).b, "cut"...),
		[]byte("no capture"),
		zstded(t, pcapFile(big, false, 1, one("e", second)).b),
		gzipped(t, nil),
	)
	stdin := bytes.NewReader(pcapFile(little, false, 1, one("standard input", second)).b)
	paths = append(paths, "-", filepath.Join(filepath.Dir(paths[0]), "h.pcap"))
	if err := os.WriteFile(paths[8], pcapFile(little, false, 1).b, 0o600); err != nil {
		t.Fatal(err)
	}
	f := openFiles(t, FileConfig{Paths: paths, Stdin: stdin, BareVNI: 7})
	if err := os.Remove(paths[8]); err != nil { // after the check
		t.Fatal(err)
	}
	var texts []string
	for _, d := range drain(t, f) {
		texts = append(texts, d.payload)
	}
	if want := []string{"a", "b", "c", "timeless", "d", "e", "standard input"}; !slices.Equal(texts, want) {
		t.Errorf("read %q, want %q", texts, want)
	}
	want := []string{
		paths[1] + ": damaged at offset 0: no capture file header: there is nothing in it",
		paths[3] + ": cut short at offset 41: the record needs at least 16 bytes, 3 are there",
		paths[4] + ": damaged at offset 0: no capture file header: it begins with 6e6f2063",
		paths[6] + ": damaged at offset 0 of the uncompressed stream: no capture file header: there is nothing in it",
		"open " + paths[8] + ": no such file or directory",
	}
	if msg := message(f.Err()); msg != strings.Join(want, "\n") {
		t.Errorf("errors\n%s\nwant\n%s", msg, strings.Join(want, "\n"))
	}
}

func TestFilesProgress(t *testing.T) {
	whole := pcapFile(little, false, 1, slices.Repeat(samples, 1000)...).b
	damaged := append(pcapFile(little, false, 1, samples...).b, make([]byte, 4<<20)...)
	damaged[len(samples)*pcapRecordLen+pcapHeaderLen+33+11] = 0xff // a packet of 4 GiB
	compressed := gzipped(t, whole)
	paths := store(t, compressed, damaged, whole)
	size := int64(len(compressed) + len(damaged) + len(whole))
	f := openFiles(t, FileConfig{Paths: paths, BareVNI: 0})
	if read, total := f.Progress(); read != 0 || total != size {
		t.Errorf("before: %d of %d, want 0 of %d", read, total, size)
	}
	n := len(drain(t, f))
	if read, total := f.Progress(); read != size || total != size {
		t.Errorf("after: %d of %d, want all of %d", read, total, size)
	}
	if n != 8004 || !strings.Contains(message(f.Err()), "claims a packet of") {
		t.Errorf("%d packets, %v", n, f.Err())
	}

	f = openFiles(t, FileConfig{Paths: append(paths, "-"), Stdin: bytes.NewReader(compressed), BareVNI: 0})
	n = len(drain(t, f))
	if read, total := f.Progress(); n != 12004 || read != size+int64(len(compressed)) || total != -1 {
		t.Errorf("with standard input: %d packets, %d of %d", n, read, total)
	}
}

func TestOpenFilesRefuses(t *testing.T) {
	whole := store(t, pcapFile(little, false, 1).b)[0]
	dir := filepath.Dir(whole)
	stdin := strings.NewReader("")
	for _, tt := range []struct {
		name string
		c    FileConfig
		want string
	}{
		{"no file", FileConfig{}, "no capture file given"},
		{"missing", FileConfig{Paths: []string{whole, dir + "/none.pcap"}}, dir + "/none.pcap: no such file or directory"},
		{"directory", FileConfig{Paths: []string{dir}}, "read " + dir + ": is a directory"},
		{"standard input twice", FileConfig{Paths: []string{"-", whole, "-"}, Stdin: stdin}, `standard input ("-") can be read only once`},
		{"VNI of 25 bits", FileConfig{Paths: []string{whole}, BareVNI: 1 << 24}, "VNI 16777216: not in 0 to 16777215"},
		{"batches of 257", FileConfig{Paths: []string{whole}, BatchLen: 257}, "batches of 257 datagrams: not in 0 to 256"},
		{"negative batches", FileConfig{Paths: []string{whole}, Batches: -1}, "-1 batches"},
	} {
		if f, err := OpenFiles(tt.c); f != nil || !strings.Contains(message(err), tt.want) {
			t.Errorf("%s: error %v, want %s", tt.name, err, tt.want)
		}
	}
	if os.Geteuid() == 0 {
		return // root reads everything
	}
	if err := os.Chmod(whole, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenFiles(FileConfig{Paths: []string{whole}}); !os.IsPermission(err) {
		t.Errorf("unreadable: error %v", err)
	}
}

// A pipe is not opened before its turn, and its size is not known.
func TestFilesNamedPipe(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	file := pcapFile(little, false, 1, samples...).b
	f := openFiles(t, FileConfig{Paths: append(store(t, file), pipe), BareVNI: 0})
	written := make(chan error)
	go func() { written <- os.WriteFile(pipe, file, 0) }()
	all := drain(t, f)
	if _, total := f.Progress(); len(all) != 8 || total != -1 || f.Err() != nil {
		t.Errorf("%d packets, total %d, %v", len(all), total, f.Err())
	}
	if err := <-written; err != nil {
		t.Error(err)
	}
}

func TestFilesBatchLen(t *testing.T) {
	file := pcapFile(little, false, 1, slices.Repeat(samples, fileBatchLen)...).b
	for asked, want := range map[int]int{0: fileBatchLen, 1: 1, 100: 100, fileBatchLen: fileBatchLen} {
		f := openFiles(t, FileConfig{Paths: []string{"-"}, Stdin: bytes.NewReader(file), BareVNI: 0, BatchLen: asked})
		b, err := f.Next()
		if err != nil || len(b.Datagrams) != want || b.Mark != int64(want) {
			t.Fatalf("BatchLen %d: %d datagrams, %v; want %d", asked, len(b.Datagrams), err, want)
		}
	}
}

var _ Source = (*Files)(nil)
