package splunk

import (
	"context"
	"sync"
	"time"
)

// batchLeast is what a server that finds requests too large can bring their bytes
// down to.
const batchLeast = 64 << 10

// A pace says when a lane may be read, and how much of it at once. Its methods may
// be called at once.
//
// A hold begins with a batch that is refused, and ends with one that is not, of
// those that were read when its time was over. The others were read before it
// began and say nothing about it, however late their outcome comes; this is what
// epoch is for.
type pace struct {
	whole int // events of a batch

	mu    sync.Mutex
	epoch int // counts holds
	until time.Time
	last  time.Duration // how long the hold is
	why   string        // "" unless held
	turn  turn
}

// A turn is how much may be read at once.
type turn struct {
	epoch         int
	events, bytes int
	trial         bool // it shows whether the hold is over
}

func newPace(events int) pace {
	return pace{whole: events, turn: turn{events: events, bytes: batchBytes}}
}

// wait waits until the lane is not held. It reports false when ctx is done.
func (p *pace) wait(ctx context.Context) bool {
	p.mu.Lock()
	wait := time.Until(p.until)
	p.mu.Unlock()
	if wait <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// next returns how much to read now. It reports false if a hold has begun since
// wait returned.
func (p *pace) next() (turn, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.turn
	t.epoch, t.trial = p.epoch, p.why != ""
	return t, !time.Now().Before(p.until)
}

// hold stops the lane, longer each time in a row, for a batch that was read in an
// epoch. Its batches are small from then on.
func (p *pace) hold(epoch int, least time.Duration, why string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if epoch != p.epoch {
		return // one of several batches that were out said so
	}
	p.epoch++
	p.last = min(max(2*p.last, least), holdMost)
	p.until = time.Now().Add(p.last)
	p.why = why
	p.turn.events = min(probeEvents, p.whole)
}

// passed says that a batch of an epoch was not refused: the hold is over, and
// batches may be twice as large.
func (p *pace) passed(epoch int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if epoch == p.epoch {
		p.until, p.last, p.why = time.Time{}, 0, ""
		p.turn.events = min(2*p.turn.events, p.whole)
	}
}

// tooLarge says that so many bytes are too large a request. Batches have half of
// them at most, as long as the process lives: what a server takes does not change
// without somebody's doing, and small requests cost little.
func (p *pace) tooLarge(bytes int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.turn.bytes = max(min(p.turn.bytes, bytes/2), batchLeast)
}

// held returns why the lane is held, "" if it is not.
func (p *pace) held() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.why
}
