package capture

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/periscope-collector/periscope/packet"
)

type pollFD = unix.PollFd

func newUDPSource() *udpSource {
	return &udpSource{batch: packet.NewBatch(batchLen), slab: make([]byte, batchLen*slotLen)}
}

// ready is called when all sockets are there.
func (s *udpSource) ready() {
	for _, sock := range s.sockets {
		s.polls = append(s.polls, unix.PollFd{Fd: int32(sock.fd), Events: unix.POLLIN})
	}
}

// Next lends the next batch. It waits at most 25 ms for the first datagram; the
// batch is then empty and only brings the clock. After Stop the sockets take
// nothing more; when they are read empty, it closes them and returns io.EOF.
func (s *udpSource) Next() (*packet.Batch, error) { return next(s) }

// poll implements polled.
func (s *udpSource) poll(now int64) (*packet.Batch, error) {
	if s.lent {
		return nil, errors.New("capture: a UDP source lends one batch at a time")
	}
	if s.ended {
		return nil, io.EOF
	}
	stopped := s.stop.Load() // before the look that finds nothing
	if stopped && !s.shut {
		s.shut = true
		for _, sock := range s.sockets {
			sock.shut(now)
		}
	}
	got, err := s.receive(now)
	if err != nil {
		return nil, err
	}
	if got > 0 {
		return s.lend(now), nil
	}
	if stopped {
		s.ended = true
		if err := s.close(); err != nil {
			return nil, err
		}
		return nil, io.EOF
	}
	return nil, nil
}

func (s *udpSource) lend(now int64) *packet.Batch {
	b := s.batch
	b.Mark, b.Now = s.promise(), now
	s.lent = true
	s.busy = len(b.Datagrams) > 0
	return b
}

// lendEmpty implements waiter: receive found nothing, so the batch is empty.
func (s *udpSource) lendEmpty(now int64) *packet.Batch { return s.lend(now) }

// descriptors implements polled.
func (s *udpSource) descriptors() []pollFD { return slices.Clone(s.polls) }

// woken implements polled: whatever it was, reading finds out.
func (s *udpSource) woken([]pollFD) error { return nil }

// wait implements waiter: a nap if there were some just now.
func (s *udpSource) wait() error {
	if s.busy {
		unix.Nanosleep(&nap, nil)
		return nil
	}
	if _, err := unix.Poll(s.polls, int(idleWait.Milliseconds())); err != nil && err != unix.EINTR {
		return fmt.Errorf("capture: poll: %w", err)
	}
	return nil
}

// nap is how long a source that was busy lets datagrams gather before it looks
// again: at 250,000 a second 25 of them come for one call then, instead of one
// or two for three calls. The kernel's buffer is made for longer stalls.
var nap = unix.Timespec{Nsec: 100_000}

// rest implements polled.
func (s *udpSource) rest() *unix.Timespec { return &nap }

// Release takes the batch back.
func (s *udpSource) Release(b *packet.Batch) {
	if poison {
		for i := range s.slab {
			s.slab[i] = 0xdb
		}
	}
	s.lent = false
}

// receive fills the batch from the first socket that has something, and returns
// how many datagrams that were.
func (s *udpSource) receive(now int64) (int, error) {
	for range s.sockets {
		sock := s.sockets[s.turn]
		n, err := sock.receive(s.batch, s.slab, now)
		if err != nil {
			return 0, err
		}
		if n > 0 {
			if s.stay--; s.stay <= 0 {
				s.next()
			}
			return n, nil
		}
		s.next()
	}
	s.batch.Resize(0)
	return 0, nil
}

func (s *udpSource) next() {
	s.turn = (s.turn + 1) % len(s.sockets)
	s.stay = stayBatches
}

// promise implements polled: it is the least of the sockets' marks.
func (s *udpSource) promise() int64 {
	m := s.sockets[0].mark
	for _, sock := range s.sockets[1:] {
		m = min(m, sock.mark)
	}
	return m
}

func (s *udpSource) close() error {
	var err error
	for _, sock := range s.sockets {
		if sock.fd >= 0 {
			sock.checkDrops(time.Now().UnixNano())
			err = errors.Join(err, unix.Close(sock.fd))
			sock.fd = -1
		}
	}
	return err
}
