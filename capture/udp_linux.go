package capture

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/tunnel"
)

type pollFD = unix.PollFd

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

func newUDPSource() *udpSource {
	return &udpSource{batch: packet.NewBatch(batchLen), slab: make([]byte, batchLen*slotLen)}
}

// ready is called when all sockets are there.
func (s *udpSource) ready() {
	for _, sock := range s.sockets {
		s.polls = append(s.polls, unix.PollFd{Fd: int32(sock.fd), Events: unix.POLLIN})
	}
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

// Next lends the next batch. It waits at most 25 ms for the first datagram; the
// batch is then empty and only brings the clock. After Stop the sockets take
// nothing more; when they are read empty, it closes them and returns io.EOF.
func (s *udpSource) Next() (*packet.Batch, error) {
	if s.lent {
		return nil, errors.New("capture: a UDP source lends one batch at a time")
	}
	if s.ended {
		return nil, io.EOF
	}
	b := s.batch
	for waited := false; ; waited = true {
		now := time.Now().UnixNano()
		b.Now = now
		stopped := s.stop.Load() // before the look that finds nothing
		if stopped && !s.shut {
			s.shut = true
			for _, sock := range s.sockets {
				sock.shut(now)
			}
		}
		got, err := s.poll(b, now)
		if err != nil {
			return nil, err
		}
		if got == 0 && stopped {
			s.ended = true
			if err := s.close(); err != nil {
				return nil, err
			}
			return nil, io.EOF
		}
		if got > 0 || waited {
			b.Mark = s.mark()
			s.lent = true
			s.busy = got > 0
			return b, nil
		}
		if err := s.wait(); err != nil {
			return nil, err
		}
	}
}

// wait waits for datagrams: a nap if there were some just now, else until there
// are, at most idleWait.
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

// Release takes the batch back.
func (s *udpSource) Release(b *packet.Batch) {
	if poison {
		for i := range s.slab {
			s.slab[i] = 0xdb
		}
	}
	s.lent = false
}

// poll fills b from the first socket that has something, and returns how many
// datagrams that were.
func (s *udpSource) poll(b *packet.Batch, now int64) (int, error) {
	for range s.sockets {
		sock := s.sockets[s.turn]
		n, err := sock.receive(b, s.slab, now)
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
	b.Resize(0)
	return 0, nil
}

func (s *udpSource) next() {
	s.turn = (s.turn + 1) % len(s.sockets)
	s.stay = stayBatches
}

// mark is the least of the sockets' marks.
func (s *udpSource) mark() int64 {
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
	refuse := unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K} // keep 0 bytes
	unix.SetsockoptSockFprog(s.fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: 1, Filter: &refuse})
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

// listen opens the group of sockets on one address, one for each source.
func (u *UDP) listen(at netip.AddrPort, encap packet.Encap, port, buffer int) (Group, error) {
	g := Group{Encap: encap, Sockets: len(u.sources), Asked: buffer}
	fds, at, err := bindGroup(at, len(u.sources))
	if err != nil {
		return Group{}, err
	}
	g.Address = at
	for i, fd := range fds {
		granted := setReceiveBuffer(fd, buffer)
		if i == 0 || granted < g.Granted {
			g.Granted = granted
		}
		u.sources[i].sockets = append(u.sources[i].sockets, newUDPSocket(fd, encap, u.sources[i].slab))
	}
	if len(fds) > 1 {
		g.Steered, err = steer(fds, encap, port)
	}
	return g, err
}

// bindGroup binds n sockets to one address. The first is bound before it
// shares the port, so that the bind fails when anyone else has it, whether
// sharing or not; the others then join it.
func bindGroup(at netip.AddrPort, n int) ([]int, netip.AddrPort, error) {
	var fds []int
	fail := func(err error) ([]int, netip.AddrPort, error) {
		for _, fd := range fds {
			unix.Close(fd)
		}
		if errors.Is(err, unix.EADDRINUSE) {
			return nil, at, fmt.Errorf("capture: listen udp %s: %w: another collector, another address of this configuration, or a tunnel device of the kernel has the port; see \"ss -ulpn\" and \"ip -d link\"", at, ErrInUse)
		}
		return nil, at, fmt.Errorf("capture: listen udp %s: %w", at, err)
	}
	for i := range n {
		fd, family, err := udpSocketFor(&at)
		if err != nil {
			return fail(err)
		}
		fds = append(fds, fd)
		if i > 0 {
			err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
		}
		if err == nil {
			err = unix.Bind(fd, sockaddr(at, family))
		}
		if err == nil && i == 0 {
			at, err = bound(fd)
			if err == nil && n > 1 {
				err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
			}
		}
		if err != nil {
			return fail(err)
		}
	}
	return fds, at, nil
}

// udpSocketFor returns a socket for an address with the options that every
// socket has. Where the kernel has no IPv6, all addresses means all of IPv4.
func udpSocketFor(at *netip.AddrPort) (fd, family int, err error) {
	family = unix.AF_INET6
	if at.Addr().Is4() {
		family = unix.AF_INET
	}
	const kind = unix.SOCK_DGRAM | unix.SOCK_CLOEXEC | unix.SOCK_NONBLOCK
	fd, err = unix.Socket(family, kind, 0)
	if err == unix.EAFNOSUPPORT && family == unix.AF_INET6 && at.Addr().IsUnspecified() {
		*at = netip.AddrPortFrom(netip.IPv4Unspecified(), at.Port())
		family = unix.AF_INET
		fd, err = unix.Socket(family, kind, 0)
	}
	if err != nil {
		return -1, family, err
	}
	options := []struct {
		name                 string
		level, option, value int
	}{
		{"SO_TIMESTAMPNS", unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1},
		{"SO_RXQ_OVFL", unix.SOL_SOCKET, unix.SO_RXQ_OVFL, 1},
	}
	if family == unix.AF_INET6 {
		v6only := 0
		if !at.Addr().IsUnspecified() {
			v6only = 1
		}
		options = append(options, []struct {
			name                 string
			level, option, value int
		}{
			{"IPV6_V6ONLY", unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, v6only},
			{"UDP_NO_CHECK6_RX", unix.IPPROTO_UDP, unix.UDP_NO_CHECK6_RX, 1},
		}...)
	}
	for _, o := range options {
		if err := unix.SetsockoptInt(fd, o.level, o.option, o.value); err != nil {
			unix.Close(fd)
			return -1, family, fmt.Errorf("set %s: %w", o.name, err)
		}
	}
	return fd, family, nil
}

func sockaddr(at netip.AddrPort, family int) unix.Sockaddr {
	if family == unix.AF_INET {
		return &unix.SockaddrInet4{Port: int(at.Port()), Addr: at.Addr().As4()}
	}
	return &unix.SockaddrInet6{Port: int(at.Port()), Addr: at.Addr().As16()}
}

func bound(fd int) (netip.AddrPort, error) {
	sa, err := unix.Getsockname(fd)
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port)), nil
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr), uint16(sa.Port)), nil
	}
	return netip.AddrPort{}, err
}

// setReceiveBuffer asks for a buffer of n bytes, forced where permitted, and
// returns what the kernel granted. The kernel doubles the figure for its own
// bookkeeping (socket(7)), so half of what it reports counts.
func setReceiveBuffer(fd, n int) int {
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, n) != nil {
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, n)
	}
	granted, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF)
	if err != nil {
		return 0
	}
	return granted / 2
}

// steer attaches the program that chooses the socket by the inner flow, after
// a rehearsal on sockets of its own showed that datagrams of all sizes survive
// it, and reports whether it did. It is an error only if the program is wrong.
func steer(fds []int, encap packet.Encap, port int) (bool, error) {
	program, err := Steering(port, len(fds))
	if err != nil {
		return false, err
	}
	if !rehearse(program, encap, len(fds)) {
		return false, nil
	}
	return attach(fds[0], program) == nil, nil
}

func attach(fd int, program []bpf.Instruction) error {
	raw, err := bpf.Assemble(program)
	if err != nil {
		return err
	}
	filter := make([]unix.SockFilter, len(raw))
	for i, r := range raw {
		filter[i] = unix.SockFilter{Code: r.Op, Jt: r.Jt, Jf: r.Jf, K: r.K}
	}
	return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_REUSEPORT_CBPF,
		&unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]})
}

// rehearse sends flows in datagrams of several sizes over the loopback to a
// group with the program, and reports whether all arrived whole, each at the
// one socket of its flow, and not all at the same: kernels and drivers are
// known that lost large datagrams on the way through such a program. What only
// a driver does with what comes from its wire, this cannot show.
func rehearse(program []bpf.Instruction, encap packet.Encap, n int) bool {
	fds, at, err := bindGroup(netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 0), n)
	if err != nil {
		return false
	}
	polls := make([]unix.PollFd, n)
	for i, fd := range fds {
		defer unix.Close(fd)
		polls[i] = unix.PollFd{Fd: int32(fd), Events: unix.POLLIN}
	}
	if attach(fds[0], program) != nil {
		return false
	}
	sender, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer unix.Close(sender)
	used := make(map[int]bool)
	buf := make([]byte, packet.MaxDatagram)
	for flow := range byte(16) {
		chosen := -1
		for _, size := range []int{100, 1500, 8973, packet.MaxDatagram} {
			clear(buf)
			putFlow(buf, encap, flow)
			if unix.Sendto(sender, buf[:size], 0, sockaddr(at, unix.AF_INET)) != nil {
				return false
			}
			i := arrived(polls)
			if i < 0 || chosen >= 0 && i != chosen {
				return false
			}
			if got, _, err := unix.Recvfrom(fds[i], buf, 0); err != nil || got != size {
				return false
			}
			chosen = i
		}
		used[chosen] = true
	}
	return len(used) > 1
}

// putFlow writes a tunnel header and the headers of an inner UDP packet, which
// differ with flow in the last byte of the addresses alone.
func putFlow(b []byte, encap packet.Encap, flow byte) {
	frame := b[tunnel.VXLANLen:]
	if encap == packet.GENEVE {
		binary.BigEndian.PutUint16(b[2:], tunnel.ProtocolEthernet)
		frame = b[tunnel.GENEVELen:]
	} else {
		b[0] = 0x08
	}
	frame[12], frame[14], frame[23] = 0x08, 0x45, 17
	copy(frame[26:], []byte{10, 0, 0, flow, 10, 0, 1, flow})
}

// arrived waits for one socket to have something, and returns which, or -1.
func arrived(polls []unix.PollFd) int {
	for range 10 {
		n, err := unix.Poll(polls, 200)
		if err == unix.EINTR {
			continue
		}
		if err != nil || n != 1 {
			return -1
		}
		for i := range polls {
			if polls[i].Revents != 0 {
				return i
			}
		}
	}
	return -1
}
