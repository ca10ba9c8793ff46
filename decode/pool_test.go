package decode_test

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"sync"
	"testing"

	"github.com/periscope-collector/periscope/decode"
	"github.com/periscope-collector/periscope/internal/leak"
	"github.com/periscope-collector/periscope/packet"
)

func TestMain(m *testing.M) { leak.Check(m) }

// A fakeSource lends batches of numbered frames: Order counts them, and the
// flow of a frame is its number modulo flows.
type fakeSource struct {
	batches, perBatch, flows int
	fail                     error         // instead of the end
	ended                    chan struct{} // if set, closed at the end

	mu       sync.Mutex
	lent     map[*packet.Batch]bool
	free     []*packet.Batch
	cond     *sync.Cond
	next     int64
	released int
}

func newFakeSource(batches, perBatch, flows, memory int) *fakeSource {
	s := &fakeSource{batches: batches, perBatch: perBatch, flows: flows, lent: make(map[*packet.Batch]bool)}
	s.cond = sync.NewCond(&s.mu)
	for range memory {
		s.free = append(s.free, packet.NewBatch(perBatch))
	}
	return s
}

func (s *fakeSource) Next() (*packet.Batch, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.batches == 0 {
		if s.fail != nil {
			return nil, s.fail
		}
		if s.ended != nil {
			close(s.ended)
		}
		return nil, io.EOF
	}
	s.batches--
	for len(s.free) == 0 {
		s.cond.Wait()
	}
	b := s.free[len(s.free)-1]
	s.free = s.free[:len(s.free)-1]
	s.lent[b] = true
	b.Resize(s.perBatch)
	for i := range b.Datagrams {
		d := &b.Datagrams[i]
		*d = packet.Datagram{Buf: flowFrame(s.next % int64(s.flows)), Order: s.next, Length: 42}
		s.next++
	}
	b.Mark = s.next
	return b, nil
}

func (s *fakeSource) Release(b *packet.Batch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.lent[b] {
		panic("released twice, or never lent")
	}
	delete(s.lent, b)
	s.released++
	for i := range b.Frames {
		b.Frames[i] = packet.Frame{Reason: packet.NumReasons - 1, Order: -1} // poison
	}
	s.free = append(s.free, b)
	s.cond.Signal()
}

// flowFrame is a UDP packet of flow n.
func flowFrame(n int64) []byte {
	f := make([]byte, 42)
	f[12], f[14], f[23] = 0x08, 0x45, 17
	binary.BigEndian.PutUint32(f[26:], 0x0a000000+uint32(n))
	binary.BigEndian.PutUint32(f[30:], 0x0a010000)
	binary.BigEndian.PutUint32(f[34:], 1000<<16|53)
	return f
}

// A recorder is a handler that notes everything.
type recorder struct {
	panicAt func(order int64, opening bool) bool
	block   chan struct{} // if set, worker 0 waits here at its first frame

	mu        sync.Mutex
	received  int
	orders    [][]int64 // of the frames, by worker
	marks     [][]int64
	panicked  []int64
	told      int // of panics
	refused   int
	doneCount int
}

func newRecorder(workers int) *recorder {
	return &recorder{orders: make([][]int64, workers), marks: make([][]int64, workers)}
}

func (r *recorder) Received(_ int, b *packet.Batch) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.received += len(b.Frames)
}

func (r *recorder) Open(d *packet.Datagram, f *packet.Frame) {
	*f = packet.Frame{Data: d.Buf, Order: d.Order, Length: d.Length}
	if r.panicAt != nil && r.panicAt(d.Order, true) {
		panic("open")
	}
}

func (r *recorder) Frame(worker int, f *packet.Frame) {
	if worker == 0 && r.block != nil {
		<-r.block
	}
	if f.Reason == packet.Panic {
		r.mu.Lock()
		r.panicked = append(r.panicked, f.Order)
		r.mu.Unlock()
		return
	}
	if r.panicAt != nil && r.panicAt(f.Order, false) {
		panic("frame")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.orders[worker] = append(r.orders[worker], f.Order)
}

func (r *recorder) Panicked(f *packet.Frame, _ any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if f.Reason != packet.Panic {
		panic("a panicked frame without the reason")
	}
	r.told++
}

func (r *recorder) Done(worker int, b *packet.Batch, n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.marks[worker] = append(r.marks[worker], b.Mark)
	r.doneCount += n
}

func (r *recorder) Refused(_ int, b *packet.Batch, worker int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range b.Frames {
		if int(b.Assigned[i]) == worker {
			r.refused++
		}
	}
}

func TestPoolSharedKeepsFlowsTogetherAndInOrder(t *testing.T) {
	const workers, frames, flows = 4, 100 * 50, 37
	source, h := newFakeSource(100, 50, flows, 3), newRecorder(workers)
	pool := decode.Pool{Workers: workers, Handler: h, Wait: true}
	if err := pool.Run(t.Context(), source); err != nil {
		t.Fatal(err)
	}
	owner := make(map[int64]int)
	total := 0
	for worker, orders := range h.orders {
		last := int64(-1)
		for _, order := range orders {
			if order <= last {
				t.Fatalf("worker %d: frame %d after %d", worker, order, last)
			}
			last = order
			flow := order % flows
			if was, ok := owner[flow]; ok && was != worker {
				t.Fatalf("flow %d on workers %d and %d", flow, was, worker)
			}
			owner[flow] = worker
			total++
		}
		if len(orders) == 0 {
			t.Errorf("worker %d had nothing to do", worker)
		}
		if len(h.marks[worker]) != 100 {
			t.Errorf("worker %d got %d marks, want one a batch", worker, len(h.marks[worker]))
		}
	}
	if total != frames || h.received != frames || h.doneCount != frames || h.refused != 0 {
		t.Errorf("%d frames, %d received, %d done, %d refused, want %d", total, h.received, h.doneCount, h.refused, frames)
	}
	if source.released != 100 {
		t.Errorf("%d batches released, want 100", source.released)
	}
}

func TestPoolPinnedRunsEachSourceOnItsWorker(t *testing.T) {
	sources := []decode.Source{newFakeSource(10, 7, 3, 1), newFakeSource(20, 7, 3, 1)}
	h := newRecorder(2)
	pool := decode.Pool{Workers: 2, Handler: h}
	if err := pool.Run(t.Context(), sources...); err != nil {
		t.Fatal(err)
	}
	if len(h.orders[0]) != 70 || len(h.orders[1]) != 140 || h.received != 210 || h.doneCount != 210 {
		t.Errorf("%d and %d frames, %d received, %d done", len(h.orders[0]), len(h.orders[1]), h.received, h.doneCount)
	}
}

func TestPoolConfinesAPanicToItsFrame(t *testing.T) {
	for _, workers := range []int{1, 3} {
		for _, opening := range []bool{true, false} {
			h := newRecorder(workers)
			// The first, two in a row, the last of a batch, the very last.
			bad := map[int64]bool{0: true, 20: true, 21: true, 49: true, 499: true}
			h.panicAt = func(order int64, open bool) bool { return open == opening && bad[order] }
			pool := decode.Pool{Workers: workers, Handler: h, Wait: true}
			if err := pool.Run(t.Context(), newFakeSource(10, 50, 7, 2)); err != nil {
				t.Fatal(err)
			}
			good := 0
			for _, orders := range h.orders {
				for _, order := range orders {
					if bad[order] {
						t.Errorf("frame %d was finished", order)
					}
					good++
				}
			}
			if good != 495 || len(h.panicked) != 5 || h.told != 5 || h.doneCount != 500 {
				t.Errorf("%d workers, opening %v: %d frames, %d panicked, %d done", workers, opening, good, len(h.panicked), h.doneCount)
			}
		}
	}
}

func TestPoolLiveRefusesWhatAFullQueueCannotTake(t *testing.T) {
	h := newRecorder(2)
	h.block = make(chan struct{})
	source := newFakeSource(50, 50, 7, 60)
	source.ended = make(chan struct{})
	pool := decode.Pool{Workers: 2, Handler: h}
	finished := make(chan error)
	go func() { finished <- pool.Run(t.Context(), source) }()
	// Worker 0 stands still; the reader must get to the end all the same.
	<-source.ended
	close(h.block)
	if err := <-finished; err != nil {
		t.Fatal(err)
	}
	total := len(h.orders[0]) + len(h.orders[1])
	if h.refused == 0 || total+h.refused != 2500 || h.received != 2500 {
		t.Errorf("%d finished + %d refused of %d", total, h.refused, h.received)
	}
	if source.released != 50 {
		t.Errorf("%d batches released, want 50", source.released)
	}
}

func TestPoolEndsWithTheSourceThatFails(t *testing.T) {
	bad := errors.New("socket gone")
	failing := newFakeSource(3, 5, 2, 1)
	failing.fail = bad
	endless := newFakeSource(1<<40, 1, 2, 1)
	pool := decode.Pool{Workers: 2, Handler: newRecorder(2)}
	if err := pool.Run(t.Context(), failing, endless); !errors.Is(err, bad) {
		t.Errorf("error %v, want %v", err, bad)
	}
	failing = newFakeSource(3, 5, 2, 1)
	failing.fail = bad
	if err := pool.Run(t.Context(), failing); !errors.Is(err, bad) {
		t.Errorf("shared: error %v, want %v", err, bad)
	}
}

func TestPoolEndsWithItsContext(t *testing.T) {
	for _, workers := range []int{1, 3} {
		ctx, cancel := context.WithCancel(t.Context())
		h := newRecorder(workers)
		h.panicAt = func(order int64, _ bool) bool {
			if order == 1000 {
				cancel()
			}
			return false
		}
		source := newFakeSource(1<<40, 10, 5, 4)
		pool := decode.Pool{Workers: workers, Handler: h, Wait: true}
		if err := pool.Run(ctx, source); err != nil {
			t.Fatal(err)
		}
		if h.received != h.doneCount || h.received < 1000 || len(source.lent) != 0 {
			t.Errorf("%d workers: %d received, %d done, %d batches not released", workers, h.received, h.doneCount, len(source.lent))
		}
	}
}

func TestPoolWantsOneSourceOrOneEach(t *testing.T) {
	pool := decode.Pool{Workers: 3, Handler: newRecorder(3)}
	if err := pool.Run(t.Context(), newFakeSource(1, 1, 1, 1), newFakeSource(1, 1, 1, 1)); err == nil {
		t.Error("two sources for three workers were taken")
	}
}

// With shards, the worker of a frame is its shard modulo the workers, and the
// shards are the same whatever the number of workers.
func TestPoolAssignsShards(t *testing.T) {
	for _, workers := range []int{1, 3, 256} {
		source := newFakeSource(20, 16, 200, 8)
		r := newRecorder(workers)
		shards := make([]sync.Map, workers)
		pool := &decode.Pool{Workers: workers, Wait: true, Sharded: true}
		pool.Handler = shardHandler{r, shards, pool}
		if err := pool.Run(context.Background(), source); err != nil {
			t.Fatal(err)
		}
		seen := 0
		for worker := range shards {
			shards[worker].Range(func(key, value any) bool {
				seen++
				flow, shard := key.(int64), value.(uint8)
				if want := uint8(decode.FlowHash(flowFrame(flow)) % packet.Shards); shard != want {
					t.Errorf("flow %d has shard %d, want %d", flow, shard, want)
				}
				if int(shard)%workers != worker {
					t.Errorf("shard %d is worker %d's of %d", shard, worker, workers)
				}
				return true
			})
		}
		if seen != 200 {
			t.Errorf("%d workers: %d flows, want 200", workers, seen)
		}
	}
}

type shardHandler struct {
	*recorder
	shards []sync.Map // by worker: flow to shard
	pool   *decode.Pool
}

func (h shardHandler) Frame(worker int, f *packet.Frame) {
	if h.pool.Workers == 1 {
		decode.Decode(f)
		h.pool.Shard(f)
	}
	h.shards[worker].Store(f.Order%200, f.Shard)
	h.recorder.Frame(worker, f)
}
