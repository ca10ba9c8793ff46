package pipeline

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/bits"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/periscope-collector/periscope/capture"
	"github.com/periscope-collector/periscope/decode"
	"github.com/periscope-collector/periscope/internal/config"
	"github.com/periscope-collector/periscope/internal/nic"
	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/tunnel"
)

// The backends, as configuration and log call them.
const (
	backendAuto     = "auto"
	backendUDP      = "udp"
	backendAFPacket = "afpacket"
	backendXDP      = "xdp"
)

// rings is what the backends that take an interface over have in common.
type rings interface {
	Sources() []capture.Source
	Lost() uint64
	Stop()
	Close() error
}

// A KeyError says that the machine has not what a key of the configuration asks
// for.
type KeyError struct {
	Key string
	error
}

// Error names the key first.
func (e *KeyError) Error() string { return e.Key + ": " + e.error.Error() }

// Unwrap returns what is wrong.
func (e *KeyError) Unwrap() error { return e.error }

// A DeniedError says that the process may not have the backend that the
// configuration names, which no other attempt would change.
type DeniedError struct{ error }

// Unwrap returns what is wrong.
func (e *DeniedError) Unwrap() error { return e.error }

// denials are what the kernel answers who lacks a capability, who may not use an
// address family, and who may not lock as much memory.
var denials = []error{fs.ErrPermission, unix.EAFNOSUPPORT, unix.ENOBUFS}

// openRings opens the rings that the configuration asks for. With auto it opens
// those of afpacket where it can, and where not says why.
func (in *inputs) openRings(cfg *config.Capture, log *slog.Logger) error {
	if cfg.Backend == backendUDP {
		return nil
	}
	backend, open := backendAFPacket, in.openAFPacket
	if cfg.Backend == backendXDP {
		backend, open = backendXDP, in.openXDP
	}
	in.index = nic.Index(in.iface)
	err := in.suits(cfg)
	if err == nil {
		err = open(cfg, log)
	}
	switch {
	case err == nil:
		in.backend = backend
		log.Info(fmt.Sprintf("backend %s on %s", backend, in.iface))
	case cfg.Backend != backendAuto && slices.ContainsFunc(denials, func(d error) bool { return errors.Is(err, d) }):
		return &DeniedError{err}
	case cfg.Backend != backendAuto:
		return err
	default:
		log.Info("backend udp: " + err.Error())
	}
	return nil
}

// suits returns why a ring cannot take over the interface.
func (in *inputs) suits(cfg *config.Capture) error {
	if key, address := cfg.Single(); key != "" { // which config refuses but for auto
		return &KeyError{key, fmt.Errorf("%q is a single address, and a packet ring takes a port whatever the address", address)}
	}
	if in.iface == "" {
		return &KeyError{"capture.interface", errors.New("there is no default route to take the interface of; name one")}
	}
	if master := nic.Master(in.iface); master != "" {
		return &KeyError{"capture.interface", fmt.Errorf("%s is a port of %s; name that", in.iface, master)}
	}
	return nil
}

func (in *inputs) openAFPacket(cfg *config.Capture, log *slog.Logger) error {
	a, err := capture.ListenAFPacket(capture.AFPacketConfig{
		Interface: in.iface,
		VXLAN:     ports(cfg.Listen),
		GENEVE:    ports(cfg.Geneve),
		Workers:   cfg.Workers,
		RingBytes: int(cfg.Ring),
		Log:       log,
	})
	if err != nil {
		return err
	}
	in.rings = a
	if !a.Drops() {
		in.except = append([]string{in.iface}, nic.VLANs(in.iface)...)
	}
	return nil
}

func (in *inputs) openXDP(cfg *config.Capture, log *slog.Logger) error {
	const frame = 4 << 10
	x, err := capture.ListenXDP(capture.XDPConfig{
		Interface: in.iface,
		VXLAN:     ports(cfg.Listen),
		GENEVE:    ports(cfg.Geneve),
		Workers:   cfg.Workers,
		Frames:    1 << (bits.Len64(uint64(cfg.Ring)/frame) - 1), // a power of two, in no more memory
		Owner:     owner(cfg.Workers),
		Log:       log,
	})
	if err != nil {
		return err
	}
	in.rings = x
	return nil
}

// maxOptions is the length of the longest GENEVE options, in bytes.
const maxOptions = 63 * 4

// owner returns what says which worker a datagram belongs to, as the kernel does
// where it can choose.
func owner(workers int) func(*packet.Datagram) int {
	return func(d *packet.Datagram) (worker int) {
		// What panics here does so again where that is counted.
		defer func() {
			if recover() != nil {
				worker = 0
			}
		}()
		// Opening writes an Ethernet header in front of a bare IP packet, over
		// the end of the GENEVE header, which is needed once more.
		var header [packet.EthernetLen + tunnel.GENEVELen + maxOptions]byte
		n := 0
		if d.Encap == packet.GENEVE && d.Reason == packet.None {
			n = copy(header[:], d.Buf[d.Off-packet.EthernetLen:])
		}
		var f packet.Frame
		open(d, &f)
		hash := decode.FlowHash(f.Data)
		copy(d.Buf[max(d.Off-packet.EthernetLen, 0):], header[:n])
		return int(hash % uint32(workers))
	}
}
