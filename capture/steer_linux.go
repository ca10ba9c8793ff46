package capture

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/periscope-collector/periscope/internal/cbpf"
	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/tunnel"
)

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
	prog, err := cbpf.ForKernel(program)
	if err != nil {
		return err
	}
	return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_REUSEPORT_CBPF, prog)
}

// rehearse sends flows in datagrams of several sizes over the loopback to a
// group with the program, and reports whether all arrived whole, each at the
// one socket of its flow, and not all at the same: kernels and drivers are
// known that lost large datagrams on the way through such a program. What only
// a driver does with what comes from its wire, this cannot show.
func rehearse(program []bpf.Instruction, encap packet.Encap, n int) bool {
	fds, at, err := bindGroup(netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 0), n, nil)
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
