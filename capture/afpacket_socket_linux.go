package capture

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net"

	"golang.org/x/sys/unix"

	"github.com/periscope-collector/periscope/internal/cbpf"
	"github.com/periscope-collector/periscope/internal/tpacket"
	"github.com/periscope-collector/periscope/packet"
)

const defaultRing = 64 << 20

// open opens the sockets. None takes anything before all are one group, since a
// socket without its group gets every packet.
func (a *AFPacket) open(device *net.Interface, ports tunnelPorts, cfg AFPacketConfig) error {
	workers := max(cfg.Workers, 1)
	group, err := 0, error(nil)
	for i := range workers {
		log := cfg.Log
		if i > 0 { // what happens to the interface is said once
			log = slog.New(slog.DiscardHandler)
		}
		r, err := tpacket.Open(device, tpacket.Config{Block: blockLen, Bytes: cmp.Or(cfg.RingBytes, defaultRing), Wait: blockWait})
		if errors.Is(err, tpacket.ErrNotEthernet) {
			return fmt.Errorf("%w: use the UDP sockets", err)
		}
		if err != nil {
			return err
		}
		s := &ringSource{ring: r, name: device.Name, ports: ports, log: log, batch: packet.NewBatch(batchLen)}
		a.sources = append(a.sources, s)
		if workers == 1 {
			break
		}
		if group, err = s.join(group, i == 0); err != nil {
			return fmt.Errorf("join the group of rings: %w", err)
		}
	}
	if workers > 1 {
		if err := a.steer(ports); err != nil {
			return fmt.Errorf("steer by the inner flow: %w", err)
		}
	}
	if !cfg.leave {
		if a.drop, err = dropBehind(device.Index, ports); err != nil {
			cfg.Log.Info("what the packet rings take goes on to the IP stack: no program that drops it there",
				"interface", device.Name, "error", permission("program", err))
		}
	}
	filter, err := ringFilter(ports, a.Drops())
	if err != nil {
		return err
	}
	for _, s := range a.sources {
		if err := s.ring.SetFilter(filter); err != nil {
			return fmt.Errorf("filter: %w", err)
		}
	}
	return nil
}

func (a *AFPacket) steer(ports tunnelPorts) error {
	program, err := ringSteering(ports, len(a.sources))
	if err != nil {
		return err
	}
	prog, err := cbpf.ForKernel(program)
	if err != nil {
		return err
	}
	return unix.SetsockoptSockFprog(a.sources[0].ring.FD(), unix.SOL_PACKET, unix.PACKET_FANOUT_DATA, prog)
}

// join makes the socket one of a group, a new one if it is the first, and
// returns the group's number.
func (s *ringSource) join(group int, first bool) (int, error) {
	kind := unix.PACKET_FANOUT_CBPF | unix.PACKET_FANOUT_FLAG_IGNORE_OUTGOING
	if first {
		kind |= unix.PACKET_FANOUT_FLAG_UNIQUEID
	}
	if err := unix.SetsockoptInt(s.ring.FD(), unix.SOL_PACKET, unix.PACKET_FANOUT, group|kind<<16); err != nil {
		return 0, err
	}
	group, err := unix.GetsockoptInt(s.ring.FD(), unix.SOL_PACKET, unix.PACKET_FANOUT)
	return group & 0xffff, err
}
