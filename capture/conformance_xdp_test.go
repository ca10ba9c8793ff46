package capture

import (
	"log/slog"

	"golang.org/x/net/bpf"

	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/tunnel"
)

// openXDP opens sockets on the one queue of the interface, whose worker hands
// over to the others.
func openXDP(w *segment, o options) device {
	cfg := XDPConfig{Interface: "far", Workers: o.workers, Frames: 4096, Owner: ownerOf(w, o.workers), Log: slog.New(slog.DiscardHandler),
		VXLAN: []uint16{tunnel.VXLANPort}, GENEVE: []uint16{tunnel.GENEVEPort}}
	if o.small {
		cfg.Frames = 2 * batchLen
	}
	x, err := ListenXDP(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	return x
}

// ownerOf chooses workers as the kernel does for other backends.
func ownerOf(w *segment, workers int) func(*packet.Datagram) int {
	var steering [2]*bpf.VM
	for encap, port := range map[packet.Encap]int{packet.VXLAN: tunnel.VXLANPort, packet.GENEVE: tunnel.GENEVEPort} {
		program, err := Steering(port, workers)
		if err != nil {
			w.t.Fatal(err)
		}
		if steering[encap], err = bpf.NewVM(program); err != nil {
			w.t.Fatal(err)
		}
	}
	return func(d *packet.Datagram) int {
		worker, err := steering[d.Encap].Run(d.Buf[d.Off:])
		if err != nil {
			w.t.Error(err)
		}
		return worker
	}
}
