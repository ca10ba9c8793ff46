package capture

import (
	"errors"
	"fmt"
	"log/slog"
	"math/bits"
	"slices"

	"github.com/cilium/ebpf"
	ebpflink "github.com/cilium/ebpf/link"

	"github.com/periscope-collector/periscope/internal/tpacket"
	"github.com/periscope-collector/periscope/packet"
)

// An XDPConfig says which interface to take datagrams from, and how.
type XDPConfig struct {
	// Interface is the name of an Ethernet interface, or lo.
	Interface string

	// VXLAN and GENEVE are the UDP ports taken for tunnels, 1 to 65535.
	VXLAN, GENEVE []uint16

	// Workers is the number of sources. Receive queue q of the interface is
	// read by source q modulo Workers. At least 1.
	Workers int

	// Frames is how many packets a queue can hold, a power of two; a packet
	// that needs several buffers of 4 KiB counts as many. 0 means 16384: 64 MiB
	// of memory a queue, locked, which ride out a stall of 16 ms at 1 Mpps.
	Frames int

	// Owner says which worker, 0 to Workers-1, a datagram belongs to; it keeps
	// nothing of it. Sources call it at the same time. It may be nil only if
	// Workers is 1.
	Owner func(*packet.Datagram) int

	// Log gets what was opened, and what is missing. It must not be nil.
	Log *slog.Logger
}

const defaultFrames = 16384

// XDP is a set of AF_XDP sockets, one for each receive queue of an interface,
// and the program in the driver that redirects datagrams to them
// (Documentation/networking/af_xdp.rst). It needs CAP_NET_ADMIN, CAP_NET_RAW and
// CAP_BPF.
//
// The program takes UDP datagrams to the tunnel ports, over IPv4, over IPv6
// without extension headers, behind at most two VLAN tags, that come to the
// interface's hardware address or to a group. Checksums are not verified, the
// addresses do not enter. What it takes does not reach the IP stack. All else
// passes: fragments too, the first one as well, which the stack puts together
// for the UDP sockets. It goes with the process, however that ends; an interface
// that has a program already is left alone.
//
// Hardware chooses the queue by the outer headers, so a worker hands datagrams
// of other workers' flows over to them: descriptors, not bytes, in rings of two
// ends, and the buffers come back the same way. The order within a flow is kept.
// All others together may hold half as many buffers of a worker as a queue has,
// each an equal share rounded down to a power of two; what is beyond is lent by
// the one that read it, as packet.QueueFull. For that a worker needs at most
// 1/200 of the memory of a queue.
//
// The time is the kernel's clock as the program wrote it in front of the packet;
// from drivers that keep no room for that, when the batch was taken, which the
// log then says once.
type XDP struct {
	sources []*xdpSource
	queues  []*xdpQueue
	sockets *ebpf.Map     // of queues, for the program
	program ebpflink.Link // the program is attached as long as this is open
}

// ListenXDP opens the sockets and attaches the program: in the driver where it
// can, else in front of the IP stack. Attaching resets some drivers: the
// interface may be without a carrier for a moment. Without the right to, the
// error is fs.ErrPermission, for an interface that is not there ErrNoInterface.
func ListenXDP(cfg XDPConfig) (*XDP, error) {
	ports := tunnelPorts{slices.Clone(cfg.VXLAN), slices.Clone(cfg.GENEVE)}
	if cfg.Frames == 0 {
		cfg.Frames = defaultFrames
	}
	cfg.Workers = max(cfg.Workers, 1)
	switch {
	case len(ports.vxlan)+len(ports.geneve) == 0:
		return nil, errors.New("capture: xdp: no tunnel port: name at least one")
	case cfg.Frames < 2*batchLen || bits.OnesCount(uint(cfg.Frames)) != 1:
		return nil, fmt.Errorf("capture: xdp: %d frames a queue: want a power of two from %d on", cfg.Frames, 2*batchLen)
	case cfg.Owner == nil && cfg.Workers > 1:
		return nil, errors.New("capture: xdp: several workers, and nothing that says which a datagram belongs to")
	}
	device, err := tpacket.Device(cfg.Interface)
	if err != nil {
		return nil, fmt.Errorf("capture: xdp: interface %q: %w; see \"ip link\"", cfg.Interface, err)
	}
	x := &XDP{}
	if err := x.open(device, ports, cfg); err != nil {
		x.Close()
		return nil, fmt.Errorf("capture: xdp on %s: %w", cfg.Interface, err)
	}
	return x, nil
}

// Sources returns one source a worker. Each lends one batch at a time and is
// for one goroutine. It ends with io.EOF after Stop, when the others have read
// their queues empty too.
func (x *XDP) Sources() []Source {
	sources := make([]Source, len(x.sources))
	for i, s := range x.sources {
		sources[i] = s
	}
	return sources
}

// Lost returns the datagrams that the kernel dropped at the sockets: rx_dropped,
// for want of a free buffer or because a packet was too long for one, and
// rx_ring_full, of XDP_STATISTICS; after Close also what was handed over and not
// lent, since a source failed. Where the driver writes to the buffers itself
// (zero-copy), it drops and counts for want of a buffer, not the sockets. Sources
// that are read bring Lost up to date once a second, and when they end. Any
// goroutine may call it.
func (x *XDP) Lost() uint64 {
	var n uint64
	for _, q := range x.queues {
		n += q.lost.Load()
	}
	return n
}

// Stop makes every source read what its queues hold, and then end, about 10 ms
// later. What comes from then on passes to the IP stack.
func (x *XDP) Stop() {
	for _, s := range x.sources {
		s.stop.Store(true)
	}
}

// Close detaches the program, gives the buffers back to the kernel and closes
// the sockets. No source may be in use, nor any batch of it.
func (x *XDP) Close() error {
	var err error
	if x.program != nil {
		err = x.program.Close()
		x.program = nil
	}
	for _, q := range x.queues {
		err = errors.Join(err, q.close())
	}
	for _, s := range x.sources {
		err = errors.Join(err, s.close())
	}
	if x.sockets != nil {
		err = errors.Join(err, x.sockets.Close())
		x.sockets = nil
	}
	return err
}
