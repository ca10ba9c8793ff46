package pipeline

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"time"

	"github.com/periscope-collector/periscope/capture"
	"github.com/periscope-collector/periscope/decode"
	"github.com/periscope-collector/periscope/internal/config"
	"github.com/periscope-collector/periscope/internal/nic"
)

// The backends, as configuration and log call them.
const (
	backendAuto     = "auto"
	backendUDP      = "udp"
	backendAFPacket = "afpacket"
)

// inputs are what datagrams come in by: the UDP sockets, which are always there,
// and the rings of one interface where the backend has them.
//
// The rings open before the sockets, and the sockets are bound with the order to
// leave the interface to them. So what comes in by the interface is taken by the
// rings from when they are there, what comes in by others by the sockets from
// when they are, and nothing by both.
type inputs struct {
	backend string
	iface   string // that of the rings, else the one whose losses count; may be ""

	udp   *capture.UDP
	rings rings         // nil with udp
	nic   *nic.Counters // nil without an interface
}

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

func openInputs(cfg *config.Capture, log *slog.Logger) (*inputs, error) {
	in := &inputs{backend: backendUDP, iface: cfg.Interface}
	var routeErr error
	if in.iface == "" {
		in.iface, routeErr = nic.DefaultRoute()
	}
	if err := in.openRings(cfg, routeErr, log); err != nil {
		return nil, err
	}
	var err error
	in.udp, err = capture.ListenUDP(capture.UDPConfig{
		VXLAN:         listen(cfg.Listen),
		GENEVE:        listen(cfg.Geneve),
		Workers:       cfg.Workers,
		ReceiveBuffer: int(cfg.ReceiveBuffer),
		Except:        in.except(),
		Log:           log,
	})
	if err != nil {
		in.close()
		return nil, err
	}
	if in.iface != "" && in.fromOutside() {
		in.nic = nic.Watch(in.iface)
	}
	return in, nil
}

// openRings opens the rings that the configuration asks for. With auto it opens
// those of afpacket where it can, and where not says why.
func (in *inputs) openRings(cfg *config.Capture, routeErr error, log *slog.Logger) error {
	if cfg.Backend == backendUDP {
		return nil
	}
	if cfg.Backend == "xdp" {
		return &KeyError{"capture.backend", errors.New("xdp is not available in this version; use auto, afpacket or udp")}
	}
	err := in.suits(cfg, routeErr)
	if err == nil {
		err = in.openAFPacket(cfg, log)
	}
	switch {
	case err == nil:
		in.backend = backendAFPacket
		log.Info(fmt.Sprintf("backend %s on %s", in.backend, in.iface))
	case cfg.Backend == backendAuto:
		log.Info("backend udp: " + err.Error())
	default:
		return err
	}
	return nil
}

// suits returns why a ring cannot take over the interface.
func (in *inputs) suits(cfg *config.Capture, routeErr error) error {
	if key, address := cfg.Single(); key != "" { // which config refuses but for auto
		return &KeyError{key, fmt.Errorf("%q is a single address, and a packet ring takes a port whatever the address", address)}
	}
	if in.iface == "" {
		return &KeyError{"capture.interface", errors.Join(errors.New("there is no default route to take the interface of; name one"), routeErr)}
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
	if errors.Is(err, capture.ErrNoInterface) {
		return &KeyError{"capture.interface", err}
	}
	if err != nil {
		return err
	}
	in.rings = a
	return nil
}

// except returns the interfaces that the sockets leave to the rings: that of the
// rings, and VLANs on top of it, whose datagrams pass through it.
func (in *inputs) except() []string {
	if in.rings == nil {
		return nil
	}
	return append([]string{in.iface}, nic.VLANs(in.iface)...)
}

// fromOutside says whether anything can come in by an interface: not if every
// address is of the loopback.
func (in *inputs) fromOutside() bool {
	return slices.ContainsFunc(in.udp.Groups(), func(g capture.Group) bool { return !g.Address.Addr().IsLoopback() })
}

// sources returns one source a worker.
func (in *inputs) sources() (list []decode.Source) {
	sources := in.udp.Sources()
	if in.rings != nil {
		sources = capture.Both(in.rings.Sources(), in.udp)
	}
	for _, s := range sources {
		list = append(list, s)
	}
	return list
}

// loss returns what was lost in front of the interface and at it, since the
// start.
func (in *inputs) loss() nic.Loss {
	if in.nic == nil {
		return nic.Loss{}
	}
	return in.nic.Loss(time.Now())
}

func (in *inputs) lost() Lost {
	l := Lost{Socket: in.udp.Lost(), NIC: in.loss().Packets}
	if in.rings != nil {
		l.Ring = in.rings.Lost()
	}
	return l
}

func (in *inputs) stop() {
	if in.rings != nil {
		in.rings.Stop()
	}
	in.udp.Stop()
}

func (in *inputs) close() error {
	var err error
	if in.rings != nil {
		err = in.rings.Close()
	}
	if in.udp != nil {
		err = errors.Join(err, in.udp.Close())
	}
	return err
}

// listen reads addresses that config has validated.
func listen(addresses []string) []netip.AddrPort {
	var list []netip.AddrPort
	for _, address := range addresses {
		if a, err := config.ParseListen(address); err == nil {
			list = append(list, a)
		}
	}
	return list
}

// ports returns the ports of addresses.
func ports(addresses []string) (list []uint16) {
	for _, a := range listen(addresses) {
		list = append(list, a.Port())
	}
	slices.Sort(list)
	return slices.Compact(list)
}
