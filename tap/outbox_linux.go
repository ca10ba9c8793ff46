package tap

import (
	"errors"
	"fmt"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/periscope-collector/periscope/internal/tpacket"
	"github.com/periscope-collector/periscope/tunnel"
)

const (
	firstPort = 0xff80 // of the outer source ports that AWS uses, 128 of them
	sockets   = 8      // each for 16 of them, and bound to the first that is free

	maxMessages = 64
	maxParts    = 1024 // UIO_MAXIOV
	maxRun      = 64   // UDP_MAX_SEGMENTS before Linux 6.10
	maxMessage  = 65507
	headerRoom  = maxParts / 2 * (tunnel.VXLANLen + maxHeader)
)

// An outbox has the sockets to the collector. Each sends from a port of its own;
// what has one source port, and with it each flow, leaves in order.
//
// What is added waits in place: payload in the ring, headers in headerRoom, 100
// KiB a socket. flush hands it to the kernel before the block goes back. Runs of
// datagrams of one length, with a shorter one at the end, go as one message that
// the kernel cuts late (UDP_SEGMENT).
type outbox struct {
	boxes [sockets]*box
	v6    bool
	fits  int // the longest frame in a datagram of the path MTU
	plain bool
	head  [tunnel.VXLANLen]byte
}

// A box is one socket, and what is to be sent by it.
type box struct {
	fd       int
	n        int // messages
	parts    int
	room     []byte // headers, to be appended to
	open     bool   // the last message may grow
	messages [maxMessages]mmsghdr
	runs     [maxMessages]run
	controls [maxMessages]segmentControl
	vectors  [maxParts]unix.Iovec
}

// A run is the datagrams of one message.
type run struct{ datagrams, size, bytes int }

// mmsghdr is struct mmsghdr of sendmmsg(2).
type mmsghdr struct {
	header unix.Msghdr
	length uint32
}

// segmentControl is the control message UDP_SEGMENT (udp(7)).
type segmentControl struct {
	header unix.Cmsghdr
	size   uint16
	_      [6]byte
}

func openOutbox(to netip.AddrPort, vni uint32) (*outbox, error) {
	to = netip.AddrPortFrom(to.Addr().Unmap(), to.Port())
	o := &outbox{v6: to.Addr().Is6()}
	tunnel.AppendVXLAN(o.head[:0], vni)
	for i := range o.boxes {
		fd, err := o.dial(to, firstPort+uint16(i*128/sockets))
		if err != nil {
			return nil, errors.Join(fmt.Errorf("send to %s: %w", to, err), o.close())
		}
		o.boxes[i] = &box{fd: fd, room: make([]byte, 0, headerRoom)}
	}
	return o, o.measure()
}

// dial opens a socket that sends from the port, one of the next 15, or any.
func (o *outbox) dial(to netip.AddrPort, port uint16) (int, error) {
	family := unix.AF_INET
	if o.v6 {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, err
	}
	err = o.set(fd)
	for i := uint16(0); err == nil && i < 128/sockets; i++ {
		if bind := unix.Bind(fd, o.address(netip.AddrPortFrom(netip.Addr{}, port+i))); bind != unix.EADDRINUSE {
			err = bind
			break
		}
	}
	if err == nil {
		err = unix.Connect(fd, o.address(to))
	}
	if err != nil {
		return -1, errors.Join(err, unix.Close(fd))
	}
	return fd, nil
}

func (o *outbox) address(a netip.AddrPort) unix.Sockaddr {
	if !o.v6 {
		to := &unix.SockaddrInet4{Port: int(a.Port())}
		copy(to.Addr[:], a.Addr().AsSlice())
		return to
	}
	to := &unix.SockaddrInet6{Port: int(a.Port())}
	copy(to.Addr[:], a.Addr().AsSlice())
	return to
}

// set makes datagrams look like AWS's but for DF, which is set: a fragment would
// be lost behind most load balancers. The task's own go first where the interface
// has a queue with bands; that such a queue dropped one is heard by the errors.
func (o *outbox) set(fd int) error {
	for _, option := range []struct {
		level, name, value int
		v6                 bool
	}{
		{unix.IPPROTO_IP, unix.IP_TTL, 255, false},
		{unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_DO, false},
		{unix.IPPROTO_IP, unix.IP_RECVERR, 1, false},
		{unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS, 255, true},
		{unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_DO, true},
		{unix.IPPROTO_IPV6, unix.IPV6_RECVERR, 1, true},
	} {
		if option.v6 == o.v6 {
			if err := unix.SetsockoptInt(fd, option.level, option.name, option.value); err != nil {
				return err
			}
		}
	}
	const bulk = 1 // TC_PRIO_FILLER
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PRIORITY, bulk); err != nil {
		return err
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, 1<<20); err != nil {
		return err
	}
	return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 1) // the least: nothing is read
}

// measure asks for the path MTU, and sets what fits.
func (o *outbox) measure() error {
	level, name, outer := unix.IPPROTO_IP, unix.IP_MTU, ipv4Len
	if o.v6 {
		level, name, outer = unix.IPPROTO_IPV6, unix.IPV6_MTU, ipv6Len
	}
	mtu, err := unix.GetsockoptInt(o.boxes[0].fd, level, name)
	if err != nil {
		return fmt.Errorf("ask for the path MTU: %w", err)
	}
	o.fits = max(min(mtu, 1<<16-1)-outer-udpLen-tunnel.VXLANLen, 64)
	return nil
}

func (o *outbox) box(port uint16) *box { return o.boxes[(port-firstPort)/(128/sockets)] }

// addFrame adds a frame: from the offload header in front of it, which is written
// over.
func (o *outbox) addFrame(port uint16, p []byte, c *counts) {
	datagram := p[tpacket.OffloadLen-tunnel.VXLANLen:]
	copy(datagram, o.head[:])
	b := o.box(port)
	if !b.begin(len(datagram), 1, 0, o.plain) {
		o.flushBox(b, c)
		b.begin(len(datagram), 1, 0, o.plain)
	}
	b.part(datagram)
}

// addSegment adds a segment: so much of its headers, and of its payload.
func (o *outbox) addSegment(port uint16, s *super, i int, payload []byte, header int, c *counts) {
	b := o.box(port)
	size := tunnel.VXLANLen + header + len(payload)
	if !b.begin(size, 2, tunnel.VXLANLen+len(s.header), o.plain) {
		o.flushBox(b, c)
		b.begin(size, 2, tunnel.VXLANLen+len(s.header), o.plain)
	}
	start := len(b.room)
	b.room = append(b.room, o.head[:]...)
	b.room = s.appendHeader(b.room, i)
	b.part(b.room[start : start+tunnel.VXLANLen+header])
	if len(payload) > 0 {
		b.part(payload)
	}
}

// begin makes room for a datagram in the last message or a new one, and reports
// whether there is.
func (b *box) begin(size, parts, header int, plain bool) bool {
	if b.parts+parts > maxParts || len(b.room)+header > cap(b.room) {
		return false
	}
	if b.open && !plain {
		r := &b.runs[b.n-1]
		if size <= r.size && r.datagrams < maxRun && r.bytes+size <= maxMessage {
			r.datagrams++
			r.bytes += size
			b.open = size == r.size
			return true
		}
	}
	if b.n == maxMessages {
		return false
	}
	b.runs[b.n] = run{1, size, size}
	m := &b.messages[b.n].header
	*m = unix.Msghdr{Iov: &b.vectors[b.parts]}
	b.n++
	b.open = true
	return true
}

// part appends bytes to the last message.
func (b *box) part(p []byte) {
	v := &b.vectors[b.parts]
	v.Base = unsafe.SliceData(p)
	v.SetLen(len(p))
	b.parts++
	m := &b.messages[b.n-1].header
	m.SetIovlen(int(m.Iovlen) + 1)
}

// flush hands all that was added to the kernel, or drops it.
func (o *outbox) flush(c *counts) {
	for _, b := range o.boxes {
		if b.n > 0 {
			o.flushBox(b, c)
		}
	}
}

func (o *outbox) flushBox(b *box, c *counts) {
	for i := range b.n {
		m, r := &b.messages[i].header, &b.runs[i]
		if r.datagrams == 1 {
			continue
		}
		s := &b.controls[i]
		*s = segmentControl{unix.Cmsghdr{Level: unix.IPPROTO_UDP, Type: unix.UDP_SEGMENT}, uint16(r.size), [6]byte{}}
		s.header.SetLen(unix.SizeofCmsghdr + 2)
		m.Control = (*byte)(unsafe.Pointer(s))
		m.SetControllen(int(unsafe.Sizeof(*s)))
	}
	for i := 0; i < b.n; {
		n, err := b.send(i)
		for _, r := range b.runs[i : i+n] {
			c.mirrored += uint64(r.datagrams)
			c.bytes += uint64(r.bytes - r.datagrams*tunnel.VXLANLen)
		}
		if i += n; i == b.n {
			break
		}
		if err != nil && o.failed(err, b.runs[i], c) {
			i++
		}
	}
	clear(b.vectors[:b.parts]) // they point into the ring
	b.n, b.parts, b.room, b.open = 0, 0, b.room[:0], false
}

// send hands messages to the kernel from the given one on, and returns how many
// it took. The call waits for nothing, so the runtime need not hear of it.
func (b *box) send(from int) (int, error) {
	for {
		n, _, errno := unix.RawSyscall6(unix.SYS_SENDMMSG, uintptr(b.fd), uintptr(unsafe.Pointer(&b.messages[from])),
			uintptr(b.n-from), unix.MSG_DONTWAIT, 0, 0)
		switch errno {
		case 0:
			return int(n), nil
		case unix.EINTR:
		default:
			return 0, errno
		}
	}
}

// failed counts what the kernel did not take, and reports whether it is lost: not
// if the error is an answer to an earlier datagram, or about runs.
func (o *outbox) failed(err error, r run, c *counts) bool {
	switch err {
	case unix.ECONNREFUSED:
		c.refused++
		return false
	case unix.EIO, unix.EINVAL: // the interface cannot do checksums, or the kernel runs
		if r.datagrams > 1 {
			o.plain = true
		}
		c.dropped[dropPath] += uint64(r.datagrams)
	case unix.EAGAIN, unix.ENOBUFS, unix.ENOMEM:
		c.dropped[dropFull] += uint64(r.datagrams)
	default:
		if err == unix.EMSGSIZE {
			_ = o.measure() // the next ones fit
		}
		c.dropped[dropPath] += uint64(r.datagrams)
	}
	return true
}

func (o *outbox) close() error {
	var err error
	for _, b := range o.boxes {
		if b != nil {
			err = errors.Join(err, unix.Close(b.fd))
		}
	}
	return err
}
