package discovery

import (
	"context"
	"sync"
	"time"

	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/session"
)

const (
	// maxStrangers is how many senders that AWS did not explain are remembered,
	// with some 150 bytes each. Further ones wait for the next poll.
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

	mu    sync.Mutex // guards what follows
	asked map[identity]pause
}

// Stranger has AWS asked about an unknown session, unless it was lately. It does
// not wait, and may be called by a worker.
func (d *Discovery) Stranger(s *packet.Session) {
	s.Await(time.Now().Add(answered).UnixNano())
	select {
	case d.strangers.waiting <- s:
	default: // those that wait have a look made
	}
}

// answer has all scopes look when a stranger shows, until ctx is done.
func (d *Discovery) answer(ctx context.Context) {
	free := time.NewTicker(refreshEvery)
	defer free.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-free.C:
			d.makeRoom(time.Now())
		case s := <-d.strangers.waiting:
			if !d.strangers.ask(identity{s.VNI, s.Source}, time.Now()) {
				s.Await(0)
				continue
			}
			for _, s := range d.scopes {
				select {
				case s.wake <- struct{}{}:
				default: // it will look anyway
				}
			}
		}
	}
}

// makeRoom has the table forget unknown sessions that were silent for long, also
// while nothing changes and nobody answers: it does so whenever it learns.
func (d *Discovery) makeRoom(now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.learn(now)
}

// ask reports whether AWS is to be asked about a stranger, and takes it that the
// answer is no until known says otherwise.
func (s *strangers) ask(id identity, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, again := s.asked[id]
	if !p.due(now) {
		return false
	}
	if !again && len(s.asked) >= maxStrangers && !s.makeRoom(now) {
		return false
	}
	p.extend(now, absentShortest, absentLongest)
	s.asked[id] = p
	return true
}

// makeRoom forgets those that could be asked about again. The caller holds mu.
func (s *strangers) makeRoom(now time.Time) bool {
	for id, p := range s.asked {
		if p.due(now) {
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
		delete(s.asked, identityOf(&entries[i]))
		delete(s.asked, identity{vni: entries[i].VNI})
	}
}
