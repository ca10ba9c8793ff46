package queue_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/periscope-collector/periscope/sink/queue"
)

// A record is what the tests send: where it comes from, and its number there.
type record struct {
	worker, shard, number int
}

const shards = 8

// feed runs workers that put, batch by batch, what the same seed makes for
// their shards, and then a rest after Settle. It returns how many there are.
func feed(q *queue.Queue[record], workers int) (sent int) {
	const batches = 200
	var wg sync.WaitGroup
	sums := make([]int, workers)
	// Batches come from one reader with little ahead, as in a pool.
	queues := make([]chan int, workers)
	for w := range workers {
		queues[w] = make(chan int, 2)
		wg.Go(func() {
			for batch := range queues[w] {
				for s := w; s < shards; s += workers {
					r := rand.New(rand.NewPCG(uint64(batch), uint64(s)))
					for range max(0, r.IntN(40)-20) * r.IntN(10) {
						q.Put(w, uint8(s), &record{w, s, batch})
						sums[w]++
					}
				}
				q.Mark(w, int64(batch))
			}
		})
	}
	for batch := range batches {
		for _, in := range queues {
			in <- batch
		}
	}
	for _, in := range queues {
		close(in)
	}
	wg.Wait()
	q.Settle(context.Background())
	for s := range shards {
		for range 100 {
			q.Put(0, uint8(s), &record{0, s, batches})
		}
	}
	q.Close()
	for _, n := range sums {
		sent += n
	}
	return sent + shards*100
}

// read drains q until it is closed.
func read(q *queue.Queue[record], f func(*record)) {
	for end := false; !end; {
		<-q.Ready()
		end = q.Drain(f)
	}
}

// In replay the reader gets the same sequence whatever the number of workers,
// and nothing is lost, with room for hardly anything.
func TestReplayOrderDoesNotDependOnWorkers(t *testing.T) {
	var first []string
	for _, workers := range []int{1, 2, 3, 8} {
		q := queue.New[record](queue.Config{Workers: workers, Bytes: 1, Replay: true})
		var got []string
		done := make(chan struct{})
		go func() {
			defer close(done)
			read(q, func(r *record) { got = append(got, fmt.Sprint(r.number, "/", r.shard)) })
		}()
		sent := feed(q, workers)
		<-done
		if len(got) != sent {
			t.Fatalf("%d workers: %d of %d arrived", workers, len(got), sent)
		}
		if c := q.Counts(); c.Offered != uint64(sent) || c.In != c.Offered || c.Dropped != 0 {
			t.Errorf("%d workers: %+v, sent %d", workers, c, sent)
		}
		if first == nil {
			first = got
		}
		if !slices.Equal(first, got) {
			t.Errorf("%d workers: another order than with one", workers)
		}
	}
}

// Live a worker that finds no room is told so, at the bound and not before, and
// what was taken arrives.
func TestLiveDropsBeyondItsBound(t *testing.T) {
	q := queue.New[record](queue.Config{Workers: 2, Bytes: 1})
	const room = 512 // the least: two chunks of 256
	for i := range room + 3 {
		if ok := q.Put(1, 0, &record{number: i}); ok != (i < room) {
			t.Fatalf("item %d: %v", i, ok)
		}
	}
	if !q.Put(0, 0, &record{number: -1}) {
		t.Error("one worker's items take the other's room")
	}
	q.Mark(0, 0)
	q.Mark(1, 0)
	n := 0
	if q.Drain(func(r *record) { n++ }) {
		t.Error("an open queue has ended")
	}
	if n != room {
		t.Errorf("%d items arrived of worker 1, want %d; worker 0's waits for its chunk to fill", n, room)
	}
	if !q.Put(1, 0, &record{}) {
		t.Error("no room after everything was read")
	}
	q.Close()
	if !q.Drain(func(r *record) { n++ }) {
		t.Error("a closed queue has not ended")
	}
	want := queue.Counts{Offered: room + 5, In: room + 2, Dropped: 3}
	if c := q.Counts(); c != want || uint64(n) != c.In {
		t.Errorf("%+v, want %+v; read %d", c, want, n)
	}
}

// Live an item stays no longer with a worker than the age, also if nothing
// follows it.
func TestLiveHandsOverWhatIsOld(t *testing.T) {
	const age = 100_000_000
	q := queue.New[record](queue.Config{Workers: 1, Bytes: 1 << 20})
	count := func() (n int) { q.Drain(func(*record) { n++ }); return n }
	q.Mark(0, 1000)
	q.Put(0, 0, &record{})
	q.Mark(0, 1000+age-1)
	if n := count(); n != 0 {
		t.Errorf("%d before the age", n)
	}
	q.Mark(0, 1000+age)
	if n := count(); n != 1 {
		t.Errorf("%d at the age", n)
	}
	q.Put(0, 0, &record{})
	q.Mark(0, 999) // the clock was set back
	if n := count(); n != 1 {
		t.Errorf("%d after the clock was set back", n)
	}
}

// After Settle nothing is lost for want of room, until the time is over.
func TestSettleWaitsUntilTheTimeIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := queue.New[record](queue.Config{Workers: 2, Bytes: 1})
		for i := range 800 {
			q.Put(1, 0, &record{number: i}) // 512 of them have room
		}
		ctx, cancel := context.WithCancel(context.Background())
		q.Settle(ctx)
		put := 0
		done := make(chan struct{})
		go func() {
			defer close(done)
			for range 1200 {
				if q.Put(0, 0, &record{}) {
					put++
				}
			}
		}()
		synctest.Wait() // it waits for room
		n := 0
		q.Drain(func(*record) { n++ })
		synctest.Wait() // it waits again
		cancel()
		<-done
		if put != 1024 || n != 512+512 {
			t.Errorf("%d put, %d read; want 1024, 1024", put, n)
		}
		q.Close()
		q.Drain(func(*record) { n++ })
		want := queue.Counts{Offered: 2000, In: 1536, Dropped: 464}
		if c := q.Counts(); c != want || n != 1536 {
			t.Errorf("%+v, want %+v; read %d", c, want, n)
		}
	})
}

// In the steady state an item costs no allocation.
func TestPutAllocatesNothing(t *testing.T) {
	q := queue.New[record](queue.Config{Workers: 1, Bytes: 1 << 20, Replay: true})
	r := record{}
	sink := func(*record) {}
	round := func() {
		for range 1000 {
			q.Put(0, 0, &r)
		}
		q.Mark(0, 0)
		q.Drain(sink)
	}
	round()
	if n := testing.AllocsPerRun(100, round); n != 0 {
		t.Errorf("%v allocations for 1,000 items", n)
	}
}

func BenchmarkQueue(b *testing.B) {
	q := queue.New[[40]uint64](queue.Config{Workers: 1, Bytes: 1 << 20, Replay: true})
	var item [40]uint64
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		q.Put(0, 0, &item)
		if i%256 == 255 {
			q.Mark(0, 0)
			q.Drain(func(*[40]uint64) {})
		}
	}
}

// TestHold says that an item that is held holds up what is behind it, only as
// long as that, not when half the room is taken, and not when the queue is
// closed.
func TestHold(t *testing.T) {
	const room = 16 * 256 // items of one worker
	q := queue.New[record](queue.Config{Workers: 2, Bytes: 2 * room * int64(unsafe.Sizeof(record{})+1)})
	held := true
	q.Hold(func(r *record) bool { return held && r.number == 1 })
	var got []int
	drain := func() bool { return q.Drain(func(r *record) { got = append(got, r.number) }) }
	for n := range 3 {
		q.Put(0, 0, &record{number: n})
	}
	q.Mark(0, int64(time.Second))
	for range 2 {
		if drain() || !slices.Equal(got, []int{0}) {
			t.Fatalf("got %v, want the first alone", got)
		}
	}
	held = false
	if drain() || !slices.Equal(got, []int{0, 1, 2}) {
		t.Fatalf("got %v, want all", got)
	}
	held, got = true, nil
	q.Put(0, 0, &record{number: 1})
	q.Mark(0, int64(2*time.Second))
	for n := range 2 * room { // of the other worker
		if !q.Put(1, 0, &record{number: 2}) {
			t.Fatalf("item %d was dropped", n)
		}
		if n%100 == 0 {
			drain()
		}
	}
	if len(got) < room {
		t.Fatalf("%d items while one was held, want nearly all", len(got))
	}
	q.Put(0, 0, &record{number: 1})
	q.Close()
	if !drain() || len(got) != 2*room+2 {
		t.Fatalf("%d items at the end", len(got))
	}
}
