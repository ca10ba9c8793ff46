package tpacket

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/periscope-collector/periscope/internal/cbpf"
)

// Open makes the socket and its ring, with a filter that refuses everything.
// Without CAP_NET_RAW the error is fs.ErrPermission.
func Open(device *net.Interface, cfg Config) (*Ring, error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if errors.Is(err, unix.EPERM) {
		return nil, fmt.Errorf("%w: run as root, or give it CAP_NET_RAW", err)
	}
	if errors.Is(err, unix.EAFNOSUPPORT) { // what a unit that restricts them answers
		return nil, fmt.Errorf("packet sockets: %w: allow the address family AF_PACKET, and give it CAP_NET_RAW", err)
	}
	if err != nil {
		return nil, err
	}
	r := &Ring{fd: fd, blockLen: cfg.Block, outgoing: cfg.Outgoing, offloads: cfg.Offloads}
	if err := r.open(device, cfg); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

func (r *Ring) open(device *net.Interface, cfg Config) error {
	if err := r.SetFilter(cbpf.RefuseAll); err != nil {
		return err
	}
	for _, o := range []struct {
		name          string
		option, value int
		wanted        bool
	}{
		{"PACKET_VERSION", unix.PACKET_VERSION, unix.TPACKET_V3, true},
		{"PACKET_IGNORE_OUTGOING", unix.PACKET_IGNORE_OUTGOING, 1, !cfg.Outgoing},
		{"PACKET_VNET_HDR", unix.PACKET_VNET_HDR, 1, cfg.Offloads},
	} {
		if !o.wanted {
			continue
		}
		if err := unix.SetsockoptInt(r.fd, unix.SOL_PACKET, o.option, o.value); err != nil {
			return fmt.Errorf("set %s: %w", o.name, err)
		}
	}
	if err := r.mapMemory(cfg); err != nil {
		return err
	}
	// Bound to one protocol, the socket would stand behind tc's ingress hook.
	all := binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, unix.ETH_P_ALL))
	if err := unix.Bind(r.fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: device.Index}); err != nil {
		return fmt.Errorf("bind: %w", err)
	}
	return r.checkKind()
}

// mapMemory makes the ring. The frame size is only what the kernel checks the
// other figures by: in version 3 a packet takes as much of a block as it needs.
func (r *Ring) mapMemory(cfg Config) error {
	blocks := max(cfg.Bytes/cfg.Block, 2)
	const frame = 2048
	req := unix.TpacketReq3{
		Block_size:     uint32(cfg.Block),
		Block_nr:       uint32(blocks),
		Frame_size:     frame,
		Frame_nr:       uint32(blocks * (cfg.Block / frame)),
		Retire_blk_tov: uint32(cfg.Wait.Milliseconds()),
	}
	if err := unix.SetsockoptTpacketReq3(r.fd, unix.SOL_PACKET, unix.PACKET_RX_RING, &req); err != nil {
		return fmt.Errorf("a ring of %d KiB: %w", blocks*cfg.Block>>10, err)
	}
	mem, err := unix.Mmap(r.fd, 0, blocks*cfg.Block, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return fmt.Errorf("map a ring of %d KiB: %w", blocks*cfg.Block>>10, err)
	}
	r.mem = mem
	return nil
}

// checkKind refuses an interface whose packets do not begin with an Ethernet
// header.
func (r *Ring) checkKind() error {
	sa, err := unix.Getsockname(r.fd)
	if err != nil {
		return err
	}
	l, ok := sa.(*unix.SockaddrLinklayer)
	if !ok || l.Hatype != unix.ARPHRD_ETHER && l.Hatype != unix.ARPHRD_LOOPBACK {
		return ErrNotEthernet
	}
	return nil
}

// SetFilter replaces the socket's filter, which runs on the Ethernet frame.
func (r *Ring) SetFilter(program []bpf.Instruction) error {
	prog, err := cbpf.ForKernel(program)
	if err != nil {
		return err
	}
	return unix.SetsockoptSockFprog(r.fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, prog)
}

// Drops returns how many packets the kernel dropped since it was last asked,
// because the ring was full.
func (r *Ring) Drops() (uint64, error) {
	stats, err := unix.GetsockoptTpacketStatsV3(r.fd, unix.SOL_PACKET, unix.PACKET_STATISTICS)
	if err != nil {
		return 0, fmt.Errorf("read the drop counter: %w", err)
	}
	return uint64(stats.Drops), nil
}

// Gone reports whether there is no such interface any more: when it goes, the
// kernel says to who polls no more than that it is down.
func (r *Ring) Gone() (bool, error) {
	sa, err := unix.Getsockname(r.fd)
	if err != nil {
		return false, err
	}
	l, ok := sa.(*unix.SockaddrLinklayer)
	return ok && l.Ifindex <= 0, nil
}

// Down reports, after POLLERR, whether the interface is down. The socket comes
// back with it. Asking clears it, so that poll waits again.
func (r *Ring) Down() (bool, error) {
	code, err := unix.GetsockoptInt(r.fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err == nil && code != 0 && unix.Errno(code) != unix.ENETDOWN {
		err = unix.Errno(code)
	}
	return code != 0, err
}

// Close gives the ring back to the kernel and closes the socket. No packet of
// it may be in use.
func (r *Ring) Close() error {
	if r.fd < 0 {
		return nil
	}
	var err error
	if r.mem != nil {
		err = unix.Munmap(r.mem)
		r.mem = nil
	}
	err = errors.Join(err, unix.Close(r.fd))
	r.fd = -1
	return err
}
