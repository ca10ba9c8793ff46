package discovery

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/session"
	"github.com/periscope-collector/periscope/session/announce"
)

const (
	// maxUnheard is how many announcements wait at most: 90 KiB.
	maxUnheard = 64

	// announcedIn is how long what is written of a stranger waits for an
	// announcement, which comes before the sender's first frame or just behind it,
	// and until the table has it: as long as for AWS.
	announcedIn = answered

	// What was announced is learnt at once, and then again after learnEvery or ten
	// times as long as it took: senders that go on changing take a tenth of a core.
	// But a stranger is learnt while it is waited for, also on a busy machine.
	learnEvery = 100 * time.Millisecond
	learnShare = 10
)

// The outcomes of announcements.
const (
	Heard     = iota // taken at its word, or it says nothing new
	TooOften         // another one of that VNI and source in the same second, or of too many
	Malformed        // it cannot be read
	Surplus          // there is no room for another sender, or another of that address
	Unheard          // too many wait
	NumOutcomes
)

// OutcomeNames are the words for the outcomes.
var OutcomeNames = [NumOutcomes]string{"heard", "too_often", "malformed", "surplus", "queue_full"}

// An announcement is one as it came.
type announcement struct {
	session.Identity
	time   int64 // of the frame
	length int
	frame  [announce.MaxLength]byte
}

// ears hear what senders say of themselves.
type ears struct {
	waiting  chan announcement
	outcomes [NumOutcomes]atomic.Uint64

	// Of the goroutine that hears:
	recent  map[session.Identity]bool // that were heard in this second
	unheard uint64                    // outcomes[Unheard] as it was last
	deaf    time.Time                 // when one was unheard last
}

// Hear takes an announcement of a sender that neither the session file nor AWS
// explains. It keeps a copy, does not wait, and may be called by a worker.
func (d *Discovery) Hear(f *packet.Frame) {
	e := d.ears
	switch {
	case e == nil:
		return
	case len(f.Data) > announce.MaxLength:
		e.outcomes[Malformed].Add(1)
		return
	case len(e.waiting) == cap(e.waiting): // cheaper than to copy in vain
		e.outcomes[Unheard].Add(1)
		return
	}
	s := announcement{Identity: session.Identity{VNI: f.VNI & session.MaxVNI, Source: f.Source}, time: f.Time}
	s.length = copy(s.frame[:], f.Data)
	select {
	case e.waiting <- s:
	default:
		e.outcomes[Unheard].Add(1)
	}
}

// Announcements returns how many announcements there were, by outcome, or nil if
// none are heard.
func (d *Discovery) Announcements() map[string]uint64 {
	if d.ears == nil {
		return nil
	}
	n := make(map[string]uint64, NumOutcomes)
	for i := range d.ears.outcomes {
		n[OutcomeNames[i]] = d.ears.outcomes[i].Load()
	}
	return n
}

// listen hears announcements until ctx is done.
func (d *Discovery) listen(ctx context.Context) {
	second := time.NewTicker(time.Second)
	defer second.Stop()
	var due <-chan time.Time // when what changed is to be learnt
	var next time.Time
	for {
		changed := false
		select {
		case <-ctx.Done():
			if due != nil {
				d.learnClaims(time.Now())
			}
			return
		case s := <-d.ears.waiting:
			outcome, news := d.consider(&s, time.Now())
			d.ears.outcomes[outcome].Add(1)
			changed = news
		case now := <-second.C:
			d.ears.turn(now)
			changed = d.endSilent(now)
		case <-due:
			began := time.Now()
			d.learnClaims(began)
			due, next = nil, time.Now().Add(min(announcedIn/4, max(learnEvery, learnShare*time.Since(began))))
		}
		if changed && due == nil {
			due = time.After(time.Until(next))
		}
	}
}

// turn begins a new second.
func (e *ears) turn(now time.Time) {
	clear(e.recent)
	if n := e.outcomes[Unheard].Load(); n != e.unheard {
		e.unheard, e.deaf = n, now
	}
}

// consider takes an announcement, and reports what became of it and whether something
// changed by it.
func (d *Discovery) consider(s *announcement, now time.Time) (outcome int, changed bool) {
	e := d.ears
	if e.recent[s.Identity] || len(e.recent) >= maxClaims {
		return TooOften, false
	}
	e.recent[s.Identity] = true
	said, err := announce.Parse(s.frame[:s.length])
	if err != nil {
		return Malformed, false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.claims.take(bind(&said, s.Identity), s.time, now)
}

// endSilent ends who was not heard for long, and reports whether something changed.
func (d *Discovery) endSilent(now time.Time) (changed bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.claims.endSilent(d.ears.deaf, now)
}

// learnClaims has the table learn what was announced.
func (d *Discovery) learnClaims(now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.learn(now)
	d.log.Debug("sessions announced themselves", "sessions", len(d.claims.all))
}

// recall takes over an announced tenure of the journal. Who had not ended is heard
// again soon, or has. The caller holds mu.
func (d *Discovery) recall(e session.Entry, now time.Time) {
	c := &claim{Entry: e, called: e.Name, heard: now, written: e}
	switch {
	case e.Until != 0:
		c.ended = time.Unix(0, e.Until)
	case d.ears == nil: // nobody will hear it
		c.end(now.UnixNano(), now)
		d.keeper.give([]session.Entry{c.Entry}, 1)
		return
	}
	d.claims.add(c)
}
