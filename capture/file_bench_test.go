package capture

import (
	"bytes"
	"io"
	"slices"
	"testing"
)

// An endless reader repeats what follows the first bytes of a file.
type endless struct {
	first, again []byte
	at           int
}

func (e *endless) Read(b []byte) (n int, err error) {
	for n < len(b) {
		from := e.again
		if e.first != nil {
			from = e.first
		}
		m := copy(b[n:], from[e.at:])
		n += m
		if e.at += m; e.at == len(from) {
			e.first, e.at = nil, 0
		}
	}
	return n, nil
}

// tunnelSample is a packet of 600 bytes.
func tunnelSample() sample {
	payload := udpTo(4789, 600-34)
	payload = append(payload, make([]byte, 600-34-len(payload))...)
	return datagramSample(nano, frame(0x0800, ip4(payload)))
}

func TestFilesAllocateNothing(t *testing.T) {
	classic := pcapFile(little, true, 1, tunnelSample()).b
	ng := ngFile(big)
	ng.iface(1, 0)
	head := len(ng.b)
	ng.enhanced(0, 1, tunnelSample())
	ng.simple(tunnelSample())
	ng.block(99, func() {})
	for _, tt := range []struct {
		name string
		r    io.Reader
		bare int64
	}{
		{"pcap", &endless{first: classic[:24], again: classic[24:]}, -1},
		{"pcap bare", &endless{first: classic[:24], again: classic[24:]}, 1},
		{"pcapng", &endless{first: ng.b[:head], again: ng.b[head:]}, -1},
		{"gzip", bytes.NewReader(gzipped(t, slices.Concat(classic[:24], bytes.Repeat(classic[24:], 40_000)))), -1},
		{"zstd", bytes.NewReader(zstded(t, slices.Concat(classic[:24], bytes.Repeat(classic[24:], 40_000)))), -1},
	} {
		f := openFiles(t, FileConfig{Paths: []string{"-"}, Stdin: tt.r, BareVNI: tt.bare})
		datagrams := 0
		next := func() {
			b, err := f.Next()
			if err != nil {
				t.Fatal(err)
			}
			datagrams += len(b.Datagrams)
			f.Release(b)
		}
		for range 50 {
			next() // what a decompressor takes once
		}
		if n := testing.AllocsPerRun(100, next); n != 0 || datagrams < 100*fileBatchLen {
			t.Errorf("%s: %v allocations a batch, %d datagrams", tt.name, n, datagrams)
		}
	}
}

// BenchmarkFiles reads a file of 600-byte packets that the page cache holds.
// MB/s is of the uncompressed file; 1e9 over packets/s are the nanoseconds.
func BenchmarkFiles(b *testing.B) {
	const packets = 100_000
	classic := pcapFile(little, true, 1, tunnelSample()).b
	file := slices.Concat(classic[:24], bytes.Repeat(classic[24:], packets))
	paths := store(b, file, gzipped(b, file), zstded(b, file))
	for i, name := range []string{"plain", "gzip", "zstd"} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(file)))
			b.ReportAllocs()
			for b.Loop() {
				readFile(b, paths[i], packets)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/packets, "ns/packet")
		})
	}
}

func readFile(b *testing.B, path string, packets int) {
	f, err := OpenFiles(FileConfig{Paths: []string{path}, BareVNI: -1})
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	n := 0
	for {
		batch, err := f.Next()
		if err != nil {
			break
		}
		n += len(batch.Datagrams)
		f.Release(batch)
	}
	if n != packets || f.Err() != nil {
		b.Fatalf("%d packets, %v", n, f.Err())
	}
}
