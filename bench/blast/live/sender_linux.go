package live

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/periscope-collector/periscope/packet"
)

// batch is how many frames the kernel makes and hands over at once: a quarter of
// what the receiving end of a veth pair queues.
const batch = 64

// A Config says what a sender sends.
type Config struct {
	// Interface is one end of a veth pair, in the calling thread's namespace.
	Interface string

	// MAC is that of the other end.
	MAC [6]byte

	// Source and Target are the outer addresses, both IPv4.
	Source, Target netip.Addr

	// VNI is the virtual network identifier, 24 bits.
	VNI uint32

	// Size is that of the inner frame in bytes, MinSize to MaxSize.
	Size int

	// Flows is the number of inner TCP flows, 1 to MaxFlows, which take turns.
	Flows int
}

// MaxSize is the longest inner frame, in bytes. A live frame must fit a page of
// 4,096 bytes, together with headroom, the kernel's notes and the end of a
// socket buffer; the kernel refuses more than one page. Linux 6.18 takes 3,358.
const MaxSize = 3300

// A Sender sends one kind of traffic. Frames are numbered from 0 on, over all
// calls of Send.
type Sender struct {
	frame []byte

	// Descriptors. The program is attached to the interface, where it passes
	// everything, because the kernel otherwise makes and unmakes a trampoline for
	// it in every call, and waits some 10 ms for all processors to leave it.
	counter, program, link int
}

// Open returns a sender. Close releases it.
func Open(c Config) (*Sender, error) {
	switch {
	case c.Size < MinSize || c.Size > MaxSize:
		return nil, fmt.Errorf("inner frame of %d bytes: want %d to %d", c.Size, MinSize, MaxSize)
	case c.Flows < 1 || c.Flows > MaxFlows:
		return nil, fmt.Errorf("%d flows: want 1 to %d", c.Flows, MaxFlows)
	case !c.Source.Is4() || !c.Target.Is4():
		return nil, fmt.Errorf("outer addresses %v and %v: want IPv4", c.Source, c.Target)
	}
	i, err := net.InterfaceByName(c.Interface)
	if err != nil {
		return nil, fmt.Errorf("interface %s: %w", c.Interface, err)
	}
	counter, err := bpf(unix.BPF_MAP_CREATE, &mapAttr{kind: unix.BPF_MAP_TYPE_ARRAY, keySize: 4, valueSize: 8, entries: 1})
	if err != nil {
		return nil, fmt.Errorf("create the counter: %w; run as root", err)
	}
	loaded, err := load(unix.BPF_PROG_TYPE_XDP, program(counter, i.Index, int32(c.Flows), int32(c.Size-packet.EthernetLen-40)))
	if err != nil {
		unix.Close(counter)
		return nil, err
	}
	link, err := attach(loaded, i.Index, genericMode)
	if err != nil {
		unix.Close(counter)
		unix.Close(loaded)
		return nil, err
	}
	return &Sender{template(&c), counter, loaded, link}, nil
}

// Send makes n frames, in the calling thread, which must be in the namespace of
// the interface, and returns when all are made. Each is queued at the other end,
// or counted as dropped by its statistics: the receiving interface's rx_packets
// and rx_dropped add up to Sent. A call has a cost of its own, of the order of
// ten frames. An interruption by a signal is no error: Sent tells how many were
// made.
func (s *Sender) Send(n uint32) error {
	if n == 0 {
		return nil
	}
	_, err := bpf(unix.BPF_PROG_TEST_RUN, &runAttr{
		fd: uint32(s.program), size: uint32(len(s.frame)), data: unsafe.Pointer(&s.frame[0]),
		repeat: n, flags: unix.BPF_F_TEST_XDP_LIVE_FRAMES, batch: min(batch, n),
	})
	runtime.KeepAlive(s)
	if err != nil && !errors.Is(err, unix.EINTR) {
		return fmt.Errorf("send %d frames of %d bytes: %w", n, len(s.frame), err)
	}
	return nil
}

// Sent returns how many frames were made so far.
func (s *Sender) Sent() (uint64, error) {
	var key uint32
	var sent uint64
	_, err := bpf(unix.BPF_MAP_LOOKUP_ELEM, &elemAttr{fd: uint32(s.counter), key: unsafe.Pointer(&key), value: unsafe.Pointer(&sent)})
	if err != nil {
		return 0, fmt.Errorf("read the counter: %w", err)
	}
	return sent, nil
}

// Close releases what the sender holds in the kernel.
func (s *Sender) Close() error {
	return errors.Join(unix.Close(s.link), unix.Close(s.program), unix.Close(s.counter))
}
