package main

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"

	"github.com/periscope-collector/periscope/bench/traffic"
	"github.com/periscope-collector/periscope/tunnel"
)

// A footprint is what a process takes.
type footprint struct {
	resident    int // KiB
	descriptors int
	inodes      int // in the capture directory
	series      int
}

func (c *collector) footprint() footprint {
	c.t.Helper()
	proc := fmt.Sprintf("/proc/%d/", c.cmd.Process.Pid)
	status, err := os.ReadFile(proc + "status")
	if err != nil {
		c.t.Fatal(err)
	}
	m := regexp.MustCompile(`VmRSS:\s+(\d+) kB`).FindSubmatch(status)
	if m == nil {
		c.t.Fatalf("no VmRSS in %s", status)
	}
	f := footprint{series: len(c.metrics())}
	if f.resident, err = strconv.Atoi(string(m[1])); err != nil {
		c.t.Fatal(err)
	}
	descriptors, err := os.ReadDir(proc + "fd")
	if err != nil {
		c.t.Fatal(err)
	}
	f.descriptors = len(descriptors)
	err = filepath.WalkDir(c.out, func(string, os.DirEntry, error) error { f.inodes++; return nil })
	if err != nil {
		c.t.Fatal(err)
	}
	return f
}

// floodVNIs sends frames of so many VNIs from one sender, a tenth of them
// first. Only the first unknown_max VNIs take anything.
func floodVNIs(t *testing.T, vnis int) {
	const limit, chunk = 50, 1000
	c := collect(t, setup{session: fmt.Sprintf("unknown_max: %d", limit), pcap: "open_files: 20, buffer: 4MiB"})
	sender := dial(t, c.vxlan, "")
	datagram := vxlan(0, traffic.NewFrames(traffic.FramesConfig{Size: traffic.MinSize}).Next())
	header := datagram[:tunnel.VXLANLen]
	next := 0
	flood := func(until int) footprint {
		for next < until {
			for range chunk {
				binary.BigEndian.PutUint32(header[4:], uint32(next)<<8)
				write(t, sender, datagram)
				next++
			}
			c.waitReceived(next) // so that nothing is lost in the socket
		}
		return c.footprint()
	}
	before := flood(vnis / 10)
	after := flood(vnis)
	t.Logf("%d VNIs: %+v; %d VNIs: %+v", vnis/10, before, vnis, after)
	eventually(t, "no descriptor is open but as before", func() bool { return c.footprint().descriptors <= before.descriptors+2 })
	if after.inodes != before.inodes || after.series != before.series {
		t.Errorf("%+v after %d VNIs, %+v after %d", before, vnis/10, after, vnis)
	}
	if grown := after.resident - before.resident; grown > 32<<10 {
		t.Errorf("resident memory grew by %d KiB", grown)
	}
	if n := len(readTree(t, c.out)); n != limit {
		t.Errorf("%d files, want %d", n, limit)
	}
	l := c.stop()
	if l.NotDelivered["unknown_limit"] != uint64(vnis-limit) || l.Sinks["pcap"].Stored != limit || len(l.Sessions) != limit {
		t.Errorf("%d VNIs: %+v", vnis, l)
	}
	noPartial(t, readTree(t, c.out))
}

func TestFloodOfVNIs(t *testing.T) { floodVNIs(t, 100_000) }
