package discovery

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/periscope-collector/periscope/internal/backoff"
	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/session"
)

const (
	// maxStrangers is how many senders that AWS did not explain are remembered,
	// with some 150 bytes each and their sessions. Further ones wait for the next
	// poll.
	maxStrangers = 4096

	// maxWaiting is how many strangers may wait to be looked at: all that show
	// before one look is over are answered by the next.
	maxWaiting = 256

	// answered is how long an answer takes at most, as a rule: two seconds until
	// the next look, and a few calls.
	answered = 4 * time.Second
)

// strangers are the senders that AWS is asked about, and was.
type strangers struct {
	waiting chan *packet.Session

	mu      sync.Mutex // guards what follows
	asked   map[session.Identity]asked
	awaited []awaited // at most maxWaiting

	// patience is how long what is written of a stranger waits at least: 0 if none
	// of them are heard.
	patience time.Duration
}

// An asked is the latest session of a sender, and how long not to ask about it.
type asked struct {
	backoff.Pause
	session *packet.Session
}

// An awaited is a session whose records wait until scopes have looked.
type awaited struct {
	session *packet.Session
	since   time.Time
	scopes  []*scope // that have not
}

// Stranger has AWS asked about an unknown session, unless it was lately, or nobody
// is. It does not wait, and may be called by a worker.
func (d *Discovery) Stranger(s *packet.Session) {
	now := time.Now()
	if len(d.scopes) == 0 {
		d.strangers.release(s, now)
		return
	}
	s.Await(now.Add(answered).UnixNano())
	select {
	case d.strangers.waiting <- s:
	default: // those that wait have a look made
		d.strangers.release(s, now)
	}
}

// release has what is written of a session that showed at a time wait for nobody but
// the sender itself.
func (s *strangers) release(session *packet.Session, at time.Time) {
	session.Await(at.Add(s.patience).UnixNano())
}

// answer has all scopes look when a stranger shows, and again while it is one,
// until ctx is done.
func (d *Discovery) answer(ctx context.Context) {
	free, again := time.NewTicker(refreshEvery), time.NewTicker(absentShortest)
	defer free.Stop()
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-free.C:
			d.forgetSilent(time.Now())
		case <-again.C:
			if d.strangers.again(time.Now(), d.poll) {
				d.wake()
			}
		case s := <-d.strangers.waiting:
			now := time.Now()
			if !d.strangers.ask(s, now) {
				d.strangers.release(s, now)
				continue
			}
			d.strangers.await(s, now, d.scopes)
			d.wake()
		}
	}
}

// wake has all scopes look soon.
func (d *Discovery) wake() {
	for _, s := range d.scopes {
		select {
		case s.wake <- struct{}{}:
		default: // it will look anyway
		}
	}
}

// await has what is written of a session wait for the scopes that will look, if
// there are any.
func (s *strangers) await(session *packet.Session, now time.Time, scopes []*scope) {
	a := awaited{session: session, since: now}
	for _, scope := range scopes {
		if !scope.away.Load() {
			a.scopes = append(a.scopes, scope)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(a.scopes) == 0 || len(s.awaited) == maxWaiting {
		s.release(session, now)
		return
	}
	s.awaited = append(s.awaited, a)
}

// looked says that a scope has looked, from then on: who is not known now will
// not be by that.
func (s *strangers) looked(by *scope, began time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.awaited = slices.DeleteFunc(s.awaited, func(a awaited) bool {
		if i := slices.Index(a.scopes, by); i >= 0 && !a.since.After(began) {
			a.scopes[i] = nil
		}
		if slices.ContainsFunc(a.scopes, func(s *scope) bool { return s != nil }) && a.session.Awaited() {
			return false
		}
		s.release(a.session, a.since)
		return true
	})
}

// forgetSilent has the table forget unknown sessions that were silent for long, also
// while nothing changes and nobody answers: it does so whenever it learns.
func (d *Discovery) forgetSilent(now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.learn(now)
}

// heard returns the unknown sessions, and when they began.
func (d *Discovery) heard() map[sender]int64 {
	began := make(map[sender]int64)
	for _, s := range d.table.Sessions() {
		if s.Known || s.Source.IsZero() {
			continue
		}
		id := sender{session.Identity{VNI: s.VNI, Source: s.Source}, s.MAC}
		if first, ok := began[id]; !ok || s.Since < first {
			began[id] = s.Since
		}
	}
	return began
}

// ask reports whether AWS is to be asked about a stranger, and takes it that the
// answer is no until known says otherwise.
func (s *strangers) ask(stranger *packet.Session, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := session.Identity{VNI: stranger.VNI, Source: stranger.Source}
	a, known := s.asked[id]
	if !a.Due(now) {
		return false
	}
	if !known && len(s.asked) >= maxStrangers && !s.makeRoom(now) {
		return false
	}
	a.session = stranger
	a.Extend(now, absentShortest, absentLongest)
	s.asked[id] = a
	return true
}

// again reports whether AWS is to be asked about strangers again. Where their pause
// is not shorter than a poll the polls do that. Those that are over are forgotten.
func (s *strangers) again(now time.Time, poll time.Duration) (ask bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, a := range s.asked {
		switch {
		case !a.Due(now):
		case a.session.Ended.Load():
			delete(s.asked, id)
		case a.Delay < poll:
			a.Extend(now, absentShortest, absentLongest)
			s.asked[id] = a
			ask = true
		}
	}
	return ask
}

// makeRoom forgets those that could be asked about again. The caller holds mu.
func (s *strangers) makeRoom(now time.Time) bool {
	for id, a := range s.asked {
		if a.Due(now) {
			delete(s.asked, id)
		}
	}
	return len(s.asked) < maxStrangers
}

// known forgets those that entries explain.
func (s *strangers) known(entries []session.Entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range entries {
		delete(s.asked, entries[i].Identity())
		delete(s.asked, session.Identity{VNI: entries[i].VNI})
	}
}
