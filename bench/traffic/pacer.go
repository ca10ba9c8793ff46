package traffic

import (
	"context"
	"time"
)

// A pacer says how many datagrams are due. It sleeps for at least a tick, so
// that a low rate costs no processor time and a high one comes in bursts of a
// tick.
type pacer struct {
	rate  float64 // datagrams a second; 0 means always due
	start time.Time
	timer *time.Timer
}

const (
	tick = time.Millisecond

	// maxLag bounds the burst that makes up for a time in which nothing could
	// be sent.
	maxLag = 100 * time.Millisecond
)

func newPacer(rate float64) pacer {
	p := pacer{rate: rate, start: time.Now(), timer: time.NewTimer(0)}
	<-p.timer.C
	return p
}

// burst returns how many datagrams are due at once.
func (p *pacer) burst() int {
	if p.rate == 0 {
		return batchLen
	}
	return max(int(min(p.rate*tick.Seconds(), batchLen)), 1)
}

// wait returns how many datagrams may follow the first sent ones now, at least
// 1 and at most batchLen; 0 when ctx is done.
func (p *pacer) wait(ctx context.Context, sent int64) int64 {
	for ctx.Err() == nil {
		if p.rate == 0 {
			return batchLen
		}
		elapsed := time.Since(p.start)
		// When datagram number sent is due, counted from 0.
		due := time.Duration(float64(sent) / p.rate * float64(time.Second))
		if lag := elapsed - due; lag >= 0 {
			if lag > maxLag {
				p.start = p.start.Add(lag - maxLag)
				lag = maxLag
			}
			return 1 + int64(min(lag.Seconds()*p.rate, batchLen-1))
		}
		p.timer.Reset(max(due-elapsed, tick))
		select {
		case <-ctx.Done():
		case <-p.timer.C:
		}
	}
	return 0
}
