package main

import (
	"errors"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	vxlanLen = 8
	batch    = 64
	slot     = 9216 // a datagram's memory
)

// mmsghdr is the kernel's struct mmsghdr, which x/sys lacks.
type mmsghdr struct {
	hdr unix.Msghdr
	n   uint32
	_   [4]byte
}

// nap is how long datagrams gather after some came, as in the collector: asked
// for at once they come by ones and twos, at three times the cost.
var nap = unix.Timespec{Nsec: 100_000}

// udp receives from a socket on all addresses of IPv4.
func (l *loop) udp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, buffer); err != nil {
		return fmt.Errorf("a buffer of %d MiB: %w; run as root", buffer>>20, err)
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Port: port}); err != nil {
		return err
	}
	headers, iovecs, slab := make([]mmsghdr, batch), make([]unix.Iovec, batch), make([]byte, batch*slot)
	for i := range headers {
		iovecs[i].Base = &slab[i*slot]
		iovecs[i].SetLen(slot)
		headers[i].hdr.Iov = &iovecs[i]
		headers[i].hdr.SetIovlen(1)
	}
	poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	fmt.Println("ready")
	for busy := false; ; {
		stop := l.stop.Load() // before the look that finds nothing
		n, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, uintptr(fd), uintptr(unsafe.Pointer(&headers[0])), batch, unix.MSG_DONTWAIT, 0, 0)
		switch {
		case errno == 0:
			busy = true
			l.count += uint64(n)
			for i := range n {
				if err := l.datagram(slab[i*slot:][:headers[i].n]); err != nil {
					return err
				}
			}
		case errno != unix.EAGAIN && errno != unix.EINTR:
			return errno
		case stop:
			return nil
		case busy:
			busy = false
			unix.Nanosleep(&nap, nil)
		default:
			if _, err := unix.Poll(poll, 25); err != nil && !errors.Is(err, unix.EINTR) {
				return err
			}
		}
	}
}

func (l *loop) datagram(b []byte) error {
	if l.out == nil || len(b) < vxlanLen {
		return nil
	}
	return l.out.add(0, 0, b[vxlanLen:], len(b)-vxlanLen)
}
