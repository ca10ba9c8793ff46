package live

import (
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/periscope-collector/periscope/bench/traffic"
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

const (
	// MaxSize is the longest inner frame, in bytes.
	MaxSize = int(traffic.MaxSize)

	// MaxLive is the longest that is sent as a live frame, in bytes. Such a frame
	// must fit a page of 4,096 bytes, together with headroom, the kernel's notes
	// and the end of a socket buffer; the kernel refuses more than one page.
	// Linux 6.18 takes 3,358. Longer ones are sent as socket buffers.
	MaxLive = 3300
)

// A Sender sends one kind of traffic. Frames are numbered from 0 on, over all
// calls of Send.
type Sender struct {
	run  ebpf.RunOptions // of a call
	most uint32          // frames of a call

	// The program of live frames is attached to the interface, where it passes
	// everything, because the kernel otherwise makes and unmakes a trampoline for
	// it in every call, and waits some 10 ms for all processors to leave it.
	counter *ebpf.Map
	program *ebpf.Program
	link    link.Link // nil with socket buffers
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
	s := &Sender{run: ebpf.RunOptions{Data: template(&c)}}
	if err := s.open(&c, i.Index); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func (s *Sender) open(c *Config, ifindex int) (err error) {
	s.counter, err = ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 1})
	if err != nil {
		return fmt.Errorf("create the counter: %w; run as root", err)
	}
	write := write(s.counter.FD(), int32(c.Flows), int32(c.Size-packet.EthernetLen-40))
	if c.Size > MaxLive {
		s.program, err = load(ebpf.SchedCLS, skbProgram(int32(ifindex), int32(len(s.run.Data)), write))
		s.run.Data = s.run.Data[:MaxLive] // the rest is zero
		s.most = batch                    // nothing is received in between
		return err
	}
	s.run.Flags, s.run.BatchSize = unix.BPF_F_TEST_XDP_LIVE_FRAMES, batch
	s.most = math.MaxInt32
	if s.program, err = load(ebpf.XDP, xdpProgram(int32(ifindex), write)); err != nil {
		return err
	}
	s.link, err = link.AttachXDP(link.XDPOptions{Program: s.program, Interface: ifindex, Flags: link.XDPGenericMode})
	return err
}

// load has the kernel verify a program.
func load(kind ebpf.ProgramType, p asm.Instructions) (*ebpf.Program, error) {
	spec := ebpf.ProgramSpec{Type: kind, License: "GPL", Instructions: p}
	if kind == ebpf.XDP {
		spec.Flags = unix.BPF_F_XDP_HAS_FRAGS
	}
	program, err := ebpf.NewProgram(&spec)
	if errors.Is(err, unix.EPERM) {
		return nil, errors.New("load the program: run as root")
	}
	return program, err
}

// Send makes n frames, in the calling thread, which must be in the namespace of
// the interface, and returns when all are made. Each is queued at the other end
// or dropped: rx_packets of the receiving interface and tx_dropped of the
// sending one add up to Sent. It makes more after an interruption by a signal:
// Sent tells how many were made.
func (s *Sender) Send(n uint32) error {
	for n > 0 {
		s.run.Repeat = min(n, s.most)
		if _, err := s.program.Run(&s.run); err != nil {
			return fmt.Errorf("send frames: %w", err)
		}
		n -= s.run.Repeat
	}
	return nil
}

// Sent returns how many frames were made so far.
func (s *Sender) Sent() (sent uint64, err error) {
	if err := s.counter.Lookup(uint32(0), &sent); err != nil {
		return 0, fmt.Errorf("read the counter: %w", err)
	}
	return sent, nil
}

// Close releases what the sender holds in the kernel.
func (s *Sender) Close() error {
	var err error
	if s.link != nil {
		err = s.link.Close()
	}
	return errors.Join(err, s.program.Close(), s.counter.Close())
}
