package pcap

import (
	"log/slog"
	"math"
	"time"

	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/sink/dir"
)

const (
	// roundEvery is how often the writer looks at what it was given when
	// nothing presses. Live it takes what a worker has at the end of a batch, so
	// frames are in the kernel within twice this and a batch, and if a worker
	// lags, window and this once more.
	roundEvery = 20 * time.Millisecond

	// window is how long, live, a frame that was handed over waits for earlier
	// ones from others.
	window = 100 * time.Millisecond

	// sweepEvery is how often files are looked through for those that are due
	// although no frame comes.
	sweepEvery = 100 * time.Millisecond
)

// A writer merges the workers' chunks and writes them to files. One goroutine
// runs it.
type writer struct {
	sink   *Sink
	replay bool
	log    *slog.Logger

	// The merge.
	heap    chunkHeap
	limits  []limit // by worker
	overdue int     // chunks in heap that have waited for the window
	spent   []*chunk
	emitted int64 // highest order emitted
	clock   int64 // highest time emitted: the capture's clock
	counts  counts

	// The files; stream.go, file.go and open.go.
	dir       string
	lock      *dir.Lock
	header    []byte
	rotate    *Rotate
	now       time.Time // of the round
	swept     time.Time
	group     Group
	members   map[*packet.Session]*member
	places    map[place][]*member // those with a source
	shared    map[string]*stream  // of groups, by name
	series    map[string]*series  // by name
	recent    [numLanes]*member   // by session id, modulo numLanes
	dirty     []*stream           // with segments
	segments  []segment           // of the round
	vector    vector
	open      []*file
	openMax   int
	uses      uint64
	failing   [packet.NumDrops]int // streams that cannot write
	queue     chan<- job
	writeback chan writeback
	sync      chan []syncJob // nil: not asked for
	syncEvery time.Duration
	synced    time.Time
}

func newWriter(s *Sink, c *Config, lock *dir.Lock, queue chan<- job) *writer {
	return &writer{
		sink:      s,
		replay:    c.Replay,
		log:       c.Log,
		limits:    make([]limit, len(s.workers)),
		emitted:   math.MinInt64,
		clock:     math.MinInt64,
		dir:       c.Dir,
		lock:      lock,
		header:    newFileHeader(c.SnapLen),
		group:     c.Group,
		members:   make(map[*packet.Session]*member),
		places:    make(map[place][]*member),
		shared:    make(map[string]*stream),
		series:    make(map[string]*series),
		openMax:   c.OpenFiles,
		queue:     queue,
		writeback: make(chan writeback, 16),
		syncEvery: c.Sync,
	}
}

func (w *writer) run() {
	tick := time.NewTicker(roundEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			w.ask()
		case <-w.sink.wake:
			if w.sink.waiting.Load() > 0 {
				w.ask()
			}
		case <-w.sink.closing:
			w.round(true)
			w.finishAll()
			w.publish()
			return
		}
		w.round(false)
	}
}

// ask has the workers hand over at the end of their batches what the round that
// follows does not find parked.
func (w *writer) ask() {
	for i := range w.sink.workers {
		w.sink.workers[i].asked.Store(true)
	}
}

// round emits what may be emitted, all there is if it is the last one.
func (w *writer) round(last bool) {
	w.now = time.Now()
	w.rotate = w.sink.rotate.Load()
	w.setLimits(last) // before collect: a mark speaks of what is handed over
	w.collect()
	if !w.replay {
		w.age()
	}
	w.emit()
	w.flushAll()
	if w.now.Sub(w.swept) >= sweepEvery {
		w.swept = w.now
		w.sweep()
		w.startSync()
	}
	w.publish()
}

// collect takes what workers have handed over.
func (w *writer) collect() {
	for {
		select {
		case c := <-w.sink.ready:
			w.accept(c)
		default:
			return
		}
	}
}

func (w *writer) accept(c *chunk) {
	c.sort()
	c.arrived = w.now
	w.heap.push(c)
}

// age finds, live, the chunks that have waited for the window. It goes by their
// arrival on a clock that is not set, and not by the order of their frames: when
// the system's clock is set back, frames from before seem to be of the future.
// Until these are written what comes after them is not late, so emitted, which
// no frame can be above otherwise, does not count.
func (w *writer) age() {
	if w.emitted > w.now.UnixNano() {
		w.emitted = math.MinInt64
	}
	for _, c := range w.heap {
		if !c.overdue && w.now.Sub(c.arrived) >= window {
			c.overdue = true
			w.overdue++
		}
	}
}

// emit passes entries on in order, up to the limits. Live it goes on beyond them
// while a chunk is overdue, and while no more than a quarter of the chunks that
// workers share is left, so that none starves because another one is stuck. It
// gives chunks back whenever a quarter of all is spent, so that workers go on
// meanwhile.
func (w *writer) emit() {
	pool := w.sink.pool
	most := max(1, pool.total/4)
	for len(w.heap) > 0 {
		c := w.heap[0]
		end := w.reach(c)
		if end == c.at {
			return
		}
		for ; c.at < end; c.at++ {
			w.add(c, &c.entries[c.at])
		}
		if c.at < len(c.entries) {
			w.heap.fix()
		} else {
			w.heap.pop()
			if c.overdue {
				w.overdue--
			}
			w.spent = append(w.spent, c)
		}
		if len(w.spent) >= most || len(w.segments) >= maxSegments {
			w.flushAll()
		}
	}
}

// reach returns where the run of entries ends that c, the top of the heap, may
// pass on before it is another one's turn.
func (w *writer) reach(c *chunk) int {
	until := w.limits[c.worker]
	if !w.replay && (w.overdue > 0 || w.sink.pool.scarce(4, len(w.spent))) {
		until = limit{math.MaxInt64, math.MaxInt}
	}
	if turn := w.heap.turn(); turn.before(until) {
		until = turn
	}
	end := c.at
	for end < len(c.entries) && until.allows(c.entries[end].order, c.worker) {
		end++
	}
	return end
}

// flushAll writes what was gathered and gives spent chunks back.
func (w *writer) flushAll() {
	for i, s := range w.dirty {
		w.flush(s)
		w.dirty[i] = nil
	}
	w.dirty = w.dirty[:0]
	clear(w.segments)
	w.segments = w.segments[:0]
	w.publish() // before workers can offer more than is accounted for
	w.giveBack()
}

// giveBack returns spent chunks to the pool and, in replay, wakes the workers,
// any of which may wait for one.
func (w *writer) giveBack() {
	if len(w.spent) == 0 {
		return
	}
	for _, c := range w.spent {
		c.reset()
	}
	w.sink.pool.put(w.spent)
	clear(w.spent)
	w.spent = w.spent[:0]
	if !w.replay {
		return
	}
	for i := range w.sink.workers {
		select {
		case w.sink.workers[i].freed <- struct{}{}:
		default:
		}
	}
}

func (w *writer) publish() {
	w.sink.tally.publish(&w.counts)
	w.sink.gauges.progress.Add(1)
}
