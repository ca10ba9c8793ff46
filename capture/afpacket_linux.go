package capture

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/periscope-collector/periscope/internal/cbpf"
	"github.com/periscope-collector/periscope/internal/tpacket"
	"github.com/periscope-collector/periscope/packet"
)

// A ringSource lends the datagrams in a ring.
//
// It lends a block of it in batches of batchLen datagrams, in place, and hands
// it back when the last of them is released. Beside the ring it has one batch,
// 15 KiB.
type ringSource struct {
	ring  *tpacket.Ring
	name  string // of the interface
	ports tunnelPorts
	log   *slog.Logger

	batch *packet.Batch
	lent  bool
	mark  int64

	nextCheck int64
	lost      atomic.Uint64

	stop  atomic.Bool
	gone  bool  // the interface is
	shut  bool  // the socket takes nothing more
	quiet int64 // when shut, the time after which no block can come
	ended bool
}

const (
	blockLen = 1 << 20

	// blockWait is when the kernel hands over a block that is not full. Its
	// timer looks as often, and may take two looks.
	blockWait = 20 * time.Millisecond

	// maxBlockWait bounds the time from a packet's stamp to its hand-over.
	maxBlockWait = int64(3 * blockWait)
)

// Next lends the next batch. It waits at most 25 ms for a block; the batch is
// then empty and only brings the clock. After Stop the socket takes nothing
// more; when no block can be left, it returns io.EOF. An interface that is gone
// is an error, once what the ring holds is lent.
func (s *ringSource) Next() (*packet.Batch, error) { return next(s) }

// poll implements polled.
func (s *ringSource) poll(now int64) (*packet.Batch, error) {
	if s.lent {
		return nil, errors.New("capture: a packet ring lends one batch at a time")
	}
	if s.ended {
		return nil, io.EOF
	}
	if now >= s.nextCheck {
		if err := s.check(now); err != nil {
			return nil, err
		}
	}
	if s.stop.Load() && !s.shut {
		s.shut = true
		s.quiet = now + maxBlockWait + stampToQueue
		if err := s.ring.SetFilter(cbpf.RefuseAll); err != nil {
			return nil, fmt.Errorf("capture: packet ring on %s: stop: %w", s.name, err)
		}
	}
	if s.ring.Take() {
		return s.lend(min(s.ring.Left(), batchLen), now), nil
	}
	s.mark = max(s.mark, now-maxBlockWait-stampToQueue)
	if s.shut && now > s.quiet {
		return nil, s.end(now)
	}
	return nil, nil
}

// end reads the counters once more, and says why nothing comes any more.
func (s *ringSource) end(now int64) error {
	s.ended = true
	if err := s.check(now); err != nil {
		return err
	}
	if s.gone {
		s.log.Error("interface is gone: its packet rings take nothing more", "interface", s.name)
		return fmt.Errorf("capture: packet ring on %s: %w: start again when it is back", s.name, errGone)
	}
	return io.EOF
}

// lend fills the batch with the next n packets of the block at hand. Without
// any, nothing was there at now.
func (s *ringSource) lend(n uint32, now int64) *packet.Batch {
	b := s.batch
	b.Resize(int(n))
	for i := range b.Datagrams {
		s.datagram(&b.Datagrams[i])
	}
	if n > 0 { // there may be more, as old as these
		s.mark = max(s.mark, b.Datagrams[n-1].Time-stampToQueue)
	}
	b.Mark, b.Now = s.mark, now
	s.lent = true
	return b
}

// lendEmpty implements waiter.
func (s *ringSource) lendEmpty(now int64) *packet.Batch { return s.lend(0, now) }

// datagram reads the next packet of the block.
func (s *ringSource) datagram(d *packet.Datagram) {
	var p tpacket.Packet
	s.ring.Next(&p)
	var o outerHeader
	reason := s.ports.outer(&o, ethernet, p.Data, p.Len)
	*d = packet.Datagram{Time: p.Time, Order: p.Time, Length: p.Len, Reason: reason}
	if reason != packet.None {
		return
	}
	end := min(o.end, o.off+packet.MaxDatagram)
	d.Buf, d.Off = p.Data[:end:end], o.off // an Ethernet and an IP header are more than Headroom
	d.Length, d.Source, d.Encap = o.length, o.source, o.encap
}

// Release takes the batch back, and hands the block to the kernel after its
// last one.
func (s *ringSource) Release(b *packet.Batch) {
	if poison {
		for _, d := range b.Datagrams {
			for i := range d.Buf {
				d.Buf[i] = 0xdb
			}
		}
	}
	s.lent = false
	if s.ring.Left() == 0 {
		s.ring.GiveBack()
	}
}

// wait implements waiter: there is no nap, since the kernel gathers a block.
func (s *ringSource) wait() error {
	polls := [1]pollFD{s.descriptor()}
	if _, err := unix.Poll(polls[:], int(idleWait.Milliseconds())); err != nil && err != unix.EINTR {
		return fmt.Errorf("capture: packet ring on %s: poll: %w", s.name, err)
	}
	return s.woken(polls[:])
}

func (s *ringSource) descriptor() pollFD { return pollFD{Fd: int32(s.ring.FD()), Events: unix.POLLIN} }

// rest implements polled.
func (s *ringSource) rest() *unix.Timespec { return &nap }

// descriptors implements polled.
func (s *ringSource) descriptors() []pollFD { return []pollFD{s.descriptor()} }

// promise implements polled.
func (s *ringSource) promise() int64 { return s.mark }

// woken implements polled.
func (s *ringSource) woken(polls []pollFD) error {
	if polls[0].Revents&unix.POLLERR == 0 {
		return nil
	}
	down, err := s.ring.Down()
	if err != nil {
		return fmt.Errorf("capture: packet ring on %s: %w", s.name, err)
	}
	if down {
		s.log.Warn("interface is down: nothing arrives until it is up", "interface", s.name)
	}
	return nil
}

// check reads the socket's counters, which starts them at 0 again, and makes
// sure that there still is an interface. Without one the ring ends as if it were
// stopped.
func (s *ringSource) check(now int64) error {
	s.nextCheck = now + int64(time.Second)
	lost, err := s.ring.Drops()
	if err != nil {
		return fmt.Errorf("capture: packet ring on %s: %w", s.name, err)
	}
	s.lost.Add(lost)
	gone, err := s.ring.Gone()
	if err != nil {
		return fmt.Errorf("capture: packet ring on %s: %w", s.name, err)
	}
	if gone {
		s.gone = true
		s.stop.Store(true)
	}
	return nil
}

func (s *ringSource) close() error {
	s.ended = true
	return s.ring.Close()
}
