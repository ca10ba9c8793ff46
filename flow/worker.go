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

	// byFrame is the shard of a frame, by Frame.Shard.
	byFrame [256]*shard

	staged  []staged // in the order of arrival
	order   []uint32 // of staged: by shard, then as they arrived
	ends    []uint32 // by shard, where its part of order ends
	touched int      // how much of order is loaded
	next    int      // how much of order is accounted for

	clock    int64  // the largest Batch.Now
	epoch    uint32 // the interval it is in
	nextTick int64  // when something may be due
	nextEnd  int64  // when to look for sessions that are over

	sweep sweep // writes records of the interval before
	purge sweep // removes flows of sessions that are over

	stats  Stats
	record packet.Flow // being emitted
	loads  uint64      // keeps the compiler from leaving loads out
	groups uint64      // of packets, so far

	mu        sync.Mutex
	published Stats
}

func newWorker(c *Config, number int) *worker {
	return &worker{config: c, number: number}
}

// prepare is called when the worker has its shards.
func (w *worker) prepare() {
	w.ends = make([]uint32, len(w.shards))
	for i := range w.byFrame {
		w.byFrame[i] = w.shards[min(i/w.config.Workers, len(w.shards)-1)]
	}
	w.publish()
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

// sort puts the staged frames into the order of their shards. With one shard that
// is the order of arrival.
func (w *worker) sort() {
	w.next, w.touched = 0, 0
	for i := len(w.order); i < len(w.staged); i++ {
		w.order = append(w.order, uint32(i))
	}
	w.order = w.order[:len(w.staged)]
	if len(w.shards) == 1 {
		w.ends[0] = uint32(len(w.staged))
		return
	}
	clear(w.ends)
	for i := range w.staged {
		w.ends[w.staged[i].shard.local]++
	}
	sum := uint32(0)
	for n, count := range w.ends {
		w.ends[n] = sum
		sum += count
	}
	for i := range w.staged {
		end := &w.ends[w.staged[i].shard.local]
		w.order[*end] = uint32(i)
		*end++
	}
}

// account counts staged frames up to a place in their order.
func (w *worker) account(end int) {
	for ; w.next < end; w.next++ {
		if w.next == w.touched {
			w.touch()
		}
		st := &w.staged[w.order[w.next]]
		st.shard.account(st)
	}
}

// group is the number of frames whose flows are loaded at once: more than a core
// can have loads under way, and not more than fits its first cache.
const group = 64

// touch loads what the next frames need from memory, in two rounds whose loads
// do not depend on one another, so that the waits for them overlap: first the
// index, then the entries. The rounds do nothing else, since what a core can have
// under way is also bounded in instructions.
func (w *worker) touch() {
	next := w.order[w.touched:min(w.touched+group, len(w.order))]
	w.touched += len(next)
	sum := w.loads
	var buckets [group]*bucket
	for n, i := range next {
		st := &w.staged[i]
		buckets[n%group] = st.shard.index.bucket(st.hash)
	}
	for _, b := range buckets[:len(next)] {
		sum += b.tags[0]
	}
	var entries [group]*entry
	var sets [group]*copySet
	fresh, evictions := 0, 0
	w.groups++
	for n, i := range next {
		st := &w.staged[i]
		found := false
		if st.entry, found = buckets[n%group].candidate(st.hash); !found {
			// A new flow also needs what it is compared with, and the place in
			// the index of the flow that it displaces.
			st.digest = st.shard.digest(st)
			sets[fresh%group] = st.shard.copies.set(st.digest)
			fresh++
			if st.shard.isFull() {
				buckets[evictions%group] = st.shard.foresee(w.groups)
				evictions++
			}
		}
		entries[n%group] = &st.shard.slab[st.entry]
	}
	for _, e := range entries[:len(next)] {
		sum += e.touch()
	}
	for _, set := range sets[:fresh] {
		sum += set[0].hash
	}
	for _, b := range buckets[:evictions] {
		sum += b.tags[0]
	}
	w.loads = sum
}

// touch loads each cache line of e.
func (e *entry) touch() uint64 {
	return uint64(e.addr[0][0]) + uint64(e.cut) + uint64(e.side[0].gaps) + uint64(e.side[1].gaps)
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
