package tap

import (
	"encoding/binary"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A queue asks the kernel about the queues of an interface (rtnetlink(7),
// RTM_GETQDISC).
type queue struct {
	fd      int
	index   int32
	request []byte
	buf     []byte
}

// tcmsg is struct tcmsg of linux/rtnetlink.h.
type tcmsg struct {
	family               uint8
	_                    [3]uint8
	index                int32
	handle, parent, info uint32
}

// Attributes of a queue (linux/rtnetlink.h, linux/gen_stats.h).
const (
	attrStats2 = 7 // TCA_STATS2
	attrQueue  = 3 // TCA_STATS_QUEUE: queue length, backlog, drops and more, of 32 bits
)

func openQueue(index int) (*queue, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, err
	}
	timeout := unix.Timeval{Usec: 100_000} // it answers at once, or is not what it seems
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout); err != nil {
		unix.Close(fd)
		return nil, err
	}
	q := &queue{fd: fd, index: int32(index), buf: make([]byte, 32<<10)}
	header := syscall.NlMsghdr{Type: unix.RTM_GETQDISC, Flags: unix.NLM_F_REQUEST | unix.NLM_F_DUMP,
		Len: uint32(unix.SizeofNlMsghdr + unsafe.Sizeof(tcmsg{}))}
	message := tcmsg{index: int32(index)}
	q.request = append(q.request, (*[unix.SizeofNlMsghdr]byte)(unsafe.Pointer(&header))[:]...)
	q.request = append(q.request, (*[unsafe.Sizeof(message)]byte)(unsafe.Pointer(&message))[:]...)
	return q, nil
}

func (q *queue) close() error { return unix.Close(q.fd) }

// read returns how many packets the queues dropped since they are there, and how
// many bytes wait in them; what it cannot find out is zero.
func (q *queue) read() (dropped, waiting uint64) {
	if err := unix.Sendto(q.fd, q.request, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return 0, 0
	}
	for {
		n, _, err := unix.Recvfrom(q.fd, q.buf, 0)
		if err != nil {
			return dropped, waiting
		}
		messages, err := syscall.ParseNetlinkMessage(q.buf[:n])
		if err != nil || len(messages) == 0 {
			return dropped, waiting
		}
		for i := range messages {
			m := &messages[i]
			if m.Header.Type == unix.NLMSG_DONE || m.Header.Type == unix.NLMSG_ERROR {
				return dropped, waiting
			}
			d, w := q.one(m.Data)
			dropped += d
			waiting += w
		}
	}
}

// one reads what a message says of a queue that is not part of another one.
func (q *queue) one(data []byte) (dropped, waiting uint64) {
	const length = int(unsafe.Sizeof(tcmsg{}))
	if len(data) < length {
		return 0, 0
	}
	index, parent := binary.NativeEndian.Uint32(data[4:]), binary.NativeEndian.Uint32(data[12:])
	if int32(index) != q.index || parent != root {
		return 0, 0
	}
	counts := attribute(attribute(data[length:], attrStats2), attrQueue)
	if len(counts) < 12 {
		return 0, 0
	}
	return uint64(binary.NativeEndian.Uint32(counts[8:])), uint64(binary.NativeEndian.Uint32(counts[4:]))
}

const root = 0xffffffff // TC_H_ROOT

// attribute returns the value of an attribute in a list of them, or nil.
func attribute(list []byte, kind uint16) []byte {
	for len(list) >= unix.SizeofNlAttr {
		length := int(binary.NativeEndian.Uint16(list))
		if length < unix.SizeofNlAttr || length > len(list) {
			return nil
		}
		if binary.NativeEndian.Uint16(list[2:])&^(unix.NLA_F_NESTED|unix.NLA_F_NET_BYTEORDER) == kind {
			return list[unix.SizeofNlAttr:length]
		}
		list = list[min((length+3)&^3, len(list)):]
	}
	return nil
}
