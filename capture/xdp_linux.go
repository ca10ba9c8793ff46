package capture

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"slices"
	"sync/atomic"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/periscope-collector/periscope/packet"
)

// An xdpSource is one worker's queues, and its share of those of others.
//
// It lends packets where the kernel put them. Only those in several buffers are
// copied together, into the slab: 64 slots of 9,472 bytes, 0.6 MiB a worker,
// which is not there where packets cannot come so.
type xdpSource struct {
	name   string // of the interface
	ports  tunnelPorts
	log    *slog.Logger
	clock  monotonic
	worker int
	owner  func(*packet.Datagram) int // nil when all is this worker's

	sockets *ebpf.Map // of queues; what has none passes

	all  []*xdpQueue
	own  []*xdpQueue
	to   []*outbox // by worker; nil for itself
	from []*inbox  // by worker; nil for itself

	batch *packet.Batch
	used  []unix.XDPDesc // of the batch, with the queue in Options
	slab  []byte
	lent  bool
	turn  int  // the queue to ask first
	busy  bool // there was something since the last empty batch
	nap   unix.Timespec
	polls []pollFD
	mark  int64

	// passed is what the queues of this worker have promised to the others:
	// all that it hands over from now on is as new.
	passed atomic.Int64
	asleep atomic.Bool // a look at everything found nothing
	event  int         // descriptor that others wake it by; -1 without others

	stampless bool // said that the driver keeps no room for the time
	nextCheck int64
	stop      atomic.Bool
	gone      bool  // the interface is
	shut      bool  // the queues get nothing more
	quiet     int64 // when shut, the time after which nothing can come
	ended     bool
}

// Next lends the next batch. It waits at most 25 ms for a datagram; the batch is
// then empty and only brings the clock. After Stop the queues get nothing more;
// when those of all workers are read empty, it returns io.EOF. An interface that
// is gone is an error, once what the queues hold is lent.
func (s *xdpSource) Next() (*packet.Batch, error) { return next(s) }

// poll implements polled.
func (s *xdpSource) poll(now int64) (*packet.Batch, error) {
	if s.lent {
		return nil, errors.New("capture: an XDP source lends one batch at a time")
	}
	if s.ended {
		return nil, io.EOF
	}
	if now >= s.nextCheck {
		if err := s.check(now); err != nil {
			return nil, s.failed(err)
		}
	}
	if s.stop.Load() && !s.shut {
		if err := s.shutQueues(now); err != nil {
			return nil, s.failed(fmt.Errorf("stop: %w", err))
		}
	}
	s.asleep.Store(false)
	n, more := s.take(now)
	if n == 0 && !more && s.event >= 0 {
		s.asleep.Store(true) // whoever hands over from here on wakes; what came before is found
		n, more = s.take(now)
	}
	if n > 0 {
		return s.lend(n, now), nil
	}
	s.busy = s.busy || more // all was handed over
	if !more && s.finished() {
		return nil, s.end()
	}
	return nil, nil
}

// lend lends the first n datagrams of the batch. Without any, nothing was there
// at now.
func (s *xdpSource) lend(n int, now int64) *packet.Batch {
	s.batch.Resize(n)
	s.batch.Mark, s.batch.Now = s.mark, now
	s.lent, s.busy = true, n > 0
	return s.batch
}

// lendEmpty implements waiter.
func (s *xdpSource) lendEmpty(now int64) *packet.Batch { return s.lend(0, now) }

// Release takes the batch back, and gives its buffers to the kernel, or to the
// worker they are from. A time in front of a packet is wiped, so that the next
// one without shows.
func (s *xdpSource) Release(*packet.Batch) {
	for _, d := range s.used {
		q := s.all[d.Options>>1]
		clear(stamp(q.umem, d.Addr))
		if poison {
			fillPoison(q.umem[d.Addr:][:d.Len])
		}
		if q.worker == s.worker {
			q.fill.put(d.Addr)
		} else {
			s.from[q.worker].back.put(d)
		}
	}
	if poison {
		fillPoison(s.slab)
	}
	s.used = s.used[:0]
	s.refill()
	for _, in := range s.from {
		if in != nil {
			in.back.tell()
		}
	}
	s.lent = false
}

func fillPoison(b []byte) {
	for i := range b {
		b[i] = 0xdb
	}
}

// refill tells the kernel of the buffers that were put in the fill rings.
func (s *xdpSource) refill() {
	for _, q := range s.own {
		q.fill.tell()
		q.wake()
	}
}

// wait implements waiter, as the UDP sockets do: a nap if there were some just
// now.
func (s *xdpSource) wait() error {
	if s.busy {
		unix.Nanosleep(&s.nap, nil)
		return nil
	}
	if _, err := unix.Poll(s.polls, int(idleWait.Milliseconds())); err != nil && err != unix.EINTR {
		return fmt.Errorf("capture: xdp on %s: poll: %w", s.name, err)
	}
	return s.woken(s.polls)
}

// napOf is how long a source lets datagrams gather: at 4 million a second they
// take a quarter of so many buffers in it. These are what a queue has, or twice
// what another worker may hand over.
func napOf(buffers int) unix.Timespec {
	return unix.NsecToTimespec(min(int64(buffers)/4*250, int64(time.Millisecond)))
}

// rest implements polled.
func (s *xdpSource) rest() *unix.Timespec { return &s.nap }

// promise implements polled.
func (s *xdpSource) promise() int64 { return s.mark }

// descriptors implements polled.
func (s *xdpSource) descriptors() []pollFD { return slices.Clone(s.polls) }

// woken implements polled. Where poll tells of an error, as that of old kernels
// does, it would not wait until check has asked for it.
func (s *xdpSource) woken(polls []pollFD) error {
	for i := range s.own {
		if polls[i].Revents&unix.POLLERR != 0 {
			s.nextCheck = 0
		}
	}
	if s.event < 0 || polls[len(polls)-1].Revents&unix.POLLIN == 0 {
		return nil
	}
	var count [8]byte
	if _, err := unix.Read(s.event, count[:]); err != nil && err != unix.EAGAIN {
		return fmt.Errorf("capture: xdp on %s: read the event: %w", s.name, err)
	}
	return nil
}

// check brings the counters up to date, and looks whether the interface is
// there: poll does not tell (seen on Linux 6.18).
func (s *xdpSource) check(now int64) error {
	s.nextCheck = now + int64(time.Second)
	for _, q := range s.own {
		if err := q.count(); err != nil {
			return err
		}
		code, err := unix.GetsockoptInt(q.fd, unix.SOL_SOCKET, unix.SO_ERROR)
		if err == nil && code != 0 && unix.Errno(code) != unix.ENETDOWN {
			err = unix.Errno(code)
		}
		if err != nil {
			return err
		}
		if code != 0 {
			s.gone, s.shut, s.quiet = true, true, now
		}
	}
	return nil
}

// shutQueues lets what comes from now on pass to the IP stack.
func (s *xdpSource) shutQueues(now int64) error {
	s.shut = true
	s.quiet = now + stampToQueue
	for _, q := range s.own {
		if err := s.sockets.Delete(q.number); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			return err
		}
	}
	return nil
}

// finished reports whether nothing can come any more, from own queues or others.
func (s *xdpSource) finished() bool {
	if s.passed.Load() != math.MaxInt64 {
		return false
	}
	for _, in := range s.from {
		if in != nil && in.mark != math.MaxInt64 {
			return false
		}
	}
	return true
}

// end reads the counters once more, and says why nothing comes any more.
func (s *xdpSource) end() error {
	s.ended = true
	for _, q := range s.own {
		if err := q.count(); err != nil {
			return s.failed(err)
		}
	}
	if s.gone {
		s.log.Error("interface is gone: its XDP sockets take nothing more", "interface", s.name)
		return s.failed(fmt.Errorf("%w: start again when it is back", errGone))
	}
	return io.EOF
}

// failed ends the source: nothing is handed over any more.
func (s *xdpSource) failed(err error) error {
	s.ended = true
	s.passed.Store(math.MaxInt64)
	return fmt.Errorf("capture: xdp on %s: %w", s.name, err)
}
