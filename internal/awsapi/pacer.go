package awsapi

import (
	"context"
	"sync"
	"time"
)

// A pacer lets burst requests go at once and then one every interval. It is a
// token bucket kept as a time: next is when the bucket is full again, less burst
// intervals. Any goroutine may use it.
type pacer struct {
	interval time.Duration
	burst    int

	mu   sync.Mutex
	next time.Time
}

// wait takes the caller's turn and returns when it has come, or with ctx's error
// when ctx ends before. A turn that was not waited for is lost.
func (p *pacer) wait(ctx context.Context) error {
	delay := p.turn(time.Now())
	if delay <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// turn returns how long after now the next turn is.
func (p *pacer) turn(now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if earliest := now.Add(-time.Duration(p.burst-1) * p.interval); p.next.Before(earliest) {
		p.next = earliest
	}
	delay := p.next.Sub(now)
	p.next = p.next.Add(p.interval)
	return delay
}
