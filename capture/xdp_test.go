package capture

import (
	"bytes"
	"encoding/binary"
	"log/slog"
	"os"
	"testing"

	"github.com/periscope-collector/periscope/tunnel"
)

// xdp opens sockets on far.
func (w *wire) xdp(cfg XDPConfig) *XDP {
	w.t.Helper()
	cfg.Interface = "far"
	if cfg.VXLAN == nil {
		cfg.VXLAN, cfg.GENEVE = []uint16{tunnel.VXLANPort}, []uint16{tunnel.GENEVEPort}
	}
	cfg.Workers = max(cfg.Workers, 1)
	if cfg.Frames == 0 {
		cfg.Frames = 2048
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	x, err := ListenXDP(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		if err := x.Close(); err != nil {
			w.t.Error(err)
		}
	})
	return x
}

// Datagrams of all sizes come whole and in order.
func TestXDPKeepsDatagramsWhole(t *testing.T) {
	w := newWire(t)
	s := w.xdp(XDPConfig{}).Sources()[0]
	n := uint32(0)
	for size := 4; size < 8973; size += 37 {
		payload := bytes.Repeat([]byte{byte(size)}, size)
		binary.BigEndian.PutUint32(payload, n)
		w.send(outerFrame(tunnel.VXLANPort, payload))
		d := collect(t, s, 1)[0]
		if !bytes.Equal(d.payload, payload) || d.Length != size {
			t.Fatalf("datagram of %d bytes: %d came, real length %d", size, len(d.payload), d.Length)
		}
		n++
	}
}
