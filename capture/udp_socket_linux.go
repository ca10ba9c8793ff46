package capture

import (
	"encoding/binary"
	"fmt"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/periscope-collector/periscope/internal/cbpf"
	"github.com/periscope-collector/periscope/packet"
)

// slotLen is one datagram's memory: headroom, then the payload.
const slotLen = packet.Headroom + packet.MaxDatagram

// controlLen holds a timespec and a drop counter with their headers.
const controlLen = 64

// nameLen holds a sockaddr_in or sockaddr_in6.
const nameLen = 32

// mmsghdr is the kernel's struct mmsghdr, which x/sys lacks.
type mmsghdr struct {
	hdr unix.Msghdr
	n   uint32
	_   [4]byte
}

// A udpSocket is one socket and the headers recvmmsg fills. The headers point
// into the slab of the source it belongs to.
type udpSocket struct {
	fd    int
	encap packet.Encap

	headers  []mmsghdr
	iovecs   []unix.Iovec
	names    []byte
	controls []byte

	mark      int64 // nothing older is still in the socket
	drops     uint32
	lost      atomic.Uint64
	nextCheck int64
	isShut    bool
}

func newUDPSocket(fd int, encap packet.Encap, slab []byte) *udpSocket {
	s := &udpSocket{
		fd:       fd,
		encap:    encap,
		headers:  make([]mmsghdr, batchLen),
		iovecs:   make([]unix.Iovec, batchLen),
		names:    make([]byte, batchLen*nameLen),
		controls: make([]byte, batchLen*controlLen),
	}
	for i := range s.headers {
		s.iovecs[i].Base = &slab[i*slotLen+packet.Headroom]
		s.iovecs[i].SetLen(packet.MaxDatagram)
		h := &s.headers[i].hdr
		h.Name = &s.names[i*nameLen]
		h.Control = &s.controls[i*controlLen]
		h.Iov = &s.iovecs[i]
		h.SetIovlen(1)
		s.rearm(i)
	}
	return s
}

func (s *udpSocket) rearm(i int) {
	h := &s.headers[i].hdr
	h.Namelen = nameLen
	h.SetControllen(controlLen)
}

// receive takes what the socket holds, up to a batch, without waiting.
func (s *udpSocket) receive(b *packet.Batch, slab []byte, now int64) (int, error) {
	if now >= s.nextCheck {
		s.checkDrops(now)
	}
	n, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, uintptr(s.fd), uintptr(unsafe.Pointer(&s.headers[0])),
		batchLen, unix.MSG_DONTWAIT|unix.MSG_TRUNC, 0, 0)
	switch errno {
	case 0:
	case unix.EAGAIN, unix.EINTR, unix.ECONNREFUSED, unix.ENOMEM, unix.ENOBUFS:
		s.mark = now - stampToQueue
		return 0, nil
	default:
		return 0, fmt.Errorf("capture: recvmmsg: %w", errno)
	}
	b.Resize(int(n))
	for i := range b.Datagrams {
		s.datagram(&b.Datagrams[i], i, slab)
	}
	s.mark = now - stampToQueue
	if int(n) == batchLen { // there may be more, as old as these
		s.mark = b.Datagrams[n-1].Time - stampToQueue
	}
	return int(n), nil
}

// stampToQueue is how long, in nanoseconds, the kernel may take from stamping a
// datagram to queueing it on the socket. It takes microseconds, but whatever
// runs it can be held up in between.
const stampToQueue = int64(10 * time.Millisecond)

// datagram reads what the kernel said of message i, and arms it again.
func (s *udpSocket) datagram(d *packet.Datagram, i int, slab []byte) {
	h := &s.headers[i]
	length := int(h.n)
	slot := slab[i*slotLen:][:slotLen:slotLen]
	*d = packet.Datagram{
		Buf:    slot[:packet.Headroom+min(length, packet.MaxDatagram)],
		Off:    packet.Headroom,
		Length: length,
		Encap:  s.encap,
		Source: sourceAddr(s.names[i*nameLen:][:nameLen]),
	}
	s.control(d, s.controls[i*controlLen:][:h.hdr.Controllen])
	s.rearm(i)
}

// control reads the control messages: struct cmsghdr, then data, each aligned
// to 8 bytes (cmsg(3)).
func (s *udpSocket) control(d *packet.Datagram, c []byte) {
	for len(c) >= unix.SizeofCmsghdr {
		n := int(binary.NativeEndian.Uint64(c))
		if n < unix.SizeofCmsghdr || n > len(c) {
			break
		}
		level, kind := binary.NativeEndian.Uint32(c[8:]), binary.NativeEndian.Uint32(c[12:])
		data := c[unix.SizeofCmsghdr:n]
		switch {
		case level != unix.SOL_SOCKET:
		case kind == unix.SO_TIMESTAMPNS && len(data) >= 16:
			d.Time = int64(binary.NativeEndian.Uint64(data))*1e9 + int64(binary.NativeEndian.Uint64(data[8:]))
		case kind == unix.SO_RXQ_OVFL && len(data) >= 4:
			s.dropped(binary.NativeEndian.Uint32(data))
		}
		c = c[min((n+7)&^7, len(c)):]
	}
	if d.Time == 0 {
		d.Time = time.Now().UnixNano() // a kernel that stamps nothing
	}
	d.Order = d.Time
}

// dropped takes a reading of the socket's 32-bit drop counter, which wraps.
// Readings that ride on datagrams are older than those of checkDrops, so one
// that lies behind is no news.
func (s *udpSocket) dropped(reading uint32) {
	if s.isShut {
		return
	}
	if behind := int32(reading - s.drops); behind > 0 {
		s.drops = reading
		s.lost.Add(uint64(behind))
	}
}

// shut makes the kernel refuse what comes from now on, so that reading what is
// there has an end, and stops counting drops: what is refused is not lost.
func (s *udpSocket) shut(now int64) {
	s.checkDrops(now)
	s.isShut = true
	refuseEverything(s.fd) // else there is more to read
}

// refuseEverything keeps out of a socket what comes from now on.
func refuseEverything(fd int) error {
	prog, err := cbpf.ForKernel(cbpf.RefuseAll)
	if err != nil {
		return err
	}
	return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, prog)
}

// checkDrops reads the drop counter itself: SO_RXQ_OVFL rides on later
// datagrams only, and there may be none.
func (s *udpSocket) checkDrops(now int64) {
	s.nextCheck = now + int64(time.Second)
	var info [9]uint32
	size := uint32(unsafe.Sizeof(info))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(s.fd), unix.SOL_SOCKET, unix.SO_MEMINFO,
		uintptr(unsafe.Pointer(&info[0])), uintptr(unsafe.Pointer(&size)), 0)
	if errno == 0 && size >= uint32(unsafe.Sizeof(info)) {
		s.dropped(info[8]) // SK_MEMINFO_DROPS
	}
}

// sourceAddr reads a sockaddr_in or sockaddr_in6.
func sourceAddr(b []byte) packet.Addr {
	switch binary.NativeEndian.Uint16(b) {
	case unix.AF_INET:
		return packet.AddrFrom4([4]byte(b[4:8]))
	case unix.AF_INET6:
		return packet.Addr(b[8:24])
	}
	return packet.Addr{}
}
