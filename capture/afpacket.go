package capture

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"

	ebpflink "github.com/cilium/ebpf/link"

	"github.com/periscope-collector/periscope/internal/tpacket"
)

// An AFPacketConfig says which interface to take datagrams from, and how.
type AFPacketConfig struct {
	// Interface is the name of an Ethernet interface, or lo.
	Interface string

	// VXLAN and GENEVE are the UDP ports taken for tunnels, 1 to 65535.
	VXLAN, GENEVE []uint16

	// Workers is the number of sources, each with a socket and a ring of its
	// own. At least 1.
	Workers int

	// RingBytes is the size of one ring, rounded down to blocks of 1 MiB, at
	// least 2 MiB. 0 means 64 MiB. All rings together are kernel memory that
	// is taken at once and never paged out.
	//
	// 64 MiB ride out a stall of 0.5 s at 1 Gbit/s. However little comes, a
	// block is handed over 20 to 60 ms after its first packet, so that 64
	// blocks ride out no stall longer than about 1.3 s.
	RingBytes int

	// Log gets what was opened, and when the interface goes down. It must not
	// be nil.
	Log *slog.Logger

	leave bool // what the rings take to the IP stack as well, as where no program may be attached
}

// AFPacket is a set of packet sockets on one interface, each with a
// TPACKET_V3 ring that the kernel writes and a source reads in place
// (Documentation/networking/packet_mmap.rst). It needs CAP_NET_RAW.
//
// The kernel chooses the ring by the symmetric hash of the inner flow that it
// chooses UDP sockets by. It takes UDP datagrams to the tunnel ports, over
// IPv4 and IPv6 and behind VLAN tags, that arrive on the interface and are not
// meant for another host; not those sent through it. The addresses they go to
// do not enter, checksums are not verified.
//
// The rings see packets before the IP stack does. Where it is permitted (Linux
// 6.6, CAP_NET_ADMIN and CAP_BPF), a program behind them drops what they have
// taken; it goes with the process, however that ends. The rings then leave
// fragments alone, and what has IPv6 extension headers or more tags than the
// program knows: the IP stack has them as ever, and the UDP sockets get what it
// puts together.
//
// Elsewhere UDP sockets on the tunnel ports get the same datagrams, once more.
// What has no socket is answered with ICMP port unreachable, so sockets have to
// be there. The first fragment of a datagram, the only one with a port, is
// handed over as packet.OuterFragment, so each datagram that is lost to
// fragmentation counts once. They are not left to the UDP sockets, where nothing
// tells a datagram that came whole from one put together.
type AFPacket struct {
	sources []*ringSource
	drop    ebpflink.Link // the program behind the rings, as long as this is open; nil without
}

// ErrNoInterface means that there is no interface of a name.
var ErrNoInterface = tpacket.ErrNoInterface

// ListenAFPacket opens the sockets. Without the right to, the error is
// fs.ErrPermission, for an interface that is not there ErrNoInterface.
func ListenAFPacket(cfg AFPacketConfig) (*AFPacket, error) {
	ports := tunnelPorts{slices.Clone(cfg.VXLAN), slices.Clone(cfg.GENEVE)}
	if len(ports.vxlan)+len(ports.geneve) == 0 {
		return nil, errors.New("capture: packet ring: no tunnel port: name at least one")
	}
	device, err := tpacket.Device(cfg.Interface)
	if err != nil {
		return nil, fmt.Errorf("capture: packet ring: interface %q: %w; see \"ip link\"", cfg.Interface, err)
	}
	a := &AFPacket{}
	if err := a.open(device, ports, cfg); err != nil {
		a.Close()
		return nil, fmt.Errorf("capture: packet ring on %s: %w", cfg.Interface, err)
	}
	cfg.Log.Info("listening on packet rings", "interface", cfg.Interface,
		"rings", len(a.sources), "ring_bytes", a.sources[0].ring.Len(), "mtu", device.MTU, "dropped_behind", a.Drops())
	return a, nil
}

// Sources returns one source a worker. Each lends one batch at a time and is
// for one goroutine; it ends with io.EOF after Stop.
func (a *AFPacket) Sources() []Source {
	sources := make([]Source, len(a.sources))
	for i, s := range a.sources {
		sources[i] = s
	}
	return sources
}

// Drops reports whether the kernel drops behind the rings what they take, so that
// no UDP socket gets it.
func (a *AFPacket) Drops() bool { return a.drop != nil }

// Lost returns the datagrams that the kernel dropped because a ring was full.
// Sources that are read bring it up to date once a second, and when they end.
// Any goroutine may call it.
func (a *AFPacket) Lost() uint64 {
	var n uint64
	for _, s := range a.sources {
		n += s.lost.Load()
	}
	return n
}

// Stop makes every source read what its ring holds, and then end, about 0.1 s
// later.
func (a *AFPacket) Stop() {
	for _, s := range a.sources {
		s.stop.Store(true)
	}
}

// Close gives the rings back to the kernel, and closes the sockets. No source
// may be in use, nor any batch of it.
func (a *AFPacket) Close() error {
	var err error
	if a.drop != nil {
		err = a.drop.Close()
		a.drop = nil
	}
	for _, s := range a.sources {
		err = errors.Join(err, s.close())
	}
	return err
}
