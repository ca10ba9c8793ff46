package capture

import (
	"errors"
	"fmt"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// bufferLen is the length of a buffer, the longest the kernel takes.
	bufferLen = 4096

	// bufferRoom is how much of a packet goes into one: the kernel keeps the
	// rest free in front of it.
	bufferRoom = bufferLen - unix.XDP_PACKET_HEADROOM
)

// An xdpQueue is the socket of one receive queue, and its buffers.
//
// The kernel takes free buffers from the fill ring, and says in the other what
// it put where. Both have room for all buffers.
type xdpQueue struct {
	fd     int
	number uint32
	worker int    // that reads it
	umem   []byte // the buffers
	maps   [][]byte
	fill   ring[uint64]       // offsets in umem
	filled ring[unix.XDPDesc] // packets, each one descriptor or several
	mark   int64              // nothing older is still in the queue

	lost atomic.Uint64
}

// open makes the socket with its buffers and rings. All buffers are the
// kernel's then.
func (q *xdpQueue) open(frames int) (err error) {
	q.fd, err = unix.Socket(unix.AF_XDP, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return fmt.Errorf("socket: %w", err)
	}
	size := frames * bufferLen
	q.umem, err = unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return fmt.Errorf("%d MiB of buffers: %w", size>>20, err)
	}
	unix.Madvise(q.umem, unix.MADV_HUGEPAGE) // if it can
	reg := unix.XDPUmemReg{Addr: uint64(uintptr(unsafe.Pointer(&q.umem[0]))), Len: uint64(size), Size: bufferLen}
	err = q.set(unix.XDP_UMEM_REG, unsafe.Pointer(&reg), unsafe.Sizeof(reg))
	if errors.Is(err, unix.ENOBUFS) {
		return fmt.Errorf("lock %d MiB of buffers: %w: raise the limit of locked memory (ulimit -l, LimitMEMLOCK=)", size>>20, err)
	}
	if err != nil {
		return fmt.Errorf("register %d MiB of buffers: %w", size>>20, err)
	}
	for _, r := range []struct {
		name    string
		option  int
		entries uint32
	}{
		{"fill", unix.XDP_UMEM_FILL_RING, uint32(frames)},
		{"completion", unix.XDP_UMEM_COMPLETION_RING, 1}, // there has to be one
		{"receive", unix.XDP_RX_RING, uint32(frames)},
	} {
		if err := q.set(r.option, unsafe.Pointer(&r.entries), 4); err != nil {
			return fmt.Errorf("%s ring of %d: %w", r.name, r.entries, err)
		}
	}
	if err := q.mapRings(frames); err != nil {
		return err
	}
	for i := range frames {
		q.fill.put(uint64(i) * bufferLen)
	}
	q.fill.tell()
	return nil
}

// mapRings maps the rings, which are the kernel's memory.
func (q *xdpQueue) mapRings(frames int) error {
	var at unix.XDPMmapOffsets
	if err := q.get(unix.XDP_MMAP_OFFSETS, unsafe.Pointer(&at), unsafe.Sizeof(at)); err != nil {
		return fmt.Errorf("offsets of rings: %w", err)
	}
	fill, err := q.mapRing(unix.XDP_UMEM_PGOFF_FILL_RING, int(at.Fr.Desc)+frames*8)
	if err != nil {
		return err
	}
	filled, err := q.mapRing(unix.XDP_PGOFF_RX_RING, int(at.Rx.Desc)+frames*16)
	if err != nil {
		return err
	}
	q.fill = mappedRing[uint64](fill, &at.Fr, frames)
	q.filled = mappedRing[unix.XDPDesc](filled, &at.Rx, frames)
	return nil
}

func (q *xdpQueue) mapRing(offset int64, size int) ([]byte, error) {
	m, err := unix.Mmap(q.fd, offset, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE)
	if err != nil {
		return nil, fmt.Errorf("map a ring: %w", err)
	}
	q.maps = append(q.maps, m)
	return m, nil
}

// mappedRing returns our end of a ring in m.
func mappedRing[T any](m []byte, at *unix.XDPRingOffset, slots int) ring[T] {
	return ring[T]{
		producer: (*uint32)(unsafe.Pointer(&m[at.Producer])),
		consumer: (*uint32)(unsafe.Pointer(&m[at.Consumer])),
		flags:    (*uint32)(unsafe.Pointer(&m[at.Flags])),
		slots:    unsafe.Slice((*T)(unsafe.Pointer(&m[at.Desc])), slots),
	}
}

// bind makes the socket that of the queue.
func (q *xdpQueue) bind(ifindex int, flags uint16) error {
	return unix.Bind(q.fd, &unix.SockaddrXDP{Flags: flags, Ifindex: uint32(ifindex), QueueID: q.number})
}

// zeroCopy reports whether the driver writes to the buffers itself.
func (q *xdpQueue) zeroCopy() bool {
	var options uint32
	return q.get(unix.XDP_OPTIONS, unsafe.Pointer(&options), 4) == nil && options&unix.XDP_OPTIONS_ZEROCOPY != 0
}

// count brings the counters up to date.
func (q *xdpQueue) count() error {
	var st unix.XDPStatistics
	if err := q.get(unix.XDP_STATISTICS, unsafe.Pointer(&st), unsafe.Sizeof(st)); err != nil {
		return fmt.Errorf("statistics: %w", err)
	}
	q.lost.Store(st.Rx_dropped + st.Rx_ring_full)
	return nil
}

// wake tells the kernel of new buffers, if it asked for that.
func (q *xdpQueue) wake() {
	if atomic.LoadUint32(q.fill.flags)&unix.XDP_RING_NEED_WAKEUP != 0 {
		unix.Syscall6(unix.SYS_RECVFROM, uintptr(q.fd), 0, 0, unix.MSG_DONTWAIT, 0, 0)
	}
}

func (q *xdpQueue) set(option int, value unsafe.Pointer, size uintptr) error {
	if _, _, errno := unix.Syscall6(unix.SYS_SETSOCKOPT, uintptr(q.fd), unix.SOL_XDP, uintptr(option), uintptr(value), size, 0); errno != 0 {
		return errno
	}
	return nil
}

func (q *xdpQueue) get(option int, value unsafe.Pointer, size uintptr) error {
	n := uint32(size)
	if _, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(q.fd), unix.SOL_XDP, uintptr(option), uintptr(value), uintptr(unsafe.Pointer(&n)), 0); errno != 0 {
		return errno
	}
	return nil
}

func (q *xdpQueue) close() error {
	var err error
	for _, m := range q.maps {
		err = errors.Join(err, unix.Munmap(m))
	}
	q.maps = nil
	if q.fd >= 0 {
		err = errors.Join(err, unix.Close(q.fd))
		q.fd = -1
	}
	if q.umem != nil {
		err = errors.Join(err, unix.Munmap(q.umem))
		q.umem = nil
	}
	return err
}
