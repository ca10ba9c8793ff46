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
	index   int    // of iface when the rings were opened

	udp   *capture.UDP
	rings rings         // nil with udp
	nic   *nic.Counters // nil without an interface

	// except are the interfaces that the sockets leave to the rings, where the
	// kernel gives what a ring has taken to sockets too: that of the rings, and
	// VLANs on top of it, whose datagrams pass through it.
	except []string
}

func openInputs(cfg *config.Capture, log *slog.Logger) (*inputs, error) {
	in := &inputs{backend: backendUDP}
	if name := cfg.Interface; name != "" && nic.Index(name) == 0 {
		return nil, &KeyError{"capture.interface", fmt.Errorf("%q: %w; see \"ip link\"", name, capture.ErrNoInterface)}
	}
	var err error
	in.iface, err = interfaceOf(cfg)
	if err != nil {
		log.Warn("the default route cannot be read", "error", err)
	}
	if err := in.openRings(cfg, log); err != nil {
		return nil, err
	}
	in.udp, err = capture.ListenUDP(capture.UDPConfig{
		VXLAN:         listen(cfg.Listen),
		GENEVE:        listen(cfg.Geneve),
		Workers:       cfg.Workers,
		ReceiveBuffer: int(cfg.ReceiveBuffer),
		Except:        in.except,
		Log:           log,
	})
	if err != nil {
		in.close()
		return nil, err
	}
	if in.iface != "" && in.fromOutside() {
		in.nic = nic.Watch(in.iface, in.backend == backendXDP)
	}
	return in, nil
}

// interfaceOf returns the configured interface, or that of the default route, or
// "" where there is none.
func interfaceOf(cfg *config.Capture) (string, error) {
	if cfg.Interface != "" {
		return cfg.Interface, nil
	}
	return nic.DefaultRoute()
}

// liveWorkers returns the number of workers. With xdp it is not more than the
// interface has receive queues, unless configured: the others would get nothing
// but what is handed over to them.
func liveWorkers(cfg *config.Capture) int {
	n := workers(cfg.Workers)
	if cfg.Workers == 0 && cfg.Backend == backendXDP {
		name, _ := interfaceOf(cfg) // openInputs says what is wrong
		n = min(n, capture.ReceiveQueues(name))
	}
	return n
}

// fromOutside says whether anything can come in by an interface: not if every
// address is of the loopback.
func (in *inputs) fromOutside() bool {
	return slices.ContainsFunc(in.udp.Groups(), func(g capture.Group) bool { return !g.Address.Addr().IsLoopback() })
}

// taking returns the backend that datagrams are taken with now: when the
// interface of the rings has gone, only the sockets are left.
func (in *inputs) taking() string {
	if in.rings != nil && !nic.Present(in.index) {
		return backendUDP
	}
	return in.backend
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
