package capture

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/periscope-collector/periscope/internal/lab"
	"github.com/periscope-collector/periscope/packet"
)

var properties = []struct {
	name string
	hold func(*testing.T, backend)
}{
	{"same frames", sameFrames},
	{"stop reads all that is there", stopReadsAll},
	{"loss is counted", lossIsCounted},
	{"nothing is lent twice", lentOnce},
	{"nothing is left", nothingLeft},
}

// sameFrames: what is sent is received, once and in the order of each inner
// flow, whose directions meet on one worker.
func sameFrames(t *testing.T, b backend) {
	probes := newInput()
	for _, workers := range b.workers() {
		t.Run(fmt.Sprintf("%d workers", workers), func(t *testing.T) {
			w := newSegment(t)
			d := b.open(w, options{workers: workers, pkts: packets(probes)})
			defer closeDevice(t, d)
			r := newReader(t, b, d)
			if !b.file {
				due := 0
				for burst := range slices.Chunk(probes, 100) {
					for _, p := range burst {
						due += b.verdicts[p.kind].count()
					}
					w.sendAll(packets(burst))
					r.read(due)
				}
			}
			d.Stop()
			r.finish()
			b.compare(t, probes, r.got)
			if lost := b.lost(probes); d.Lost() != lost {
				t.Errorf("%d lost, want %d", d.Lost(), lost)
			}
		})
	}
}

func (b backend) lost(probes []probe) (n uint64) {
	for _, p := range probes {
		n += b.verdicts[p.kind].lost
	}
	return n
}

// compare holds what was received against what was sent.
func (b backend) compare(t *testing.T, probes []probe, got [][]received) {
	t.Helper()
	bySource := make(map[packet.Addr]*probe)
	want, reasons := 0, make(map[packet.Reason]int)
	position := make(map[*probe]int)
	for i := range probes {
		p, v := &probes[i], b.verdicts[probes[i].kind]
		for _, reason := range v.reasons {
			reasons[reason]++
		}
		if v.whole {
			bySource[p.source], position[p] = p, i
			want++
		}
	}
	worker := make(map[int]int) // of a flow
	used := make(map[int]bool)
	for i, list := range got {
		last := make(map[string]int) // by flow and tunnel
		for _, d := range list {
			if d.Reason != packet.None {
				reasons[d.Reason]--
				continue
			}
			p := bySource[d.Source]
			if p == nil {
				t.Errorf("not sent, or twice here: %s", describe(d))
				continue
			}
			delete(bySource, d.Source)
			if d.Length != len(p.payload) || d.Encap != p.encap || !bytes.Equal(d.payload, p.payload[:min(len(p.payload), b.longest)]) {
				t.Errorf("%s: sent %d bytes, encap %d: got %s", p.name, len(p.payload), p.encap, describe(d))
			}
			if p.flow < 0 {
				continue
			}
			used[i] = true
			if was, ok := worker[p.flow]; ok && was != i {
				t.Errorf("flow %d on workers %d and %d", p.flow, was, i)
			}
			worker[p.flow] = i
			key := fmt.Sprint(p.flow, p.encap)
			if position[p] < last[key] {
				t.Errorf("%s came after probe %d of its flow", p.name, last[key])
			}
			last[key] = position[p]
		}
	}
	for _, p := range bySource {
		t.Errorf("missing: %s, %d bytes, encap %d, from %v", p.name, len(p.payload), p.encap, p.source)
	}
	for reason, n := range reasons {
		if n != 0 {
			t.Errorf("%d of reason %v missing", n, reason)
		}
	}
	if len(used) != len(got) || len(worker) != inputFlows {
		t.Errorf("%d flows on %d workers, want %d on %d", len(worker), len(used), inputFlows, len(got))
	}
}

// stopReadsAll: what was there when the device was told to stop is read, and
// nothing else.
func stopReadsAll(t *testing.T, b backend) {
	w := newSegment(t)
	probes := plainProbes(300, 100)
	d := b.open(w, options{workers: 2, pkts: packets(probes)})
	defer closeDevice(t, d)
	r := newReader(t, b, d)
	if !b.file {
		w.sendAll(packets(probes))
	}
	d.Stop()
	r.finish()
	if r.total() != len(probes) {
		t.Errorf("%d datagrams after Stop, want the %d sent before it", r.total(), len(probes))
	}
	if !b.file {
		w.sendAll(packets(probes))
	}
	for i, s := range r.sources {
		if _, err := s.Next(); err != io.EOF {
			t.Errorf("source %d: Next after the end: %v, want io.EOF", i, err)
		}
	}
	if d.Lost() != 0 {
		t.Errorf("%d lost after the end", d.Lost())
	}
}

// lossIsCounted: with a reader that stalls, sent is received and lost.
func lossIsCounted(t *testing.T, b backend) {
	for _, workers := range b.workers() {
		t.Run(fmt.Sprintf("%d workers", workers), func(t *testing.T) {
			w := newSegment(t)
			probes := plainProbes(2000, 8900)
			d := b.open(w, options{workers: workers, small: true, pkts: packets(probes)})
			defer closeDevice(t, d)
			if !b.file {
				for burst := range slices.Chunk(probes, 100) {
					w.sendAll(packets(burst))
				}
			}
			d.Stop()
			r := newReader(t, b, d)
			r.finish()
			got, lost := r.total(), int(d.Lost())
			if got == 0 || got+lost != len(probes) || (lost == 0) != b.file {
				t.Errorf("%d sent, %d received and %d lost", len(probes), got, lost)
			}
		})
	}
}

// lentOnce: what is lent is not lent again before it is back.
func lentOnce(t *testing.T, b backend) {
	w := newSegment(t)
	probes := plainProbes(3000, 1000)
	d := b.open(w, options{workers: 1, pkts: packets(probes)})
	defer closeDevice(t, d)
	if !b.file {
		for burst := range slices.Chunk(probes, 100) {
			w.sendAll(packets(burst))
		}
	}
	d.Stop()
	s := d.Sources()[0]
	var lent []*packet.Batch
	var all []received
	batches := 1
	if b.file {
		batches = fileLent
	}
	for len(lent) < batches {
		batch, err := s.Next()
		if err != nil {
			t.Fatal(err)
		}
		lent = append(lent, batch)
		for _, d := range batch.Datagrams {
			all = append(all, copyOf(d))
		}
	}
	if !b.file {
		if _, err := s.Next(); err == nil || err == io.EOF {
			t.Errorf("a second batch is lent: %v", err)
		}
	}
	overlap(t, all)
	for _, batch := range lent {
		s.Release(batch)
	}
}

// nothingLeft: neither goroutines nor descriptors nor mappings.
func nothingLeft(t *testing.T, b backend) {
	w := newSegment(t)
	probes := plainProbes(100, 100)
	count := func() (n [3]int) { // goroutines, descriptors, mapped sockets
		fds, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		maps, err := os.ReadFile("/proc/self/maps")
		if err != nil {
			t.Fatal(err)
		}
		return [3]int{runtime.NumGoroutine(), len(fds), strings.Count(string(maps), "socket:")}
	}
	before := count()
	for range 3 {
		d := b.open(w, options{workers: 2, pkts: packets(probes)})
		if !b.file {
			w.sendAll(packets(probes))
		}
		d.Stop()
		newReader(t, b, d).finish()
		closeDevice(t, d)
	}
	lab.Eventually(t, fmt.Sprint("no more than before: ", before), func() bool {
		now := count()
		return now[0] <= before[0] && now[1] <= before[1] && now[2] <= before[2]
	})
}

func (b backend) workers() []int {
	if b.file {
		return []int{1}
	}
	return []int{1, 2, 4}
}

func closeDevice(t *testing.T, d device) {
	t.Helper()
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}
