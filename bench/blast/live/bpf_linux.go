package live

import (
	"bytes"
	"errors"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// An instruction of eBPF (RFC 9669, section 3).
type instruction struct {
	op   uint8
	regs uint8 // destination, and source in the upper half
	off  int16
	imm  int32
}

// Attributes of bpf(2), as in linux/bpf.h; each as long as it needs to be.
type (
	mapAttr struct {
		kind, keySize, valueSize, entries uint32
	}
	elemAttr struct {
		fd         uint32
		_          uint32
		key, value unsafe.Pointer
		_          uint64
	}
	loadAttr struct {
		kind, count       uint32
		insns, license    unsafe.Pointer
		logLevel, logSize uint32
		log               unsafe.Pointer
		_, flags          uint32
	}
	runAttr struct {
		fd, _     uint32
		size, _   uint32
		data, _   unsafe.Pointer
		repeat, _ uint32
		_, _      uint32 // sizes of a context
		_, _      unsafe.Pointer
		flags, _  uint32
		batch, _  uint32
	}
	linkAttr struct {
		fd, ifindex, attachType, flags uint32
	}
)

// bpf makes the system call. What attr points to stays alive through it, since
// its pointers are typed as such.
func bpf[T any](command uintptr, attr *T) (int, error) {
	n, _, errno := unix.Syscall(unix.SYS_BPF, command, uintptr(unsafe.Pointer(attr)), unsafe.Sizeof(*attr))
	if errno != 0 {
		return -1, errno
	}
	return int(n), nil
}

// load has the kernel verify a program of the given kind.
func load(kind, flags uint32, insns []instruction) (int, error) {
	log := make([]byte, 64<<10)
	license := []byte("GPL\x00")
	fd, err := bpf(unix.BPF_PROG_LOAD, &loadAttr{
		kind: kind, count: uint32(len(insns)), insns: unsafe.Pointer(&insns[0]), license: unsafe.Pointer(&license[0]),
		logLevel: 1, logSize: uint32(len(log)), log: unsafe.Pointer(&log[0]), flags: flags,
	})
	if errors.Is(err, unix.EPERM) {
		return -1, errors.New("load the program: run as root")
	}
	if err != nil {
		// The verifier's last words say why; its statistics follow them.
		lines := bytes.Split(bytes.TrimRight(log, "\x00\n"), []byte("\n"))
		return -1, fmt.Errorf("load the program: %w: %s", err, lines[max(len(lines)-2, 0)])
	}
	return fd, nil
}

// Modes of attaching, XDP_FLAGS_SKB_MODE and XDP_FLAGS_DRV_MODE.
const (
	genericMode = 1 << 1
	driverMode  = 1 << 2
)

// attach attaches the program to an interface for as long as the descriptor
// that it returns is open.
func attach(program, ifindex int, mode uint32) (int, error) {
	const attachXDP = 37 // BPF_XDP
	link, err := bpf(unix.BPF_LINK_CREATE, &linkAttr{uint32(program), uint32(ifindex), attachXDP, mode})
	if err != nil {
		return -1, fmt.Errorf("attach to interface %d: %w", ifindex, err)
	}
	return link, nil
}

// Drop attaches a program to the interface of that index that drops all it
// receives, and returns what detaches it. The end of the process does, too.
// With it in place, a sender is measured and nothing else.
func Drop(ifindex int) (detach func() error, err error) {
	const xdpDrop = 1
	fd, err := load(unix.BPF_PROG_TYPE_XDP, unix.BPF_F_XDP_HAS_FRAGS, []instruction{set(r0, xdpDrop), exit()})
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	link, err := attach(fd, ifindex, driverMode)
	if err != nil {
		return nil, err
	}
	return func() error { return unix.Close(link) }, nil
}
