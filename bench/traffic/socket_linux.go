package traffic

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	batchLen = 64 // datagrams a system call

	// batchBytes is the arena of a batch: 576 KiB, which is 58 jumbo frames
	// and room for the longest datagram.
	batchBytes = batchLen * 9216
)

// mmsghdr is struct mmsghdr of recvmmsg(2).
type mmsghdr struct {
	header unix.Msghdr
	length uint32
}

// A batch collects datagrams with one source port for one sendmmsg. Its memory
// is an arena of batchBytes, allocated with the first datagram.
type batch struct {
	port     uint16
	n        int // datagrams
	used     int // bytes of arena
	arena    []byte
	messages [batchLen]mmsghdr
	vectors  [batchLen]unix.Iovec
}

// free returns the empty rest of the arena, to append a datagram to.
func (b *batch) free() []byte {
	if b.arena == nil {
		b.arena = make([]byte, batchBytes)
	}
	return b.arena[b.used:b.used]
}

// full reports whether the longest datagram might not fit any more.
func (b *batch) full() bool { return b.n == batchLen || batchBytes-b.used < 1<<16 }

// add takes the datagram in, which was appended to free().
func (b *batch) add(port uint16, datagram []byte) {
	b.port = port
	b.vectors[b.n].Base = unsafe.SliceData(datagram)
	b.vectors[b.n].SetLen(len(datagram))
	b.messages[b.n].header.Iov = &b.vectors[b.n]
	b.messages[b.n].header.SetIovlen(1)
	b.used += len(datagram)
	b.n++
}

func (b *batch) reset() { b.n, b.used = 0, 0 }

// A group is the sockets of a sender, one a source port, opened when needed.
type group struct {
	to      netip.AddrPort
	conns   [ports]*conn
	refused int64 // errors saying that nothing listens
}

// A conn is a socket connected to the target.
type conn struct {
	udp  net.Conn
	raw  syscall.RawConn
	stop func() bool

	// Of the call that is under way; call is sendmmsg, bound once so that
	// sending does not allocate.
	call  func(fd uintptr) bool
	batch *batch
	from  int
	sent  int
	errno syscall.Errno
}

func newGroup(to netip.AddrPort) *group {
	return &group{to: netip.AddrPortFrom(to.Addr().Unmap(), to.Port())}
}

// send sends a batch. It returns how many datagrams and bytes the kernel took:
// all unless there is an error.
func (g *group) send(ctx context.Context, b *batch) (sent, bytes int, err error) {
	if b.n == 0 {
		return 0, 0, nil
	}
	c, err := g.conn(ctx, b.port)
	if err != nil {
		return 0, 0, err
	}
	for sent < b.n {
		n, err := c.send(b, sent)
		for _, v := range b.vectors[sent : sent+n] {
			bytes += int(v.Len)
		}
		sent += n
		switch {
		case err == nil:
		case errors.Is(err, unix.ECONNREFUSED):
			// The answer to an earlier datagram. Now the socket sends again.
			g.refused++
		case errors.Is(err, unix.ENOBUFS):
			if !pause(ctx, tick) {
				return sent, bytes, ctx.Err()
			}
		default:
			return sent, bytes, fmt.Errorf("send to %s: %w", g.to, err)
		}
	}
	return sent, bytes, nil
}

// send hands b's datagrams to the kernel from the given one on. It waits while
// the socket's buffer is full.
func (c *conn) send(b *batch, from int) (int, error) {
	c.batch, c.from, c.sent, c.errno = b, from, 0, 0
	if err := c.raw.Write(c.call); err != nil {
		return 0, err
	}
	if c.errno != 0 {
		return 0, c.errno
	}
	return c.sent, nil
}

// sendmmsg makes the system call; false means that the socket's buffer is full.
func (c *conn) sendmmsg(fd uintptr) bool {
	for {
		n, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, fd, uintptr(unsafe.Pointer(&c.batch.messages[c.from])),
			uintptr(c.batch.n-c.from), 0, 0, 0)
		switch errno {
		case 0:
			c.sent = int(n)
			return true
		case unix.EINTR:
		case unix.EAGAIN:
			return false
		default:
			c.errno = errno
			return true
		}
	}
}

// conn returns the socket for a source port. It lives as long as ctx, or until
// close.
func (g *group) conn(ctx context.Context, port uint16) (*conn, error) {
	slot := &g.conns[port-firstPort]
	if *slot != nil {
		return *slot, nil
	}
	for i := range uint16(ports) {
		c, err := g.dial(ctx, firstPort+(port-firstPort+i)%ports)
		if err == nil {
			*slot = c
			return c, nil
		}
		if !errors.Is(err, unix.EADDRINUSE) {
			return nil, err
		}
	}
	c, err := g.dial(ctx, 0)
	*slot = c
	return c, err
}

// dial opens a socket that sends from the given port, 0 for any.
func (g *group) dial(ctx context.Context, port uint16) (*conn, error) {
	d := net.Dialer{LocalAddr: &net.UDPAddr{Port: int(port)}, Control: g.control}
	udp, err := d.DialContext(ctx, "udp", g.to.String())
	if err != nil {
		return nil, fmt.Errorf("send to %s: %w", g.to, err)
	}
	raw, err := udp.(*net.UDPConn).SyscallConn()
	if err != nil {
		return nil, errors.Join(err, udp.Close())
	}
	c := &conn{udp: udp, raw: raw}
	c.call = c.sendmmsg
	// When ctx ends, a Write that waits for buffer space returns.
	c.stop = context.AfterFunc(ctx, func() { _ = udp.SetWriteDeadline(time.Unix(1, 0)) })
	return c, nil
}

// control makes datagrams look like AWS's (see AppendOuter). Receivers drop
// IPv6 without a UDP checksum unless they ask for it (RFC 6935), so it stays.
func (g *group) control(_, _ string, raw syscall.RawConn) error {
	options := []struct{ level, name, value int }{
		{unix.SOL_SOCKET, unix.SO_NO_CHECK, 1},
		{unix.IPPROTO_IP, unix.IP_TTL, 255},
		{unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_DONT},
	}
	if g.to.Addr().Is6() {
		options = []struct{ level, name, value int }{
			{unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS, 255},
			{unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_DONT},
		}
	}
	var failed error
	err := raw.Control(func(fd uintptr) {
		for _, o := range options {
			if failed = unix.SetsockoptInt(int(fd), o.level, o.name, o.value); failed != nil {
				return
			}
		}
	})
	return errors.Join(err, failed)
}

// close closes the sockets. It returns an error if the target refused a
// datagram, the last ones included.
func (g *group) close() error {
	for _, c := range g.conns {
		if c == nil {
			continue
		}
		_ = c.raw.Control(func(fd uintptr) {
			if pending, _ := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_ERROR); pending == int(unix.ECONNREFUSED) {
				g.refused++
			}
		})
		c.stop()
		_ = c.udp.Close() // nothing is buffered in this process
	}
	if g.refused == 0 {
		return nil
	}
	return fmt.Errorf("nothing listens on %s: it refused at least %d datagrams", g.to, g.refused)
}

// pause sleeps for d. It returns false when ctx is done.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
