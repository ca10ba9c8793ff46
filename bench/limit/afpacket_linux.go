package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"unsafe"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

const (
	outerLen = 14 + 20 + 8 + vxlanLen // Ethernet, IPv4, UDP, VXLAN
	blockLen = 1 << 20
)

// afpacket receives from a TPACKET_V3 ring, in place
// (Documentation/networking/packet_mmap.rst).
func (l *loop) afpacket() error {
	fd, ring, err := openRing(l.iface)
	if err != nil {
		return err
	}
	poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	fmt.Println("ready")
	for block := 0; ; {
		stop := l.stop.Load() // before the look that finds nothing
		d := (*unix.TpacketBlockDesc)(unsafe.Pointer(&ring[block]))
		h := (*unix.TpacketHdrV1)(unsafe.Pointer(&d.Hdr))
		if atomic.LoadUint32(&h.Block_status)&unix.TP_STATUS_USER == 0 {
			n, err := unix.Poll(poll, 100) // the kernel hands a block over after 20 ms
			if err != nil && !errors.Is(err, unix.EINTR) {
				return err
			}
			if stop && n == 0 {
				return nil
			}
			continue
		}
		if err := l.packets(ring[block:block+blockLen], h); err != nil {
			return err
		}
		atomic.StoreUint32(&h.Block_status, unix.TP_STATUS_KERNEL)
		block = (block + blockLen) % len(ring)
	}
}

// packets goes through a block.
func (l *loop) packets(block []byte, h *unix.TpacketHdrV1) error {
	l.count += uint64(h.Num_pkts)
	next := h.Offset_to_first_pkt
	for range h.Num_pkts {
		p := (*unix.Tpacket3Hdr)(unsafe.Pointer(&block[next]))
		if l.out != nil {
			frame := block[next+uint32(p.Mac)+outerLen : next+uint32(p.Mac)+p.Snaplen]
			if err := l.out.add(p.Sec, p.Nsec, frame, int(p.Len-outerLen)); err != nil {
				return err
			}
		}
		next += p.Next_offset
	}
	return nil
}

// openRing returns a socket that takes what arrives for the port on an
// interface, and its ring.
func openRing(name string) (fd int, ring []byte, err error) {
	device, err := net.InterfaceByName(name)
	if err != nil {
		return -1, nil, fmt.Errorf("interface %q: %w", name, err)
	}
	if fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW, 0); err != nil {
		return -1, nil, err
	}
	if err := attachFilter(fd); err != nil {
		return -1, nil, err
	}
	for option, value := range map[int]int{unix.PACKET_VERSION: unix.TPACKET_V3, unix.PACKET_IGNORE_OUTGOING: 1} {
		if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, option, value); err != nil {
			return -1, nil, err
		}
	}
	const frame = 2048 // only what the kernel checks the other figures by
	err = unix.SetsockoptTpacketReq3(fd, unix.SOL_PACKET, unix.PACKET_RX_RING, &unix.TpacketReq3{
		Block_size: blockLen, Block_nr: buffer / blockLen, Frame_size: frame, Frame_nr: buffer / frame, Retire_blk_tov: 20})
	if err != nil {
		return -1, nil, fmt.Errorf("a ring of %d MiB: %w", buffer>>20, err)
	}
	if ring, err = unix.Mmap(fd, 0, buffer, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err != nil {
		return -1, nil, err
	}
	all := binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, unix.ETH_P_ALL))
	return fd, ring, unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: device.Index})
}

// attachFilter has the socket take UDP over IPv4 to the port, and nothing else.
func attachFilter(fd int) error {
	raw, err := bpf.Assemble([]bpf.Instruction{
		bpf.LoadAbsolute{Off: 12, Size: 2}, bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.ETH_P_IP, SkipTrue: 5},
		bpf.LoadAbsolute{Off: 23, Size: 1}, bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.IPPROTO_UDP, SkipTrue: 3},
		bpf.LoadAbsolute{Off: 36, Size: 2}, bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: port, SkipTrue: 1},
		bpf.RetConstant{Val: 1 << 16},
		bpf.RetConstant{Val: 0},
	})
	if err != nil {
		return err
	}
	program := make([]unix.SockFilter, len(raw))
	for i, r := range raw {
		program[i] = unix.SockFilter{Code: r.Op, Jt: r.Jt, Jf: r.Jf, K: r.K}
	}
	return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]})
}
