package main

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/periscope-collector/periscope/internal/pipeline"
)

// mountTmpfs mounts a file system of a size on dir until the test ends.
func mountTmpfs(t *testing.T, dir, size string) {
	t.Helper()
	if err := unix.Mount("periscope-test", dir, "tmpfs", 0, "mode=0750,size="+size); err != nil {
		unavailable(t, "needs root to mount a small file system: run the test as root; "+err.Error())
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
}

// fillDisk fills a file system of 8 MiB so many times and makes room again.
// What is dropped is counted, writing goes on by itself, and every file can be
// read.
func fillDisk(t *testing.T, times int) {
	dir := t.TempDir()
	out := filepath.Join(dir, "captures")
	if err := os.Mkdir(out, 0o750); err != nil {
		t.Fatal(err)
	}
	mountTmpfs(t, out, "8m")
	c := collect(t, setup{dir: dir, rotate: "size: 1MiB"})
	l := newLoad(t, c.vxlan, 1, 1500)
	stop := l.start(4000)
	seen := make(map[uint64]int)
	pcap := func() pipeline.SinkLedger { return c.ledger().Sinks["pcap"] }
	for i := range times {
		full := pcap().Dropped["disk_full"]
		eventually(t, "the disk is full", func() bool { return pcap().Dropped["disk_full"] > full+1000 })
		if got := c.metrics()["periscope_pcap_failing_sessions"]; got != 1 && i == 0 {
			t.Logf("failing sessions: %v", got) // it may be between two attempts
		}
		for _, f := range readTree(t, out) {
			if f.partial {
				continue
			}
			for n, times := range sequences(t, []captureFile{f}) {
				seen[n] += times
			}
			if err := os.Remove(filepath.Join(out, f.path)); err != nil {
				t.Fatal(err)
			}
		}
		stored := pcap().Stored
		eventually(t, "writing has resumed", func() bool { return pcap().Stored > stored+500 })
		c.waitLog(`level=ERROR msg="captures cannot be written; .* reason=disk_full`, i+1)
		c.waitLog(`level=INFO msg="captures are written again" reason=disk_full`, i+1)
	}
	stop()
	c.waitReceived(l.count())
	ledger := c.stop()
	files := readTree(t, out)
	noPartial(t, files)
	for n, times := range sequences(t, files) {
		seen[n] += times
	}
	once(t, seen, 0, 0)
	sink := ledger.Sinks["pcap"]
	if len(seen) != int(sink.Stored) || ledger.Received.Packets != uint64(l.count()) || sink.Offered != uint64(l.count()) {
		t.Errorf("%d frames sent, %d in the files: %+v", l.count(), len(seen), ledger)
	}
	for reason := range sink.Dropped {
		if reason != "disk_full" {
			t.Errorf("dropped for %s: %v", reason, sink.Dropped)
		}
	}
	t.Logf("%d frames, %d stored, dropped %v", l.count(), sink.Stored, sink.Dropped)
}

func TestDiskFull(t *testing.T) { fillDisk(t, 1) }
