package flow

import (
	"sync"

	"github.com/periscope-collector/periscope/packet"
)

// A worker is what one goroutine needs: its shards and its clock.
type worker struct {
	config *Config
	number int // records are emitted as of
	shards []*shard

	// byFrame finds the shard of a frame, by Frame.Shard.
	byFrame [packet.Shards * 4]*shard

	clock    int64  // the largest Batch.Now
	epoch    uint32 // the interval it is in
	nextTick int64  // when something may be due
	nextEnd  int64  // when to look for sessions that ended

	sweep sweep // writes records of the interval before
	purge sweep // removes flows of sessions that ended

	stats  Stats
	record packet.Flow // being emitted
	loads  uint64      // keeps the compiler from leaving loads out

	mu        sync.Mutex
	published Stats
}

func newWorker(c *Config, number int) *worker {
	return &worker{config: c, number: number}
}

// notIP counts a frame that is in no flow.
func (w *worker) notIP(f *packet.Frame) {
	if w.number < len(f.Session.Tallies) {
		f.Session.Tallies[w.number].NotIP.Add(1)
	}
	if f.Header.EtherType != etherARP {
		w.stats.NotIP++
		return
	}
	w.stats.Classes[packet.ARP].Packets++
	w.stats.Classes[packet.ARP].Bytes += uint64(max(f.Length, 0))
}

const etherARP = 0x0806

// touch loads what the staged frames need from memory, in rounds whose loads do
// not depend on one another, so that the waits for them overlap: first the
// index, then the entries.
func (w *worker) touch() {
	sum := w.loads
	for _, s := range w.shards {
		for i := range s.staged {
			sum += s.index.buckets[s.index.home(s.staged[i].hash)].tags[0]
		}
	}
	for _, s := range w.shards {
		for i := range s.staged {
			st := &s.staged[i]
			st.entry = s.index.candidate(st.hash)
			sum += s.slab[st.entry].touch(st.sender)
		}
	}
	w.loads = sum
}

// touch loads each cache line of the 120 bytes that a packet needs.
func (e *entry) touch(sender uint8) uint64 {
	side := e.side(sender)
	return side.bytes + uint64(side.gaps) + uint64(e.addr[1][8]) + uint64(e.cut)
}

// An epoch is an interval's number, counted from 1970.
func (w *worker) epochOf(time int64) uint32 {
	if d := time - w.begins(w.epoch); d >= 0 && d < int64(w.config.Interval) {
		return w.epoch
	}
	return uint32(time / int64(w.config.Interval))
}

// sane limits a time to what epochs, of 1 s at least, can count.
func sane(time int64) int64 { return min(max(time, 0), (1<<32-2)*1e9) }

func (w *worker) begins(epoch uint32) int64 { return int64(epoch) * int64(w.config.Interval) }
