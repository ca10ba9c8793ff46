//go:build soak

package main

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/periscope-collector/periscope/bench/traffic"
	"github.com/periscope-collector/periscope/internal/lab"
	"github.com/periscope-collector/periscope/tunnel"
)

// What TestSoakHour sends, and where it looks.
const (
	soakVNIs    = 16
	soakRate    = 20_000 // packets a second
	soakFlows   = 50_000
	soakReloads = 100
	soakSamples = 240 // every 15 s of an hour
	soakWindow  = 4   // of them are compared, at first and at the end
	soakEarly   = 5 * time.Minute

	soakRetain = 256 << 20
	soakRotate = 4 << 20 // and twice that after every other reload
)

// soakTime is an hour, or PERISCOPE_SOAK.
func soakTime(t *testing.T) time.Duration {
	text := os.Getenv("PERISCOPE_SOAK")
	if text == "" {
		return time.Hour
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < time.Minute {
		t.Fatalf("PERISCOPE_SOAK is %q: want a duration of 1m or more", text)
	}
	return d
}

func soakSize(bytes int) string { return fmt.Sprintf("size: %dMiB", bytes>>20) }

// For an hour a packet ring is read under load, files come and go, and session
// file and configuration are replaced a hundred times. Nothing is lost, and at
// the end the program takes no more than at minute 5. It is run without the race
// detector, which is too slow for the load.
func TestSoakHour(t *testing.T) {
	length := soakTime(t)
	l := lab.New(t)
	within(t, l.Collector)

	s := setup{
		dir: t.TempDir(), within: l.Collector, listen: ":4789",
		capture: "backend: afpacket, interface: u0, ring: 128MiB", // a stall of 3 s
		// Buffers that stalls fill are used in turn too: small ones soon are.
		session: "file: sessions.yaml", pcap: "buffer: 8MiB",
		rotate: soakSize(soakRotate), retain: soakSize(soakRetain),
		sinks: "flowlog: {dir: flows, interval: 10s, buffer: 8MiB}",
		// A reload leaves flows of sessions that ended, until they are idle.
		more: "flows: {table: 100000, idle: 10s}",
	}
	sessions := filepath.Join(s.dir, "sessions.yaml")
	writeFile(t, sessions, []byte(sessionFile(0)))
	c := collect(t, s)
	c.waitLog(`msg=collecting backend="?afpacket`, 1)

	// Without this, packets are handed from processor to processor on their way.
	l.Collector.Run("sh", "-euc", "for f in /sys/class/net/u0/queues/rx-*/rps_cpus; do echo 0 >$f; done")
	before := dropped(t, l.Collector)
	sending := sendFrom(t, l.Host, netip.AddrPortFrom(l.Mirrors[0].Collector, tunnel.VXLANPort))
	var samples []sample
	tick := time.NewTicker(length / soakSamples)
	defer tick.Stop()
	for reloads := 0; len(samples) < soakSamples; {
		<-tick.C
		samples = append(samples, c.sample())
		if len(samples)%20 == 0 {
			t.Logf("%s: %+v, %d received", length*time.Duration(len(samples))/soakSamples, samples[len(samples)-1], c.ledger().Received.Packets)
		}
		for ; reloads < len(samples)*soakReloads/soakSamples; reloads++ {
			writeFile(t, sessions+".new", []byte(sessionFile(reloads+1)))
			if err := os.Rename(sessions+".new", sessions); err != nil {
				t.Fatal(err)
			}
			s.rotate = soakSize(soakRotate << (reloads % 2))
			s.write(t)
			c.reload()
		}
	}
	sent := sending.stop()
	// What is used in turn, such as the places of flows, has been used by then.
	early := min(soakEarly, length/2)
	compareSamples(t, samples[early*soakSamples/length:], samples[soakSamples-soakWindow:])
	missing := dropped(t, l.Collector) - before
	c.accountsFor(sent, missing)
	c.hasKeptTheLatest(sent, missing)
}

// dropped returns how many packets the kernel dropped between the namespaces,
// in front of the ring: its queue holds what comes in 50 ms.
func dropped(t *testing.T, n *lab.Namespace) int {
	t.Helper()
	drops, err := strconv.Atoi(strings.TrimSpace(n.Run("cat", "/sys/class/net/u0/statistics/rx_dropped")))
	if err != nil {
		t.Fatal(err)
	}
	return drops
}

// A sample is what the program takes at one moment.
type sample struct {
	goroutines int
	files      int // open, below the test's directory
	others     int // open descriptors beside them
	anonymous  int // memory, KiB
	heap       int // of it, in use as Go says, KiB; it is not compared
}

var rssAnon = regexp.MustCompile(`RssAnon:\s+(\d+) kB`)

func (c *collector) sample() (s sample) {
	c.t.Helper()
	proc := fmt.Sprintf("/proc/%d/", c.cmd.Process.Pid)
	descriptors, err := os.ReadDir(proc + "fd")
	if err != nil {
		c.t.Fatal(err)
	}
	for _, d := range descriptors {
		to, err := os.Readlink(proc + "fd/" + d.Name())
		switch {
		case err != nil: // closed meanwhile
		case strings.HasPrefix(to, c.dir):
			s.files++
		default:
			s.others++
		}
	}
	status, err := os.ReadFile(proc + "status")
	if err != nil {
		c.t.Fatal(err)
	}
	m := rssAnon.FindSubmatch(status)
	if m == nil {
		c.t.Fatalf("no RssAnon in %s", status)
	}
	if s.anonymous, err = strconv.Atoi(string(m[1])); err != nil {
		c.t.Fatal(err)
	}
	series := c.metrics()
	s.goroutines, s.heap = int(series["go_goroutines"]), int(series["go_memstats_heap_inuse_bytes"])>>10
	return s
}

// compareSamples holds samples of the end against the first of early ones: of
// what may be there for a moment the least, of memory the median.
func compareSamples(t *testing.T, early, late []sample) {
	t.Helper()
	for _, tt := range []struct {
		what string
		of   func(sample) int
		rank int                 // of the value among those of a window
		more func(early int) int // that it may be
	}{
		{"goroutines", func(s sample) int { return s.goroutines }, 0, func(int) int { return 0 }},
		{"descriptors", func(s sample) int { return s.others }, 0, func(int) int { return 0 }},
		// One of each session, one that a reload ends, of flows, and locks.
		{"files", func(s sample) int { return s.files }, 0, func(early int) int { return max(soakVNIs+8-early, 0) }},
		{"KiB of anonymous memory", func(s sample) int { return s.anonymous }, soakWindow / 2, func(early int) int { return early/10 + 8<<10 }},
	} {
		value := func(window []sample) int {
			var values []int
			for _, s := range window[:soakWindow] {
				values = append(values, tt.of(s))
			}
			slices.Sort(values)
			return values[tt.rank]
		}
		before, after := value(early), value(late)
		t.Logf("%s: %d at first, %d at the end", tt.what, before, after)
		if after > before+tt.more(before) {
			t.Errorf("%s: %d at first, %d at the end: at most %d more are right", tt.what, before, after, tt.more(before))
		}
	}
}

// accountsFor ends the program and holds its account against what was sent, by
// VNI, of which some never got to it.
func (c *collector) accountsFor(sent map[uint32]int, missing int) {
	c.t.Helper()
	total := -missing
	for _, n := range sent {
		total += n
	}
	if missing < 0 || missing > total/1000 {
		c.t.Errorf("%d packets were dropped between the namespaces: the machine is too busy to measure on", missing)
	}
	c.waitReceived(total)
	c.signal(syscall.SIGTERM)
	l := c.end()
	pcap, flows := l.Sinks["pcap"], l.Sinks["flowlog"]
	if l.Received.Packets != uint64(total) || l.Delivered.Packets != uint64(total) || l.Lost.Socket+l.Lost.Ring+l.Lost.NIC != 0 {
		c.t.Errorf("%d sent: %+v", total, l)
	}
	if pcap.Stored != uint64(total) || sum(flows.Dropped) != 0 || flows.Stored < soakFlows {
		c.t.Errorf("%d sent: pcap %+v, flowlog %+v", total, pcap, flows)
	}
	if strings.Contains(c.log.String(), "not reloaded") {
		c.t.Error("a reload failed")
	}
	c.t.Logf("%d packets, %d flow records, %d late; %d dropped on their way", total, flows.Stored, l.Late, missing)
}

// hasKeptTheLatest checks that the files are as many as retention leaves, and
// hold the latest frames of each session that no reload renames.
func (c *collector) hasKeptTheLatest(sent map[uint32]int, missing int) {
	c.t.Helper()
	files := readTree(c.t, c.out)
	noPartial(c.t, files)
	var size int64
	for _, f := range files {
		info, err := os.Stat(filepath.Join(c.out, f.path))
		if err != nil {
			c.t.Fatal(err)
		}
		size += info.Size()
	}
	// Files of all sessions may have been completed since retention looked.
	if size > soakRetain+2*soakVNIs*soakRotate || size < soakRetain/2 {
		c.t.Errorf("%d bytes are left, want about %d", size, soakRetain)
	}
	for vni := uint32(4); vni <= soakVNIs; vni++ {
		seen := sequences(c.t, files, fmt.Sprintf("vni-%d", vni))
		if missing > 0 {
			once(c.t, seen, 0, 0) // none twice
		} else {
			once(c.t, seen, sent[vni]-len(seen), sent[vni])
		}
	}
}

// A sending is the load, one sender for each VNI.
type sending struct {
	cancel context.CancelFunc
	done   sync.WaitGroup
	sent   [soakVNIs + 1]atomic.Int64
}

func sendFrom(t *testing.T, from *lab.Namespace, to netip.AddrPort) *sending {
	ctx, cancel := context.WithCancel(t.Context())
	s := &sending{cancel: cancel}
	for vni := uint32(1); vni <= soakVNIs; vni++ {
		s.done.Go(func() {
			err := from.Do(func() {
				r, err := traffic.Send(ctx, traffic.SendConfig{To: to, VNI: vni, Rate: soakRate / soakVNIs, Flows: soakFlows / soakVNIs, Seed: uint64(vni)})
				s.sent[vni].Store(r.Packets)
				if err != nil {
					t.Errorf("VNI %d: %v", vni, err)
				}
			})
			if err != nil {
				t.Errorf("VNI %d: %v", vni, err)
			}
		})
	}
	t.Cleanup(func() { s.stop() })
	return s
}

// stop ends the load, and returns how many packets of each VNI were sent.
func (s *sending) stop() map[uint32]int {
	s.cancel()
	s.done.Wait()
	sent := make(map[uint32]int)
	for vni := 1; vni <= soakVNIs; vni++ {
		sent[uint32(vni)] = int(s.sent[vni].Load())
	}
	return sent
}
