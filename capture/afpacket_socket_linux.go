package capture

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/periscope-collector/periscope/packet"
)

const defaultRing = 64 << 20

// refuseAll keeps everything out of a ring.
var refuseAll = []bpf.Instruction{bpf.RetConstant{Val: 0}}

// open opens the sockets. None takes anything before all are one group, since a
// socket without its group gets every packet.
func (a *AFPacket) open(device *net.Interface, ports tunnelPorts, cfg AFPacketConfig) error {
	workers := max(cfg.Workers, 1)
	group, err := 0, error(nil)
	for i := range workers {
		log := cfg.Log
		if i > 0 { // what happens to the interface is said once
			log = slog.New(slog.DiscardHandler)
		}
		s := &ringSource{fd: -1, name: device.Name, ports: ports, log: log, batch: packet.NewBatch(batchLen)}
		a.sources = append(a.sources, s)
		if err := s.open(device, cfg.RingBytes); err != nil {
			return err
		}
		if workers == 1 {
			break
		}
		if group, err = s.join(group, i == 0); err != nil {
			return fmt.Errorf("join the group of rings: %w", err)
		}
	}
	if workers > 1 {
		if err := a.steer(ports); err != nil {
			return fmt.Errorf("steer by the inner flow: %w", err)
		}
	}
	if !cfg.leave {
		if a.drop, err = dropBehind(device.Index, ports); err != nil {
			cfg.Log.Info("what the packet rings take goes on to the IP stack: no program that drops it there",
				"interface", device.Name, "error", permission("program", err))
		}
	}
	filter, err := ringFilter(ports, a.Drops())
	if err != nil {
		return err
	}
	for _, s := range a.sources {
		if err := s.setFilter(filter); err != nil {
			return fmt.Errorf("filter: %w", err)
		}
	}
	return nil
}

func (a *AFPacket) steer(ports tunnelPorts) error {
	program, err := ringSteering(ports, len(a.sources))
	if err != nil {
		return err
	}
	prog, err := forKernel(program)
	if err != nil {
		return err
	}
	return unix.SetsockoptSockFprog(a.sources[0].fd, unix.SOL_PACKET, unix.PACKET_FANOUT_DATA, prog)
}

// open makes the socket and its ring, with a filter that refuses everything.
func (s *ringSource) open(device *net.Interface, ringBytes int) (err error) {
	s.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if errors.Is(err, unix.EPERM) {
		return fmt.Errorf("%w: run as root, or give it CAP_NET_RAW", err)
	}
	if errors.Is(err, unix.EAFNOSUPPORT) { // what a unit that restricts them answers
		return fmt.Errorf("packet sockets: %w: allow the address family AF_PACKET, and give it CAP_NET_RAW", err)
	}
	if err != nil {
		return err
	}
	if err := s.setFilter(refuseAll); err != nil {
		return err
	}
	for _, o := range []struct {
		name          string
		option, value int
	}{
		{"PACKET_VERSION", unix.PACKET_VERSION, unix.TPACKET_V3},
		{"PACKET_IGNORE_OUTGOING", unix.PACKET_IGNORE_OUTGOING, 1},
	} {
		if err := unix.SetsockoptInt(s.fd, unix.SOL_PACKET, o.option, o.value); err != nil {
			return fmt.Errorf("set %s: %w", o.name, err)
		}
	}
	if err := s.mapRing(ringBytes); err != nil {
		return err
	}
	// Bound to one protocol, the socket would stand behind tc's ingress hook.
	all := binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, unix.ETH_P_ALL))
	if err := unix.Bind(s.fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: device.Index}); err != nil {
		return fmt.Errorf("bind: %w", err)
	}
	return s.checkKind()
}

// checkKind refuses an interface whose packets do not begin with an Ethernet
// header.
func (s *ringSource) checkKind() error {
	sa, err := unix.Getsockname(s.fd)
	if err != nil {
		return err
	}
	l, ok := sa.(*unix.SockaddrLinklayer)
	if !ok || l.Hatype != unix.ARPHRD_ETHER && l.Hatype != unix.ARPHRD_LOOPBACK {
		return errors.New("not an Ethernet interface: use the UDP sockets")
	}
	return nil
}

// mapRing makes the ring. The frame size is only what the kernel checks the
// other figures by: in version 3 a packet takes as much of a block as it needs.
func (s *ringSource) mapRing(size int) error {
	if size == 0 {
		size = defaultRing
	}
	blocks := max(size/blockLen, 2)
	const frame = 2048
	req := unix.TpacketReq3{
		Block_size:     blockLen,
		Block_nr:       uint32(blocks),
		Frame_size:     frame,
		Frame_nr:       uint32(blocks * (blockLen / frame)),
		Retire_blk_tov: uint32(blockWait.Milliseconds()),
	}
	if err := unix.SetsockoptTpacketReq3(s.fd, unix.SOL_PACKET, unix.PACKET_RX_RING, &req); err != nil {
		return fmt.Errorf("a ring of %d MiB: %w", blocks, err)
	}
	ring, err := unix.Mmap(s.fd, 0, blocks*blockLen, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return fmt.Errorf("map a ring of %d MiB: %w", blocks, err)
	}
	s.ring = ring
	return nil
}

// join makes the socket one of a group, a new one if it is the first, and
// returns the group's number.
func (s *ringSource) join(group int, first bool) (int, error) {
	kind := unix.PACKET_FANOUT_CBPF | unix.PACKET_FANOUT_FLAG_IGNORE_OUTGOING
	if first {
		kind |= unix.PACKET_FANOUT_FLAG_UNIQUEID
	}
	if err := unix.SetsockoptInt(s.fd, unix.SOL_PACKET, unix.PACKET_FANOUT, group|kind<<16); err != nil {
		return 0, err
	}
	group, err := unix.GetsockoptInt(s.fd, unix.SOL_PACKET, unix.PACKET_FANOUT)
	return group & 0xffff, err
}

// interfaceByName returns the name, index and MTU of an interface. It takes
// nothing but a UDP socket, where that of package net takes a netlink one.
func interfaceByName(name string) (*net.Interface, error) {
	request, err := unix.NewIfreq(name)
	if err != nil {
		return nil, ErrNoInterface // longer than any
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	device := &net.Interface{Name: name}
	for _, q := range []struct {
		request uint
		into    *int
	}{{unix.SIOCGIFINDEX, &device.Index}, {unix.SIOCGIFMTU, &device.MTU}} {
		err := unix.IoctlIfreq(fd, q.request, request)
		if err == unix.ENODEV {
			return nil, ErrNoInterface
		}
		if err != nil {
			return nil, err
		}
		*q.into = int(request.Uint32())
	}
	return device, nil
}

// setFilter replaces the socket's filter.
func (s *ringSource) setFilter(program []bpf.Instruction) error {
	prog, err := forKernel(program)
	if err != nil {
		return err
	}
	return unix.SetsockoptSockFprog(s.fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, prog)
}

func (s *ringSource) close() error {
	if s.fd < 0 {
		return nil
	}
	var err error
	if s.ring != nil {
		err = unix.Munmap(s.ring)
		s.ring = nil
	}
	err = errors.Join(err, unix.Close(s.fd))
	s.fd, s.ended = -1, true
	return err
}
