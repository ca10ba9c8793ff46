package capture

import (
	"bytes"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/periscope-collector/periscope/packet"
)

// Every batch lent is memory; beyond the configured number Next waits.
func TestFilesBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := pcapFile(little, false, 1, slices.Repeat(samples, 3*fileBatchLen)...) // 12 batches
		f := openFiles(t, FileConfig{Paths: []string{"-"}, Stdin: bytes.NewReader(file.b), BareVNI: 0, Batches: 2})
		got := make(chan *packet.Batch, 100)
		go func() {
			defer close(got)
			for {
				b, err := f.Next()
				if err != nil {
					return
				}
				got <- b
			}
		}()
		for lent := 2; lent <= 5; lent++ {
			synctest.Wait()
			if len(got) != 2 {
				t.Fatalf("%d batches are lent, want 2", len(got))
			}
			f.Release(<-got)
		}
		synctest.Wait()
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		synctest.Wait() // the waiting Next returned, or the test would not end
		kept := <-got
		if b := <-got; b == nil || <-got != nil {
			t.Error("want two batches lent when closed, and none after")
		}
		if d := kept.Datagrams[0]; string(d.Buf[d.Off:]) != "first" {
			t.Errorf("a batch lent changed by closing: %q", d.Buf[d.Off:])
		}
		if _, err := f.Next(); err != io.EOF {
			t.Errorf("after Close: %v", err)
		}
	})
}

// What is released is poisoned, and nothing else is touched by that.
func TestFilesReleasePoisons(t *testing.T) {
	file := pcapFile(little, false, 1, slices.Repeat(samples, fileBatchLen)...)
	f := openFiles(t, FileConfig{Paths: []string{"-"}, Stdin: bytes.NewReader(file.b), BareVNI: 0, Batches: 2})
	a, _ := f.Next()
	b, _ := f.Next()
	first, second := a.Datagrams[0], b.Datagrams[0]
	f.Release(a)
	if got := string(first.Buf[first.Off:]); got != "\xdb\xdb\xdb\xdb\xdb" {
		t.Errorf("released: %q", got)
	}
	if got := string(second.Buf[second.Off:]); got != "first" {
		t.Errorf("lent: %q", got)
	}
	for name, wrong := range map[string]*packet.Batch{"another source": packet.NewBatch(1), "twice": a} {
		func() {
			defer func() {
				if !strings.Contains(recover().(string), name) {
					t.Errorf("released a batch of %s: no panic", name)
				}
			}()
			if name == "twice" {
				f.Release(b)
			}
			f.Release(wrong)
		}()
	}
}

// Packets that fill a chunk before there are 256 of them go to the next batch,
// in order and whole.
func TestFilesLongPackets(t *testing.T) {
	var long []sample
	for i := range 40 {
		n := []int{maxPacket, 1, 9001, 200_000, 65_535}[i%5]
		long = append(long, sample{bytes.Repeat([]byte{byte(i)}, n), n, micro})
	}
	for _, link := range []uint32{1, 101} {
		file := pcapFile(little, false, link, long...)
		all := drain(t, openFiles(t, FileConfig{Paths: []string{"-"}, Stdin: bytes.NewReader(file.b), BareVNI: 0, Batches: 1}))
		for i, d := range all {
			if !strings.HasSuffix(d.payload, string(long[i].data)) {
				t.Errorf("packet %d of link type %d differs", i, link)
			}
		}
		if len(all) != len(long) {
			t.Errorf("%d packets, want %d", len(all), len(long))
		}
	}
}

func TestFilesLeaveNoDescriptors(t *testing.T) {
	whole := pcapFile(little, false, 1, slices.Repeat(samples, 1000)...).b
	paths := store(t, whole, gzipped(t, whole), zstded(t, whole), whole[:len(whole)-1], whole)
	before := descriptors(t)
	drain(t, openFiles(t, FileConfig{Paths: paths, BareVNI: 0}))
	f := openFiles(t, FileConfig{Paths: paths, BareVNI: 0})
	if _, err := f.Next(); err != nil {
		t.Fatal(err)
	}
	if n := descriptors(t); n != before+1 {
		t.Errorf("%d descriptors while a file is read, %d before", n, before)
	}
	for range 2 {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
	if n := descriptors(t); n != before {
		t.Errorf("%d descriptors, %d before", n, before)
	}
	if err := f.Err(); err != nil {
		t.Errorf("closing is not damage: %v", err)
	}
}

func descriptors(t testing.TB) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}
