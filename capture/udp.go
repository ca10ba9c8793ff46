package capture

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/tunnel"
)

// A UDPConfig says where to listen.
type UDPConfig struct {
	// VXLAN and GENEVE are the addresses to listen on. The unspecified IPv6
	// address means all addresses of both families.
	VXLAN, GENEVE []netip.AddrPort

	// Workers is the number of sources, each with a socket of its own on every
	// address. At least 1.
	Workers int

	// ReceiveBuffer is the size asked for each socket's kernel buffer, in
	// bytes. 64 MiB ride out a stall of 0.5 s at 1 Gbit/s. The kernel takes
	// memory only for what is queued.
	ReceiveBuffer int

	// Except names interfaces of which something else takes the datagrams, such
	// as AFPacket. They are refused, and not counted as lost.
	Except []string

	// Log gets what the kernel granted. It must not be nil.
	Log *slog.Logger
}

// UDP is a set of sockets on the tunnel ports, one a worker and address.
// The kernel chooses the worker by a symmetric hash of the inner flow.
type UDP struct {
	sources []*udpSource
	groups  []Group
	refuse  []int // sockets that take what UDPConfig.Except names, and drop it
}

// A Group describes the sockets on one address.
type Group struct {
	Address netip.AddrPort
	Encap   packet.Encap

	// Sockets is their number: one a worker.
	Sockets int

	// Asked and Granted are bytes of receive buffer a socket.
	Asked, Granted int

	// Steered says that the kernel chooses the socket by the inner flow; else
	// by the outer addresses and ports, which splits Amazon DNS.
	Steered bool
}

// ErrInUse means that another process owns a tunnel port.
var ErrInUse = errors.New("address already in use")

// ListenUDP opens the sockets. It refuses an address that another process
// listens on, with an error that is ErrInUse, since with SO_REUSEPORT the
// kernel would silently split the traffic.
func ListenUDP(cfg UDPConfig) (*UDP, error) {
	u := &UDP{}
	for range max(cfg.Workers, 1) {
		u.sources = append(u.sources, newUDPSource())
	}
	for _, list := range []struct {
		encap     packet.Encap
		port      int
		addresses []netip.AddrPort
	}{{packet.VXLAN, tunnel.VXLANPort, cfg.VXLAN}, {packet.GENEVE, tunnel.GENEVEPort, cfg.GENEVE}} {
		for _, address := range list.addresses {
			group, err := u.listen(address, list.encap, list.port, cfg)
			if err != nil {
				u.Close()
				return nil, err
			}
			group.report(cfg.Log)
			u.groups = append(u.groups, group)
		}
	}
	for _, s := range u.sources {
		s.ready()
	}
	return u, nil
}

// Sources returns one source a worker. Each lends one batch at a time and is
// for one goroutine; it ends with io.EOF after Stop.
func (u *UDP) Sources() []Source {
	sources := make([]Source, len(u.sources))
	for i, s := range u.sources {
		sources[i] = s
	}
	return sources
}

// Groups describes the sockets, in the order of the configuration.
func (u *UDP) Groups() []Group { return u.groups }

// Lost returns the datagrams that the kernel dropped because a socket's buffer
// was full. Any goroutine may call it.
func (u *UDP) Lost() uint64 {
	var n uint64
	for _, s := range u.sources {
		for _, sock := range s.sockets {
			n += sock.lost.Load()
		}
	}
	return n
}

// Stop makes every source read what its sockets hold, and then end.
func (u *UDP) Stop() {
	for _, s := range u.sources {
		s.stop.Store(true)
	}
}

// Close closes the sockets that are still open: a source that ended has closed
// its own. No source may be in use.
func (u *UDP) Close() error {
	var err error
	for _, s := range u.sources {
		err = errors.Join(err, s.close())
	}
	for _, fd := range u.refuse {
		err = errors.Join(err, unix.Close(fd))
	}
	u.refuse = nil
	return err
}

func (g Group) report(log *slog.Logger) {
	attrs := []slog.Attr{
		slog.String("address", g.Address.String()),
		slog.Int("receive_buffer_bytes", g.Granted),
	}
	if g.Sockets > 1 {
		attrs = append(attrs, slog.Bool("steered_by_inner_flow", g.Steered))
	}
	level, text := slog.LevelInfo, "listening"
	if g.Sockets > 1 && !g.Steered {
		level = slog.LevelWarn
		text = "listening, but the kernel does not steer by the inner flow: both directions of Amazon DNS may reach different workers"
	}
	if g.Granted < g.Asked {
		level = slog.LevelWarn
		text = "listening, but the kernel capped the receive buffer; raise it with: sysctl -w net.core.rmem_max=" + strconv.Itoa(g.Asked)
		attrs = append(attrs, slog.Int("asked_bytes", g.Asked))
	}
	log.LogAttrs(context.Background(), level, text, attrs...)
}

// A udpSource is one worker's sockets and the memory its datagrams land in.
//
// The memory is BatchLen slots of 9,232 bytes: 0.6 MiB a worker.
type udpSource struct {
	sockets []*udpSocket
	polls   []pollFD
	batch   *packet.Batch
	lent    bool
	slab    []byte

	turn  int  // the socket to ask next
	busy  bool // the last batch was not empty
	stay  int  // batches left before another socket gets its turn
	stop  atomic.Bool
	shut  bool // the sockets take nothing more
	ended bool
}

const (
	batchLen = 64

	// stayBatches bounds how long a busy socket keeps the others waiting.
	stayBatches = 16

	// idleWait bounds how long Next waits, and so how stale an idle worker's
	// mark can get.
	idleWait = 25 * time.Millisecond
)
