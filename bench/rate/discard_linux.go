package main

import (
	"encoding/json"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

type mmsghdr struct {
	hdr unix.Msghdr
	n   uint32
	_   [4]byte
}

// discard is the bare loop: recvmmsg into 64 buffers, count, again. args is
// PORT,SUMMARY; the port after it answers /readyz.
func discard(args string) error {
	portText, summary, _ := strings.Cut(args, ",")
	port, err := strconv.Atoi(portText)
	if err != nil {
		return err
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	const buffer = 64 << 20
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, buffer) != nil {
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, buffer)
	}
	unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 50_000})
	if err := unix.Bind(fd, &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return err
	}
	const batch, size = 64, 9216
	headers, iovecs, slab := make([]mmsghdr, batch), make([]unix.Iovec, batch), make([]byte, batch*size)
	for i := range headers {
		iovecs[i].Base = &slab[i*size]
		iovecs[i].SetLen(size)
		headers[i].hdr.Iov = &iovecs[i]
		headers[i].hdr.SetIovlen(1)
	}
	var stop atomic.Bool
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt)
	go func() {
		<-interrupted
		time.Sleep(200 * time.Millisecond) // what is queued is read
		stop.Store(true)
	}()
	http.HandleFunc("/readyz", func(http.ResponseWriter, *http.Request) {})
	go http.ListenAndServe("127.0.0.1:"+strconv.Itoa(port+1), nil)

	var received uint64
	for !stop.Load() {
		n, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, uintptr(fd), uintptr(unsafe.Pointer(&headers[0])), batch, unix.MSG_WAITFORONE, 0, 0)
		if errno == 0 {
			received += uint64(n)
		}
	}
	var info [9]uint32
	length := uint32(unsafe.Sizeof(info))
	unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_MEMINFO, uintptr(unsafe.Pointer(&info[0])), uintptr(unsafe.Pointer(&length)), 0)
	text, err := json.Marshal(map[string]any{
		"received":       map[string]uint64{"packets": received},
		"lost_before_us": map[string]uint64{"socket": uint64(info[8])},
	})
	if err != nil {
		return err
	}
	return os.WriteFile(summary, text, 0o600)
}
