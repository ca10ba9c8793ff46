package capture

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/periscope-collector/periscope/packet"
)

// A ringSource is one packet socket and its ring.
//
// The kernel fills one block after the other, and hands each over when it is
// full or old. The source lends it in batches of batchLen datagrams, in place,
// and hands it back when the last of them is released. Beside the ring it has
// one batch, 15 KiB.
type ringSource struct {
	fd    int
	name  string // of the interface
	ports tunnelPorts
	log   *slog.Logger

	ring  []byte
	block int    // the offset of the block at hand, or the next one
	held  bool   // the block at hand is ours
	left  uint32 // packets of it that were not lent yet
	next  int    // the offset of the first of them

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
		if err := s.setFilter(refuseAll); err != nil {
			return nil, fmt.Errorf("capture: packet ring on %s: stop: %w", s.name, err)
		}
	}
	if s.take() {
		return s.lend(min(s.left, batchLen), now), nil
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

// take reports whether packets are left to lend, in the block at hand or, if
// the kernel has handed it over, in the next.
func (s *ringSource) take() bool {
	for s.left == 0 {
		b := s.header()
		if atomic.LoadUint32(&b.Block_status)&unix.TP_STATUS_USER == 0 {
			return false
		}
		s.held = true
		s.left = b.Num_pkts
		s.next = s.block + int(b.Offset_to_first_pkt)
		if s.left == 0 {
			s.giveBack()
		}
	}
	return true
}

// header returns what the kernel says of the block at hand. Only its status may
// be read before the block is ours.
func (s *ringSource) header() *unix.TpacketHdrV1 {
	d := (*unix.TpacketBlockDesc)(unsafe.Pointer(&s.ring[s.block]))
	return (*unix.TpacketHdrV1)(unsafe.Pointer(&d.Hdr))
}

func (s *ringSource) giveBack() {
	s.held = false
	atomic.StoreUint32(&s.header().Block_status, unix.TP_STATUS_KERNEL)
	s.block += blockLen
	if s.block == len(s.ring) {
		s.block = 0
	}
}

// lend fills the batch with the next n packets of the block at hand. Without
// any, nothing was there at now.
func (s *ringSource) lend(n uint32, now int64) *packet.Batch {
	b := s.batch
	b.Resize(int(n))
	for i := range b.Datagrams {
		s.datagram(&b.Datagrams[i])
	}
	s.left -= n
	if n > 0 { // there may be more, as old as these
		s.mark = max(s.mark, b.Datagrams[n-1].Time-stampToQueue)
	}
	b.Mark, b.Now = s.mark, now
	s.lent = true
	return b
}

// lendEmpty implements waiter.
func (s *ringSource) lendEmpty(now int64) *packet.Batch { return s.lend(0, now) }

// datagram reads the next packet of the block. The kernel has taken one VLAN
// tag out of it, if there was one; tp_len and tp_snaplen are without it.
func (s *ringSource) datagram(d *packet.Datagram) {
	h := (*unix.Tpacket3Hdr)(unsafe.Pointer(&s.ring[s.next]))
	begin := s.next + int(h.Mac)
	end := begin + int(h.Snaplen)
	pkt := s.ring[begin:end:end]
	s.next += int(h.Next_offset)

	var o outerHeader
	reason := s.ports.outer(&o, ethernet, pkt, int(h.Len))
	ns := int64(h.Sec)*1e9 + int64(h.Nsec)
	*d = packet.Datagram{Time: ns, Order: ns, Length: int(h.Len), Reason: reason}
	if reason != packet.None {
		return
	}
	end = min(o.end, o.off+packet.MaxDatagram)
	d.Buf, d.Off = pkt[:end:end], o.off // an Ethernet and an IP header are more than Headroom
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
	if s.held && s.left == 0 {
		s.giveBack()
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

func (s *ringSource) descriptor() pollFD { return pollFD{Fd: int32(s.fd), Events: unix.POLLIN} }

// rest implements polled.
func (s *ringSource) rest() *unix.Timespec { return &nap }

// descriptors implements polled.
func (s *ringSource) descriptors() []pollFD { return []pollFD{s.descriptor()} }

// promise implements polled.
func (s *ringSource) promise() int64 { return s.mark }

// woken implements polled. Asking for the error clears it, so that poll waits
// again. The socket comes back with the interface.
func (s *ringSource) woken(polls []pollFD) error {
	if polls[0].Revents&unix.POLLERR == 0 {
		return nil
	}
	code, err := unix.GetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err == nil && code != 0 && unix.Errno(code) != unix.ENETDOWN {
		err = unix.Errno(code)
	}
	if err != nil {
		return fmt.Errorf("capture: packet ring on %s: %w", s.name, err)
	}
	if code != 0 {
		s.log.Warn("interface is down: nothing arrives until it is up", "interface", s.name)
	}
	return nil
}

// check reads the socket's counters, which starts them at 0 again, and makes
// sure that there still is an interface: when it goes, the kernel says no more
// than that it is down. The ring then ends as if it were stopped.
func (s *ringSource) check(now int64) error {
	s.nextCheck = now + int64(time.Second)
	stats, err := unix.GetsockoptTpacketStatsV3(s.fd, unix.SOL_PACKET, unix.PACKET_STATISTICS)
	if err != nil {
		return fmt.Errorf("capture: packet ring on %s: read the drop counter: %w", s.name, err)
	}
	s.lost.Add(uint64(stats.Drops))
	sa, err := unix.Getsockname(s.fd)
	if err != nil {
		return fmt.Errorf("capture: packet ring on %s: %w", s.name, err)
	}
	if l, ok := sa.(*unix.SockaddrLinklayer); ok && l.Ifindex <= 0 {
		s.gone = true
		s.stop.Store(true)
	}
	return nil
}
