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
	firstPort = 0xff80 // of the outer source ports that AWS uses
	ports     = 128

	maxMessages = 64
	maxParts    = 1024 // UIO_MAXIOV
	maxRun      = 64   // UDP_MAX_SEGMENTS before Linux 6.10
	maxMessage  = 65507
	headerRoom  = maxParts / 2 * (tunnel.VXLANLen + maxHeader)
)

// An outbox has the socket to the collector. All leaves from one port, drawn from
// the VNI, where AWS has 128 by the hash of the inner flow: so all of a task comes
// to one collector of several behind a load balancer, what the task says of itself
// too, and in order.
//
// What is added waits in place: payload in the ring, headers in headerRoom, 100
// KiB. flush hands it to the kernel before the block goes back. Runs of datagrams of
// one length, with a shorter one at the end, go as one message that the kernel cuts
// late (UDP_SEGMENT).
type outbox struct {
	fd    int
	v6    bool
	fits  int  // the longest frame in a datagram of the path MTU
	plain bool // the kernel takes no runs
	reach reach
	head  [tunnel.VXLANLen]byte

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
	o := &outbox{fd: -1, v6: to.Addr().Is6(), room: make([]byte, 0, headerRoom)}
	tunnel.AppendVXLAN(o.head[:0], vni)
	err := o.dial(to, vni)
	if err == nil {
		err = o.measure()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("send to %s: %w", to, err), o.close())
	}
	return o, nil
}

// dial opens the socket. A port that others use is replaced by the next one, at
// last by any.
func (o *outbox) dial(to netip.AddrPort, vni uint32) error {
	family := unix.AF_INET
	if o.v6 {
		family = unix.AF_INET6
	}
	var err error
	if o.fd, err = unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0); err != nil {
		return err
	}
	if err := o.set(); err != nil {
		return err
	}
	for i := range uint32(ports) {
		err := unix.Bind(o.fd, o.address(netip.AddrPortFrom(netip.Addr{}, uint16(firstPort+(vni+i)%ports))))
		if err == nil {
			break
		}
		if err != unix.EADDRINUSE {
			return err
		}
	}
	return unix.Connect(o.fd, o.address(to))
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

// set makes datagrams like AWS's but for the checksum, which runs need, and DF, which is set: a fragment would
// be lost behind most load balancers. The task's own go first where the interface
// has a queue with bands; that such a queue dropped one is heard by the errors.
func (o *outbox) set() error {
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
			if err := unix.SetsockoptInt(o.fd, option.level, option.name, option.value); err != nil {
				return err
			}
		}
	}
	const bulk = 1 // TC_PRIO_FILLER
	if err := unix.SetsockoptInt(o.fd, unix.SOL_SOCKET, unix.SO_PRIORITY, bulk); err != nil {
		return err
	}
	if err := unix.SetsockoptInt(o.fd, unix.SOL_SOCKET, unix.SO_SNDBUF, 1<<20); err != nil {
		return err
	}
	return unix.SetsockoptInt(o.fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 1) // the least: nothing is read
}

// measure asks for the path MTU, and sets what fits.
func (o *outbox) measure() error {
	level, name, outer := unix.IPPROTO_IP, unix.IP_MTU, ipv4Len
	if o.v6 {
		level, name, outer = unix.IPPROTO_IPV6, unix.IPV6_MTU, ipv6Len
	}
	mtu, err := unix.GetsockoptInt(o.fd, level, name)
	if err != nil {
		return fmt.Errorf("ask for the path MTU: %w", err)
	}
	o.fits = max(min(mtu, 1<<16-1)-outer-udpLen-tunnel.VXLANLen, 64)
	return nil
}

// addFrame adds a frame: from the offload header in front of it, which is written
// over.
func (o *outbox) addFrame(p []byte, c *counts) {
	datagram := p[tpacket.OffloadLen-tunnel.VXLANLen:]
	copy(datagram, o.head[:])
	o.begin(len(datagram), 1, 0, c)
	o.part(datagram)
}

// addSegment adds a segment: so much of its headers, and of its payload.
func (o *outbox) addSegment(s *super, i int, payload []byte, header int, c *counts) {
	o.begin(tunnel.VXLANLen+header+len(payload), 2, tunnel.VXLANLen+len(s.header), c)
	start := len(o.room)
	o.room = append(o.room, o.head[:]...)
	o.room = s.appendHeader(o.room, i)
	o.part(o.room[start : start+tunnel.VXLANLen+header])
	if len(payload) > 0 {
		o.part(payload)
	}
}

// begin makes room for a datagram of so many parts and bytes of headers, in the
// last message or a new one. It sends what there is when there is no room left.
func (o *outbox) begin(size, parts, header int, c *counts) {
	if o.parts+parts > maxParts || len(o.room)+header > cap(o.room) {
		o.flush(c)
	}
	if o.open && !o.plain {
		r := &o.runs[o.n-1]
		if size <= r.size && r.datagrams < maxRun && r.bytes+size <= maxMessage {
			r.datagrams++
			r.bytes += size
			o.open = size == r.size
			return
		}
	}
	if o.n == maxMessages {
		o.flush(c)
	}
	o.runs[o.n] = run{1, size, size}
	o.messages[o.n].header = unix.Msghdr{Iov: &o.vectors[o.parts]}
	o.n++
	o.open = true
}

// part appends bytes to the last message.
func (o *outbox) part(p []byte) {
	v := &o.vectors[o.parts]
	v.Base = unsafe.SliceData(p)
	v.SetLen(len(p))
	o.parts++
	m := &o.messages[o.n-1].header
	m.SetIovlen(int(m.Iovlen) + 1)
}

// flush hands all that was added to the kernel, or drops it.
func (o *outbox) flush(c *counts) {
	for i := range o.n {
		if r := &o.runs[i]; r.datagrams > 1 {
			s := &o.controls[i]
			*s = segmentControl{header: unix.Cmsghdr{Level: unix.IPPROTO_UDP, Type: unix.UDP_SEGMENT}, size: uint16(r.size)}
			s.header.SetLen(unix.SizeofCmsghdr + 2)
			m := &o.messages[i].header
			m.Control = (*byte)(unsafe.Pointer(s))
			m.SetControllen(int(unsafe.Sizeof(*s)))
		}
	}
	for i := 0; i < o.n; {
		n, err := o.send(i)
		for _, r := range o.runs[i : i+n] {
			c.mirrored += uint64(r.datagrams)
			c.bytes += uint64(r.bytes - r.datagrams*tunnel.VXLANLen)
		}
		i += n
		if err != nil && o.lost(err, o.runs[i], c) {
			i++
		}
	}
	clear(o.vectors[:o.parts]) // they point into the ring
	o.n, o.parts, o.room, o.open = 0, 0, o.room[:0], false
}

// send hands messages to the kernel from the given one on, and returns how many
// it took. The call waits for nothing, so the runtime need not hear of it.
func (o *outbox) send(from int) (int, error) {
	for {
		n, _, errno := unix.RawSyscall6(unix.SYS_SENDMMSG, uintptr(o.fd), uintptr(unsafe.Pointer(&o.messages[from])),
			uintptr(o.n-from), unix.MSG_DONTWAIT, 0, 0)
		switch errno {
		case 0:
			return int(n), nil
		case unix.EINTR:
		default:
			return 0, errno
		}
	}
}

// lost counts what the kernel did not take, and reports whether it is lost: not if
// the error is an answer to an earlier datagram.
func (o *outbox) lost(err error, r run, c *counts) bool {
	switch err {
	case unix.ECONNREFUSED:
		c.refused++
		o.reach.failed = err
		return false
	case unix.EAGAIN, unix.ENOBUFS, unix.ENOMEM:
		c.dropped[dropFull] += uint64(r.datagrams)
		return true
	case unix.EIO, unix.EINVAL: // the kernel, or the interface, takes no runs
		o.plain = o.plain || r.datagrams > 1
	case unix.EMSGSIZE:
		_ = o.measure() // the next ones fit
	default:
		o.reach.failed = err
	}
	c.dropped[dropPath] += uint64(r.datagrams)
	return true
}

func (o *outbox) close() error {
	if o.fd < 0 {
		return nil
	}
	return unix.Close(o.fd)
}
