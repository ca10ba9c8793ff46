package mirror_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/periscope-collector/periscope/mirror"
)

// A daemon is a desk at which Run goes on while the test waits, and only then: the
// test has the lock.
type daemon struct {
	*desk
	sync.Mutex
	hints chan mirror.Hint
	at    []time.Duration // of the looks, since it began
}

func (d *daemon) Look(ctx context.Context, hints []mirror.Hint) (*mirror.State, error) {
	d.Lock()
	defer d.Unlock()
	d.at = append(d.at, time.Since(d.now))
	return d.desk.Look(ctx, hints)
}

func (d *daemon) Create(ctx context.Context, s mirror.Session, token string) (mirror.Session, error) {
	d.Lock()
	defer d.Unlock()
	return d.desk.Create(ctx, s, token)
}

func (d *daemon) Delete(ctx context.Context, id string) error {
	d.Lock()
	defer d.Unlock()
	return d.desk.Delete(ctx, id)
}

// run gives a test a daemon that it can start.
func run(t *testing.T, sources []mirror.Source, test func(t *testing.T, d *daemon)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		d := &daemon{desk: newDesk(t, toOne, sources), hints: make(chan mirror.Hint)}
		d.now = time.Now()
		d.r = mirror.New(mirror.Config{Rules: parse(t, toOne), Cloud: d, Account: account})
		test(t, d)
	})
}

// start has Run go on, every 30 s, until the test ends.
func (d *daemon) start(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	over := make(chan struct{})
	d.Lock()
	go func() {
		defer close(over)
		d.r.Run(ctx, 30*time.Second, d.hints)
	}()
	t.Cleanup(func() {
		d.Unlock()
		cancel()
		<-over
	})
}

func hint(n int) mirror.Hint {
	return mirror.Hint{ClusterARN: "c", TaskARN: fmt.Sprint(n)}
}

// wait lets some time pass.
func (d *daemon) wait(some time.Duration) {
	d.Unlock()
	time.Sleep(some)
	synctest.Wait()
	d.Lock()
}

// Everything is looked at when it begins, and then every 27 to 33 s.
func TestRunEvery(t *testing.T) {
	run(t, nil, func(t *testing.T, d *daemon) {
		d.start(t)
		d.wait(10 * time.Minute)
		if n := len(d.looks); n < 18 || n > 23 {
			t.Errorf("%d looks in ten minutes", n)
		}
		exact := 0
		for i := range d.at[1:] {
			gap := d.at[i+1] - d.at[i]
			if gap < 27*time.Second || gap > 33*time.Second {
				t.Errorf("%v between two looks", gap)
			}
			if gap == 30*time.Second {
				exact++
			}
		}
		if d.at[0] != 0 || exact > 5 {
			t.Errorf("the first after %v, %d after 30 s to the nanosecond", d.at[0], exact)
		}
		if slices.ContainsFunc(d.looks, func(h []mirror.Hint) bool { return h != nil }) {
			t.Errorf("looks %v", d.looks)
		}
	})
}

// Hints that come within 100 ms are one look, each once; who says no more leaves it
// going on.
func TestRunHints(t *testing.T) {
	run(t, nil, func(t *testing.T, d *daemon) {
		d.start(t)
		d.wait(time.Second)
		for _, n := range []int{1, 2, 1, 3} {
			d.hints <- hint(n)
			d.wait(30 * time.Millisecond)
		}
		d.wait(100 * time.Millisecond)
		if len(d.looks) != 2 || !slices.Equal(d.looks[1], []mirror.Hint{hint(1), hint(2), hint(3)}) || d.at[1] != 1100*time.Millisecond {
			t.Errorf("looks %v at %v", d.looks, d.at)
		}
		d.hints <- hint(4)
		close(d.hints)
		d.wait(40 * time.Second)
		if len(d.looks) < 4 || !slices.Equal(d.looks[2], []mirror.Hint{hint(4)}) || d.looks[3] != nil {
			t.Errorf("looks %v", d.looks)
		}
	})
}

// Of more than 1,000 hints comes a look at everything.
func TestRunManyHints(t *testing.T) {
	for n, whole := range map[int]bool{1000: false, 1001: true} {
		run(t, nil, func(t *testing.T, d *daemon) {
			d.start(t)
			d.wait(time.Second)
			for i := range n {
				d.hints <- hint(i)
			}
			d.wait(time.Second)
			if len(d.looks) != 2 || (d.looks[1] == nil) != whole {
				t.Errorf("%d hints: %d looks, the last with %d", n, len(d.looks), len(d.looks[len(d.looks)-1]))
			}
		})
	}
}

// When looking fails it hears nothing for 1 s, doubling up to 1 min, and then looks
// at everything.
func TestRunLookFails(t *testing.T) {
	run(t, nil, func(t *testing.T, d *daemon) {
		d.lookErr = errors.New("throttled")
		d.start(t)
		for range 2500 {
			select {
			case d.hints <- hint(1):
			default:
			}
			d.wait(100 * time.Millisecond)
		}
		want := []time.Duration{0, 1, 3, 7, 15, 31, 63, 123, 183, 243}
		if len(d.at) != len(want) {
			t.Fatalf("looks at %v, want %v", d.at, want)
		}
		for i := range want {
			if d.at[i] != want[i]*time.Second || d.looks[i] != nil {
				t.Errorf("look %d at %v, want %v; about %v", i, d.at[i], want[i], d.looks[i])
			}
		}
		d.lookErr = nil
		d.wait(61 * time.Second)
		n := len(d.at)
		d.hints <- hint(2)
		d.wait(time.Second)
		if len(d.at) != n+1 || d.looks[n] == nil {
			t.Errorf("after it is over: looks %v at %v", d.looks[n-1:], d.at[n-1:])
		}
		d.lookErr = errors.New("throttled again")
		d.hints <- hint(3)
		d.wait(1200 * time.Millisecond)
		if len(d.at) != n+3 || d.at[n+2]-d.at[n+1] != time.Second {
			t.Errorf("when it begins anew: looks at %v", d.at[n:])
		}
	})
}

// A call that fails is tried again after 1 s and more, and hints are heard meanwhile.
func TestRunCallsFail(t *testing.T) {
	run(t, sources(1, 1), func(t *testing.T, d *daemon) {
		d.answer = func(mirror.Verb, *mirror.Session) error { return errors.New("timeout") }
		d.start(t)
		d.wait(10 * time.Minute)
		// 0, 1, 3, 7, 15, 31 s, and then every minute at least
		if n := len(d.calls); n < 10 || n > 16 {
			t.Errorf("%d calls in ten minutes", n)
		}
		d.Sources = sources(1, 2)
		d.answer = nil
		d.hints <- hint(2)
		d.wait(100 * time.Millisecond)
		if last := d.calls[len(d.calls)-1]; last != "create 2" {
			t.Errorf("the last call is %q", last)
		}
	})
}

// Calls that go on failing, of hint after hint, do not put off the look at everything.
func TestRunHintsFail(t *testing.T) {
	run(t, nil, func(t *testing.T, d *daemon) {
		d.start(t)
		d.wait(time.Second)
		d.answer = func(mirror.Verb, *mirror.Session) error { return errors.New("throttled") }
		for n := range 40 {
			d.Sources = sources(1, n+1)
			d.hints <- hint(n + 1)
			d.wait(5 * time.Second)
		}
		last := time.Duration(0)
		for i, about := range d.looks {
			if about == nil {
				if d.at[i]-last > 61*time.Second {
					t.Errorf("nobody looked at everything from %v to %v", last, d.at[i])
				}
				last = d.at[i]
			}
		}
		if last < 140*time.Second || len(d.looks) > 60 {
			t.Errorf("%d looks, the last at everything after %v", len(d.looks), last)
		}
	})
}

// What is more than a round does is done at once.
func TestRunMore(t *testing.T) {
	run(t, nil, func(t *testing.T, d *daemon) {
		d.start(t)
		d.wait(time.Second)
		for n := range 250 {
			s := foreign(n, n, 1, uint32(n))
			s.Tags = map[string]string{"periscope:owner": "periscope"}
			d.Sessions = append(d.Sessions, s)
		}
		d.wait(33 * time.Second)
		if len(d.calls) != 250 || len(d.looks) != 4 || d.at[1] != d.at[3] {
			t.Errorf("%d calls in looks at %v", len(d.calls), d.at)
		}
	})
}
