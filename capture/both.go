package capture

import (
	"errors"
	"fmt"
	"io"
	"math"

	"golang.org/x/sys/unix"

	"github.com/periscope-collector/periscope/packet"
)

// A polled is a source that can be asked without waiting, so that one goroutine
// can look after two.
type polled interface {
	Source

	// poll lends the next batch if there is one, with datagrams in it, else
	// nil, and does not wait. now is the clock. It returns io.EOF after the
	// last batch, and an error that is errGone where the interface it reads
	// from has gone.
	poll(now int64) (*packet.Batch, error)

	// promise returns the mark as of the last poll: of the batch it lent, or
	// that nothing was there. No later batch holds anything older.
	promise() int64

	// descriptors returns what to wait for. They stay the same until the end.
	descriptors() []pollFD

	// woken is told what waiting for these descriptors ended with.
	woken([]pollFD) error

	// rest is how long datagrams may gather after it lent some.
	rest() *unix.Timespec
}

// errGone means that an interface is no longer there.
var errGone = errors.New("the interface is gone")

// Both returns one source for each worker, which reads its ring and its sockets
// in one goroutine. Rings are the sources of AFPacket or XDP, as many as u has.
// They are stopped and closed as before, and lend no batch themselves from now
// on.
//
// Rings go first; sockets get a look every 16 batches and whenever the ring is
// empty. A source ends when both its members have. Where the interface of the
// rings goes away, it reads on from the sockets alone.
func Both(rings []Source, u *UDP) []Source {
	sources := make([]Source, len(rings))
	for i, ring := range rings {
		sources[i] = newBothSource(ring.(polled), u.sources[i])
	}
	return sources
}

// A bothSource is two sources, of which it lends one batch at a time.
type bothSource struct {
	members [2]member
	none    *packet.Batch // what is lent where there is nothing
	lent    *packet.Batch
	lender  *member // of lent; nil for none
	polls   []pollFD
	stay    int  // batches left before the second member goes first
	busy    bool // the last batch was not empty
}

type member struct {
	polled
	polls []pollFD // its part of all
	ended bool
}

func newBothSource(ring, sockets polled) *bothSource {
	s := &bothSource{none: packet.NewBatch(0)} // stay is 0: neither has promised anything yet
	s.polls = append(ring.descriptors(), sockets.descriptors()...)
	split := len(ring.descriptors())
	s.members = [2]member{{polled: ring, polls: s.polls[:split]}, {polled: sockets, polls: s.polls[split:]}}
	return s
}

// Next lends the next batch of either. It waits at most 25 ms for one; the batch
// is then empty and only brings the clock.
func (s *bothSource) Next() (*packet.Batch, error) { return next(s) }

// poll asks the ring, then the sockets, or the other way round when it is the
// sockets' turn.
func (s *bothSource) poll(now int64) (*packet.Batch, error) {
	if s.lent != nil {
		return nil, errors.New("capture: a source of a ring and sockets lends one batch at a time")
	}
	first := 0
	if s.stay == 0 {
		first = 1
	}
	for _, i := range [2]int{first, 1 - first} {
		m := &s.members[i]
		if i == 1 {
			s.stay = stayBatches
		}
		if m.ended {
			continue
		}
		b, err := m.poll(now)
		switch {
		case err == io.EOF, errors.Is(err, errGone):
			m.end()
		case err != nil:
			return nil, err
		case b != nil:
			s.stay--
			s.busy = true
			return s.lend(b, m), nil
		}
	}
	if s.members[0].ended && s.members[1].ended {
		return nil, io.EOF
	}
	return nil, nil
}

// lend lends a batch of a member, or none's.
func (s *bothSource) lend(b *packet.Batch, of *member) *packet.Batch {
	b.Mark = s.mark()
	s.lent, s.lender = b, of
	return b
}

// lendEmpty implements waiter.
func (s *bothSource) lendEmpty(now int64) *packet.Batch {
	s.none.Now = now
	s.busy = false
	return s.lend(s.none, nil)
}

func (m *member) end() {
	m.ended = true
	for i := range m.polls {
		m.polls[i].Fd = -1 // poll(2) passes it over
	}
}

// mark is the least of what the members promise. What either promised holds for
// good, however long ago it was asked.
func (s *bothSource) mark() int64 {
	least := int64(math.MaxInt64)
	for i := range s.members {
		if m := &s.members[i]; !m.ended {
			least = min(least, m.promise())
		}
	}
	return least
}

// wait implements waiter for either, as the sockets do on their own: a nap if
// there was something just now.
func (s *bothSource) wait() error {
	if s.busy {
		unix.Nanosleep(s.lender.rest(), nil)
		return nil
	}
	for i := range s.polls {
		s.polls[i].Revents = 0
	}
	if _, err := unix.Poll(s.polls, int(idleWait.Milliseconds())); err != nil && err != unix.EINTR {
		return fmt.Errorf("capture: poll: %w", err)
	}
	for i := range s.members {
		m := &s.members[i]
		if m.ended {
			continue
		}
		if err := m.woken(m.polls); err != nil {
			return err
		}
	}
	return nil
}

// Release gives the batch back to the member that lent it.
func (s *bothSource) Release(b *packet.Batch) {
	if s.lender != nil {
		s.lender.Release(b)
	}
	s.lent = nil
}
