package pipeline

import (
	"encoding/binary"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"sync/atomic"

	"github.com/periscope-collector/periscope/decode"
	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/session"
	"github.com/periscope-collector/periscope/session/announce"
)

// counts are one worker's or reader's terms of the ledger.
type counts struct {
	received uint64 // datagrams in batches taken from a source
	finished uint64 // frames in batches handed back
	bytes    uint64 // real lengths of the finished frames

	delivered      uint64
	deliveredBytes uint64
	notDelivered   [packet.NumReasons]uint64

	cut    uint64           // frames that sinks got the headers of
	policy [maxSinks]uint64 // by sink, frames and records that rules kept from it

	truncated uint64
	reserved  uint64
	anomalies [packet.NumAnomalies]uint64
}

func (c *counts) add(o *counts) {
	c.received += o.received
	c.finished += o.finished
	c.bytes += o.bytes
	c.delivered += o.delivered
	c.deliveredBytes += o.deliveredBytes
	for i := range c.notDelivered {
		c.notDelivered[i] += o.notDelivered[i]
	}
	c.cut += o.cut
	for i := range c.policy {
		c.policy[i] += o.policy[i]
	}
	c.truncated += o.truncated
	c.reserved += o.reserved
	for i := range c.anomalies {
		c.anomalies[i] += o.anomalies[i]
	}
}

// An account is counts of which a copy is published once a batch. Only its
// owner counts; anyone may read the copy.
type account struct {
	counts

	mu        sync.Mutex
	published counts
	_         [64]byte // the next account is another worker's
}

func (a *account) publish() {
	a.mu.Lock()
	a.published = a.counts
	a.mu.Unlock()
}

func (a *account) read(into *counts) {
	a.mu.Lock()
	into.add(&a.published)
	a.mu.Unlock()
}

// A worker is what one goroutine needs to take frames to their end.
type worker struct {
	account
	runs    sessionRuns
	batches atomic.Uint64 // finished ones, empty ones too: proof of life
}

// Received implements decode.Handler.
func (p *Pipeline) Received(reader int, b *packet.Batch) {
	r := &p.readers[reader]
	r.received += uint64(len(b.Frames))
	r.publish()
}

// Open implements decode.Handler.
func (p *Pipeline) Open(d *packet.Datagram, f *packet.Frame) {
	if d.Reason == packet.None && p.live && !(*p.allow.Load()).admits(d.Source) {
		d.Reason = packet.NotAllowed
	}
	open(d, f)
	if f.Reason == packet.None {
		// Here and not in Frame: in replay the reader opens in the order of
		// the input, so that the same VNIs find room among the unknown ones
		// whatever the number of workers.
		f.Session, f.Reason = p.sessions.Lookup(f)
	}
}

// Frame implements decode.Handler.
func (p *Pipeline) Frame(worker int, f *packet.Frame) {
	w := &p.workers[worker]
	if f.Reason != packet.None {
		p.announcer.Saw(f)
		if unexplained(f) {
			p.listen(f)
		}
		w.refuse(worker, f)
		return
	}
	decode.Decode(f)
	if f.Header.EtherType == announce.EtherType {
		p.listen(f)
	}
	f.Direction = session.Direction(f)
	r := w.runs.of(f.Session, worker)
	if r.delivered+r.missing == 0 || f.Source != r.source || f.Truncated() {
		p.announcer.Saw(f) // there is nothing new about other frames of a run
		r.source, r.stray = f.Source, stray(f)
	}
	if p.see != nil {
		p.see(worker, f)
	}
	if g := p.gate.Load(); g == nil {
		for i := range p.frameSinks {
			p.frameSinks[i].Offer(worker, f)
		}
	} else if !p.offer(g, worker, f) {
		f.Reason = packet.Filtered
		w.refuse(worker, f)
		return
	}
	if p.table != nil {
		if p.pool.Sharded && len(p.workers) == 1 {
			p.pool.Shard(f)
		}
		p.table.Add(worker, f)
	}
	w.deliver(r, f)
}

// unexplained reports whether a frame that is not delivered is an announcement that
// may explain it.
func unexplained(f *packet.Frame) bool {
	return (f.Reason == packet.UnknownSession || f.Reason == packet.UnknownLimit) &&
		len(f.Data) >= packet.EthernetLen && binary.BigEndian.Uint16(f.Data[12:]) == announce.EtherType
}

// listen has an announcement heard. What it says of a session that is explained
// already does not matter.
func (p *Pipeline) listen(f *packet.Frame) {
	if p.hear != nil && (f.Session == nil || !f.Session.Known || f.Session.Announced) {
		p.hear(f)
	}
}

func (w *worker) deliver(r *sessionRun, f *packet.Frame) {
	w.delivered++
	w.deliveredBytes += uint64(f.Length)
	w.bytes += uint64(f.Length)
	w.anomalies[f.Header.Anomaly]++
	if f.Reserved {
		w.reserved++
	}
	r.delivered++
	r.bytes += uint64(f.Length)
	r.directions[f.Direction]++
	r.last = f.Time
	if r.stray {
		r.mismatched++
	}
	if f.Truncated() {
		w.truncated++
		r.truncated++
	}
}

func (w *worker) refuse(worker int, f *packet.Frame) {
	w.notDelivered[f.Reason]++
	w.bytes += uint64(f.Length)
	if f.Session != nil {
		r := w.runs.of(f.Session, worker)
		r.missing++
		r.last = f.Time
	}
}

// Panicked implements decode.Handler. The first panics are logged whole, since
// every one of them is a bug; all are counted.
func (p *Pipeline) Panicked(f *packet.Frame, value any) {
	if n := p.panics.Add(1); n <= maxPanicLogs {
		p.log.Error("a frame made processing panic; it is counted under reason \"panic\", please report this",
			slog.String("panic", fmt.Sprint(value)),
			slog.Int("length", f.Length),
			slog.String("stack", string(debug.Stack())))
	}
}

const maxPanicLogs = 5

// Done implements decode.Handler. The mark goes first to sinks that take no
// records: in replay a worker may wait for room for a record until another one
// goes on, and that one for room for a frame until this mark is there.
func (p *Pipeline) Done(worker int, b *packet.Batch, n int) {
	w := &p.workers[worker]
	w.runs.flush(worker)
	w.finished += uint64(n)
	for _, s := range p.others {
		s.Mark(worker, b.Mark, b.Now)
	}
	if p.table != nil {
		p.table.Done(worker, b)
	}
	w.publish() // a frame is in flight until its flow has it
	for _, s := range p.flowSinks {
		s.Mark(worker, b.Mark, b.Now)
	}
	w.batches.Add(1)
}

// Refused implements decode.Handler.
func (p *Pipeline) Refused(reader int, b *packet.Batch, worker int) {
	r := &p.readers[reader]
	for i := range b.Frames {
		if int(b.Assigned[i]) != worker {
			continue
		}
		f := &b.Frames[i]
		if f.Reason == packet.None {
			f.Reason = packet.QueueFull
		}
		r.notDelivered[f.Reason]++
		r.bytes += uint64(f.Length)
		r.finished++
	}
	r.publish()
}
