package capture

import (
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/periscope-collector/periscope/packet"
)

// listen opens the group of sockets on one address, one for each source.
func (u *UDP) listen(at netip.AddrPort, encap packet.Encap, port int, cfg UDPConfig) (Group, error) {
	g := Group{Encap: encap, Sockets: len(u.sources), Asked: cfg.ReceiveBuffer}
	fds, at, err := bindGroup(at, len(u.sources), cfg.Except)
	if err != nil {
		return Group{}, err
	}
	u.refuse = append(u.refuse, fds[:len(cfg.Except)]...)
	fds = fds[len(cfg.Except):]
	g.Address = at
	for i, fd := range fds {
		granted := setReceiveBuffer(fd, cfg.ReceiveBuffer)
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

// bindGroup binds sockets to one address: one for each interface to refuse, then
// n. The first is bound before it shares the port, so that the bind fails when
// anyone else has it, whether sharing or not; the others then join it.
func bindGroup(at netip.AddrPort, n int, except []string) ([]int, netip.AddrPort, error) {
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
	all := len(except) + n
	for i := range all {
		fd, family, err := udpSocketFor(&at)
		if err != nil {
			return fail(err)
		}
		fds = append(fds, fd)
		if i < len(except) {
			err = refuseFrom(fd, except[i])
		}
		if err == nil && i > 0 {
			err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
		}
		if err == nil {
			err = unix.Bind(fd, sockaddr(at, family))
		}
		if err == nil && i == 0 {
			at, err = bound(fd)
			if err == nil && all > 1 {
				err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
			}
		}
		if err != nil {
			return fail(err)
		}
	}
	return fds, at, nil
}

// refuseFrom makes a socket one that drops whatever comes in by an interface.
// The kernel prefers a socket that is bound to the interface to one that is not
// (compute_score in net/ipv4/udp.c), and none of its own group shares with it. A
// filter on the sockets that are read could do the same, but what it refuses is
// counted where a full buffer is.
func refuseFrom(fd int, name string) error {
	if err := unix.BindToDevice(fd, name); err != nil {
		return fmt.Errorf("refuse what comes in by %s: %w", name, err)
	}
	return refuseEverything(fd)
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
