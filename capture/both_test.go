package capture

import (
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/periscope-collector/periscope/packet"
)

// A scripted member lends what its script says: at each poll a batch, nothing,
// or an error.
type scripted struct {
	t        *testing.T
	script   []step
	batch    *packet.Batch
	mark     int64
	lent     bool
	released int
	pipe     [2]int
	wakes    []int16
}

// A step is the result of one poll.
type step struct {
	orders  []int64
	promise int64
	err     error
}

func newScripted(t *testing.T, script ...step) *scripted {
	t.Helper()
	s := &scripted{t: t, script: script, batch: packet.NewBatch(batchLen)}
	if err := unix.Pipe2(s.pipe[:], unix.O_NONBLOCK|unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		unix.Close(s.pipe[0])
		unix.Close(s.pipe[1])
	})
	return s
}

func (s *scripted) poll(int64) (*packet.Batch, error) {
	if s.lent {
		s.t.Error("polled while a batch was lent")
	}
	if len(s.script) == 0 {
		return nil, nil
	}
	step := s.script[0]
	s.script = s.script[1:]
	if step.err != nil {
		return nil, step.err
	}
	s.mark = step.promise
	if len(step.orders) == 0 {
		return nil, nil
	}
	s.batch.Resize(len(step.orders))
	for i, order := range step.orders {
		s.batch.Datagrams[i] = packet.Datagram{Order: order}
	}
	s.lent = true
	return s.batch, nil
}

func (s *scripted) promise() int64 { return s.mark }

func (s *scripted) descriptors() []pollFD {
	return []pollFD{{Fd: int32(s.pipe[0]), Events: unix.POLLIN}}
}

func (s *scripted) woken(polls []pollFD) error {
	s.wakes = append(s.wakes, polls[0].Revents)
	return nil
}

func (s *scripted) rest() *unix.Timespec { return &nap }

func (s *scripted) Next() (*packet.Batch, error) { panic("a member is not read on its own") }

func (s *scripted) Release(b *packet.Batch) {
	if b != s.batch || !s.lent {
		s.t.Error("got back what it did not lend")
	}
	s.lent = false
	s.released++
}

var ended = step{err: io.EOF}

// lentBy reads a source to its end, and returns the orders and marks of each
// batch.
func lentBy(t *testing.T, s Source) (orders [][]int64, marks []int64) {
	t.Helper()
	for {
		b, err := s.Next()
		if err == io.EOF {
			return orders, marks
		}
		if err != nil {
			t.Fatal(err)
		}
		var of []int64
		for _, d := range b.Datagrams {
			of = append(of, d.Order)
		}
		orders, marks = append(orders, of), append(marks, b.Mark)
		s.Release(b)
	}
}

func TestBothMarkIsTheLeastOfBothPromises(t *testing.T) {
	ring := newScripted(t,
		step{orders: []int64{100}, promise: 95},
		step{orders: []int64{200}, promise: 195},
		step{promise: 300}, // nothing there
		ended)
	sockets := newScripted(t,
		step{promise: 50}, // nothing there
		step{orders: []int64{60}, promise: 55},
		step{orders: []int64{400}, promise: 390},
		step{orders: []int64{500}, promise: 490},
		ended)
	orders, marks := lentBy(t, newBothSource(ring, sockets))
	want := "[[100] [200] [60] [400] [500]] [50 50 55 390 490]"
	if got := fmt.Sprint(orders, marks); got != want {
		t.Errorf("orders and marks %s, want %s", got, want)
	}
}

// TestBothBreaksNoPromise reads members that keep their promises, in random
// turns.
func TestBothBreaksNoPromise(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 0))
		script := func() (steps []step) {
			promise := int64(0)
			for range 50 {
				var orders []int64
				for range r.IntN(4) {
					orders = append(orders, promise+r.Int64N(100))
				}
				promise += r.Int64N(80)
				steps = append(steps, step{orders: orders, promise: promise})
			}
			return append(steps, ended)
		}
		a, b := newScripted(t, script()...), newScripted(t, script()...)
		orders, marks := lentBy(t, newBothSource(a, b))
		mark := int64(0)
		for i := range orders {
			for _, order := range orders[i] {
				if order < mark {
					t.Fatalf("seed %d: order %d in batch %d, after the mark %d", seed, order, i, mark)
				}
			}
			mark = max(mark, marks[i])
		}
		if a.lent || b.lent {
			t.Fatalf("seed %d: a batch was not given back", seed)
		}
	}
}

func TestBothLooksAtTheSocketsWhileTheRingIsBusy(t *testing.T) {
	var busy []step
	for i := range int64(100) {
		busy = append(busy, step{orders: []int64{i}, promise: i})
	}
	sockets := newScripted(t, step{}, step{orders: []int64{1000}}, step{}, step{orders: []int64{1001}}, ended)
	orders, _ := lentBy(t, newBothSource(newScripted(t, append(busy, ended)...), sockets))
	var at []int
	for i, of := range orders {
		if of[0] >= 1000 {
			at = append(at, i)
		}
	}
	// Looks come first, and after 16 batches each: the second finds something,
	// which is the first of the next 16.
	if got, want := fmt.Sprint(at), "[16 48]"; got != want {
		t.Errorf("batches of the sockets at %s, want %s", got, want)
	}
}

func TestBothGivesBatchesBackToTheMemberThatLent(t *testing.T) {
	ring := newScripted(t, step{orders: []int64{1}}, step{orders: []int64{2}}, ended)
	sockets := newScripted(t, step{orders: []int64{3}}, ended)
	lentBy(t, newBothSource(ring, sockets))
	if ring.released != 2 || sockets.released != 1 {
		t.Errorf("given back: %d to the ring, %d to the sockets, want 2 and 1", ring.released, sockets.released)
	}
}

func TestBothReadsOnWithoutAnInterfaceThatIsGone(t *testing.T) {
	ring := newScripted(t, step{orders: []int64{1}, promise: 1}, step{err: fmt.Errorf("capture: %w", errGone)})
	sockets := newScripted(t, step{promise: 5}, step{orders: []int64{7}, promise: 6}, ended)
	orders, marks := lentBy(t, newBothSource(ring, sockets))
	if got, want := fmt.Sprint(orders, marks), "[[1] [7]] [1 6]"; got != want {
		t.Errorf("orders and marks %s, want %s", got, want)
	}
}

func TestBothEndsWithAnErrorOfEither(t *testing.T) {
	for _, failing := range []int{0, 1} {
		var members [2]*scripted
		for i := range members {
			members[i] = newScripted(t)
		}
		members[failing].script = []step{{err: fmt.Errorf("broken %d", failing)}}
		_, err := newBothSource(members[0], members[1]).Next()
		if err == nil || !strings.Contains(err.Error(), "broken") {
			t.Errorf("member %d failed: %v", failing, err)
		}
	}
}

// TestBothWaitsOnEither wakes by the descriptor of one member, which alone is
// told of it, and of the one that is left when the other has ended.
func TestBothWaitsOnEither(t *testing.T) {
	for _, writer := range []int{0, 1} {
		members := [2]*scripted{newScripted(t), newScripted(t)}
		if writer == 1 {
			members[0].script = []step{ended}
		}
		if _, err := unix.Write(members[writer].pipe[1], []byte{1}); err != nil {
			t.Fatal(err)
		}
		s := newBothSource(members[0], members[1])
		before := time.Now().UnixNano()
		b, err := s.Next()
		if err != nil {
			t.Fatal(err)
		}
		if len(b.Datagrams) != 0 || b.Now < before {
			t.Errorf("%d datagrams, clock %d before the call", len(b.Datagrams), before-b.Now)
		}
		s.Release(b)
		if got := fmt.Sprint(members[writer].wakes); got != fmt.Sprint([]int16{unix.POLLIN}) {
			t.Errorf("member %d was woken with %s", writer, got)
		}
		if other := members[1-writer].wakes; writer == 1 && other != nil || writer == 0 && other[0] != 0 {
			t.Errorf("the member without anything was woken with %v", other)
		}
	}
}

func TestBothLendsOneBatchAtATime(t *testing.T) {
	s := newBothSource(newScripted(t, step{orders: []int64{1}}), newScripted(t))
	if _, err := s.Next(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Next(); err == nil || !strings.Contains(err.Error(), "one batch at a time") {
		t.Error(err)
	}
}

func TestBothAllocatesNothing(t *testing.T) {
	var busy []step
	for range 400 {
		busy = append(busy, step{orders: []int64{1, 2, 3}})
	}
	s := newBothSource(newScripted(t, busy...), newScripted(t))
	if n := testing.AllocsPerRun(300, func() {
		b, err := s.Next()
		if err != nil {
			t.Fatal(err)
		}
		s.Release(b)
	}); n != 0 {
		t.Errorf("%v allocations a batch", n)
	}
}
