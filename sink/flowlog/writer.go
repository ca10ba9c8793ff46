package flowlog

import (
	"log/slog"
	"math"
	"time"

	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/sink/dir"
)

const (
	// roundEvery is how often the writer looks around when nothing comes.
	roundEvery = 250 * time.Millisecond

	// flushAfter is how long, live, a line waits for others to be written with,
	// and a round at most. With the 100 ms of the queue that is a second.
	flushAfter = 600 * time.Millisecond

	// retryEvery is how long a file that could not be written waits before it
	// is tried again.
	retryEvery = time.Second
)

// A writer takes records from the queue and writes them to files. One goroutine
// runs it.
type writer struct {
	sink   *Sink
	config *Config
	log    *slog.Logger
	now    time.Time // of the round
	counts counts

	// The intervals; interval.go.
	intervals []*interval // by begin
	latest    place
	cuts      []int64 // by worker: the end of the last interval it has given
	complete  int64   // the least of them: what began before is over
	step      int64   // how long an interval is; 0 before the first record or cut

	// Lost frames, as sampled; live.
	opened     int64  // when the sink was, in ns since 1970 UTC
	lost       uint64 // at the last round
	lostBefore uint64 // at the last round before the present interval
	present    int64  // its begin

	// The files; files.go and file.go.
	lock       *dir.Lock
	namer      namer
	lines      lines
	header     []byte
	compressor *compressor
	files      map[slot]*file
	last       *file // that was used
	uses       uint64
	number     uint32 // of the last file made
	failing    [packet.NumDrops]int
	queue      chan<- job
}

func newWriter(s *Sink, c *Config, lock *dir.Lock, queue chan<- job) *writer {
	lost := c.Lost()
	w := &writer{
		sink:       s,
		config:     c,
		log:        c.Log,
		complete:   math.MinInt64,
		cuts:       make([]int64, c.Workers),
		opened:     time.Now().UnixNano(),
		lost:       lost,
		lostBefore: lost,
		present:    math.MinInt64,
		lock:       lock,
		namer:      newNamer(c),
		lines:      lines{c.Format, c.Fields, c.JSON},
		compressor: newCompressor(level),
		files:      make(map[slot]*file),
		queue:      queue,
	}
	w.header = w.lines.header()
	for i := range w.cuts {
		w.cuts[i] = math.MinInt64
	}
	return w
}

// run returns when the queue is closed and empty, and every file is ended.
func (w *writer) run() {
	tick := time.NewTicker(roundEvery)
	defer tick.Stop()
	w.sink.queue.Hold(func(r *packet.Flow) bool { return r.Session != nil && r.Session.Awaited() })
	for {
		select {
		case <-w.sink.queue.Ready():
		case <-tick.C:
		}
		w.now = time.Now()
		if !w.config.Replay {
			w.sample()
		}
		end := w.sink.queue.Drain(w.take)
		if end {
			w.finishAll()
		} else if !w.config.Replay {
			w.flushOld()
		}
		w.publish()
		if end {
			return
		}
	}
}

func (w *writer) publish() {
	w.sink.shown.set(&w.counts)
	w.sink.progress.Add(1)
}

// take handles what comes out of the queue.
func (w *writer) take(r *packet.Flow) {
	if worker, c, ok := asCut(r); ok {
		w.cut(worker, c)
		return
	}
	w.counts.taken++
	w.counts.held++
	r.Session = r.Session.Identified()
	f := w.file(slotFor(r.Session, end(r)))
	if len(f.text) >= chunkText && !w.flush(f) {
		w.counts.held--
		w.counts.dropped[f.reason]++
		w.miss(miss{r.Session, r.Begin, r.End})
		return
	}
	w.begin(f)
	var n uint64
	f.text, n = w.lines.appendFlow(f.text, r)
	f.lines += n
	f.records++
	w.note(r)
}
