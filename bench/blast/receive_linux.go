package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/periscope-collector/periscope/bench/blast/live"
	"github.com/periscope-collector/periscope/tunnel"
)

// kinds of receivers. Each discards what it receives.
var kinds = []struct {
	name, what string
	open       func() (fd int, err error)
}{
	{"drop", "nothing, XDP_DROP", openNothing},
	{"packet", "AF_PACKET, recvmmsg", openPacket},
	{"udp", "UDP, recvmmsg", openUDP},
}

// receive is the other process: it waits for a line, says ready, discards until
// its input ends and nothing is left to read, and prints how many it read. args
// is KIND,CPU.
func receive(args string) error {
	name, cpuText, _ := strings.Cut(args, ",")
	var cpu int
	if _, err := fmt.Sscan(cpuText, &cpu); err != nil {
		return err
	}
	if err := pin(cpu); err != nil {
		return err
	}
	stdin := bufio.NewReader(os.Stdin)
	if _, err := stdin.ReadString('\n'); err != nil {
		return err
	}
	err := shell(`
		echo 1 >/proc/sys/net/ipv6/conf/b1/disable_ipv6
		ip link set b1 up
		ethtool -K b1 gro on`) // last: it is then that the other end learns of it
	if err != nil {
		return err
	}
	for _, k := range kinds {
		if k.name != name {
			continue
		}
		if name == "drop" {
			b1, err := net.InterfaceByName("b1")
			if err != nil {
				return err
			}
			detach, err := live.Drop(b1.Index)
			if err != nil {
				return err
			}
			defer detach()
		}
		fd, err := k.open()
		if err != nil {
			return err
		}
		fmt.Println("ready")
		var ended atomic.Bool
		go func() {
			io.Copy(io.Discard, stdin)
			ended.Store(true)
		}()
		n, err := discard(fd, &ended)
		fmt.Println(n)
		return err
	}
	return fmt.Errorf("no receiver %q", name)
}

// openNothing returns a socket that gets nothing.
func openNothing() (int, error) {
	return unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
}

// openPacket leaves the interface without an address, so that the IP stack
// answers nothing.
func openPacket() (int, error) {
	const etherIPv4 = 0x0008 // in network order
	return unix.Socket(unix.AF_PACKET, unix.SOCK_RAW, etherIPv4)
}

func openUDP() (int, error) {
	if err := shell("ip address add " + receiverAddr + "/24 dev b1"); err != nil {
		return -1, err
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		return -1, err
	}
	return fd, unix.Bind(fd, &unix.SockaddrInet4{Port: tunnel.VXLANPort})
}

type mmsghdr struct {
	hdr unix.Msghdr
	n   uint32
	_   [4]byte
}

// discard reads 64 at a time until ended, and nothing has come for 100 ms.
func discard(fd int, ended *atomic.Bool) (received uint64, err error) {
	const receiveBuffer = 64 << 20 // 16,384 live frames: each occupies a page
	unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receiveBuffer)
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 100_000}); err != nil {
		return 0, err
	}
	const batch, size = 64, 9216
	headers, iovecs, slab := make([]mmsghdr, batch), make([]unix.Iovec, batch), make([]byte, batch*size)
	for i := range headers {
		iovecs[i].Base = &slab[i*size]
		iovecs[i].SetLen(size)
		headers[i].hdr.Iov = &iovecs[i]
		headers[i].hdr.SetIovlen(1)
	}
	for {
		n, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, uintptr(fd), uintptr(unsafe.Pointer(&headers[0])), batch, unix.MSG_WAITFORONE, 0, 0)
		switch {
		case errno == 0:
			received += uint64(n)
		case errors.Is(errno, unix.EAGAIN) && ended.Load():
			return received, nil
		case !errors.Is(errno, unix.EAGAIN) && !errors.Is(errno, unix.EINTR):
			return received, errno
		}
	}
}
