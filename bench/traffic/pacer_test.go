package traffic

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// pace runs a pacer for d and returns how often it was asked, and how many
// datagrams it allowed.
func pace(t *testing.T, rate float64, d time.Duration) (calls, sent int64) {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	p := newPacer(rate)
	for {
		n := p.wait(ctx, sent)
		if n == 0 {
			return calls, sent
		}
		if n < 1 || n > batchLen {
			t.Fatalf("%d datagrams at once", n)
		}
		calls++
		sent += n
	}
}

func TestPacerKeepsTheRate(t *testing.T) {
	for _, rate := range []float64{0.5, 1, 999, 1000, 1001, 64_000, 250_000, 1e6} {
		synctest.Test(t, func(t *testing.T) {
			const d = 10 * time.Second
			calls, sent := pace(t, rate, d)
			want := int64(rate * d.Seconds())
			if sent < want-int64(rate/500)-1 || sent > want+1 {
				t.Errorf("rate %v: %d sent in %v, want %d", rate, sent, d, want)
			}
			// A wake-up a tick, and the batches of what is due then.
			if most := int64(d/tick) + sent/batchLen + 1 + int64(d/tick); calls > min(most, sent) {
				t.Errorf("rate %v: %d calls for %d datagrams", rate, calls, sent)
			}
		})
	}
}

func TestPacerDoesNotMakeUpForMoreThanItsLag(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const rate = 1000
		p := newPacer(rate)
		time.Sleep(time.Hour) // nothing could be sent
		start, sent := time.Now(), int64(0)
		for time.Since(start) == 0 {
			sent += p.wait(t.Context(), sent)
		}
		want := int64(maxLag.Seconds()*rate) + 1
		if sent < want || sent > want+batchLen {
			t.Errorf("%d sent at once, want %d", sent, want)
		}
	})
}

func TestPacerWithoutRateNeverWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, start := newPacer(0), time.Now()
		for i := range int64(1000) {
			if n := p.wait(t.Context(), i*batchLen); n != batchLen {
				t.Fatalf("%d datagrams", n)
			}
		}
		if time.Since(start) != 0 {
			t.Error("it slept")
		}
	})
}

func TestProgressIsReportedOnceASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var all []Result
		s := &sender{progress: time.Now(), config: SendConfig{Progress: func(r Result) { all = append(all, r) }}}
		for range 35 {
			time.Sleep(100 * time.Millisecond)
			s.result.Packets++
			s.report()
		}
		if len(all) != 3 || all[2].Duration != 3*time.Second || all[2].Packets != 30 {
			t.Errorf("reported %+v", all)
		}
	})
}
