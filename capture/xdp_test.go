package capture

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/periscope-collector/periscope/internal/lab"
	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/tunnel"
)

// newQueues is newWire with an MTU, and so many queues at each end.
func newQueues(t testing.TB, mtu, near, far int) *wire {
	t.Helper()
	lab.Need(t, "ip")
	runtime.LockOSThread() // for good: the thread ends with the test
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatal(err)
	}
	queues := func(n int) []string {
		return []string{"numrxqueues", fmt.Sprint(n), "numtxqueues", fmt.Sprint(n), "mtu", fmt.Sprint(mtu)}
	}
	args := append([]string{"link", "add", "name", "near"}, queues(near)...)
	args = append(args, "type", "veth", "peer", "name", "far", "address", net.HardwareAddr(farMAC()).String())
	ip(t, append(args, queues(far)...)...)
	ip(t, "link", "set", "near", "up")
	ip(t, "link", "set", "far", "up")
	lab.Eventually(t, "the wire is up", func() bool {
		out, err := exec.Command("ip", "link", "show", "up").Output()
		return err == nil && strings.Count(string(out), "state UP") == 2
	})
	return &wire{t, sender(t, "near"), sender(t, "far")}
}

// xdp opens sockets on far.
func (w *wire) xdp(cfg XDPConfig) *XDP {
	w.t.Helper()
	if cfg.Interface == "" {
		cfg.Interface = "far"
	}
	if cfg.VXLAN == nil {
		cfg.VXLAN, cfg.GENEVE = []uint16{tunnel.VXLANPort}, []uint16{tunnel.GENEVEPort}
	}
	if cfg.Frames == 0 {
		cfg.Frames = 2048
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
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

// Datagrams of all sizes come whole and in order, with the kernel's time, in the
// driver and in front of the IP stack, in one buffer or several.
func TestXDPKeepsDatagramsWhole(t *testing.T) {
	for _, tt := range []struct {
		name      string
		mtu, near int
		says      string
	}{
		{"native", 1500, 1, "mode=native"},
		{"native jumbo", 9100, 1, "multi_buffer=true"},
		{"generic", 3498, 2, "mode=generic"}, // far has fewer queues than near: it refuses the program
	} {
		t.Run(tt.name, func(t *testing.T) {
			var log bytes.Buffer
			w := newQueues(t, tt.mtu, tt.near, 1)
			x := w.xdp(XDPConfig{Log: slog.New(slog.NewTextHandler(&log, nil))})
			if !strings.Contains(log.String(), tt.says) {
				t.Fatalf("the log does not say %s: %s", tt.says, log.String())
			}
			s := x.Sources()[0]
			before := time.Now().UnixNano()
			last := before
			for size := 0; size <= tt.mtu-28; size += min(29, max(1, tt.mtu-28-size)) {
				payload := bytes.Repeat([]byte{byte(size), byte(size >> 8), 3}, size/3+1)[:size]
				w.send(outerFrame(tunnel.VXLANPort, payload))
				d := collect(t, s, 1)[0]
				if !bytes.Equal(d.payload, payload) || d.Length != size || d.Reason != packet.None || d.Encap != packet.VXLAN {
					t.Fatalf("datagram of %d bytes: %+v", size, d.Datagram)
				}
				if d.Time < last || d.Time > time.Now().UnixNano() || d.Order != d.Time {
					t.Fatalf("datagram of %d bytes: time %d after %d", size, d.Time, last)
				}
				last = d.Time
			}
			if x.Lost() != 0 || strings.Contains(log.String(), "keeps no room for the time") {
				t.Errorf("%d lost; %s", x.Lost(), log.String())
			}
		})
	}
}

// The loopback has no driver that runs programs, and no hardware address.
func TestXDPOnTheLoopback(t *testing.T) {
	w := newQueues(t, 1500, 1, 1)
	ip(t, "link", "set", "lo", "up")
	s := w.xdp(XDPConfig{Interface: "lo"}).Sources()[0]
	c := dial(t, netip.MustParseAddrPort("127.0.0.1:4789"))
	for size := 1; size <= packet.MaxDatagram+100; size += 531 {
		payload := bytes.Repeat([]byte{byte(size)}, size)
		if _, err := c.Write(payload); err != nil {
			t.Fatal(err)
		}
		if d := collect(t, s, 1)[0]; !bytes.Equal(d.payload, payload[:min(size, packet.MaxDatagram)]) || d.Length != size {
			t.Fatalf("datagram of %d bytes: %d came, real length %d", size, len(d.payload), d.Length)
		}
	}
}

// The program takes what the backend promises to, and leaves the rest to the IP
// stack.
func TestXDPTakesWholeDatagramsToTheTunnelPortsAlone(t *testing.T) {
	w := newWire(t)
	s := w.xdp(XDPConfig{}).Sources()[0]
	marker := outerFrame(tunnel.VXLANPort, []byte("that is all"))
	for _, tt := range outerCases() {
		pkt := bytes.Clone(tt.pkt)
		switch {
		case tt.link == rawIP && len(pkt) > 0 && pkt[0]>>4 == 6:
			pkt = frame(etherIPv6, pkt)
		case tt.link == rawIP:
			pkt = frame(etherIPv4, pkt)
		case tt.link != ethernet:
			continue
		}
		copy(pkt, farMAC())
		h, reason := outer(ethernet, pkt, 0)
		w.send(pkt)
		w.send(marker)
		var got []received
		for len(got) == 0 || string(got[len(got)-1].payload) != "that is all" {
			got = append(got, spread(t, []Source{s}, 1)[0]...)
		}
		got = got[:len(got)-1]
		switch {
		case reason != packet.None || !plainOuter(pkt):
			// What no header check refuses in the program, outer does.
			if len(got) > 0 && got[0].Reason != packet.NotTunnel {
				t.Errorf("%s: taken: %+v", tt.name, got[0])
			}
		case len(got) != 1:
			t.Errorf("%s: %d datagrams, want one", tt.name, len(got))
		default:
			d := got[0]
			if !bytes.Equal(d.payload, pkt[h.off:h.end]) || d.Length != h.length || d.Source != h.source || d.Encap != h.encap {
				t.Errorf("%s: got %q, %+v; want %q, %+v", tt.name, d.payload, d.Datagram, pkt[h.off:h.end], h)
			}
		}
	}
	w.send(append([]byte{2, 9, 9, 9, 9, 9}, marker[6:]...)) // to another host
	unix.Write(w.far, marker)                               // sent, not received
	w.send(outerFrame(4790, []byte("another port")))
	w.send(append([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, outerFrame(tunnel.GENEVEPort, []byte("to all"))[6:]...))
	w.send(outerFrame(tunnel.GENEVEPort, []byte("taken")))
	if d := collect(t, s, 2); string(d[0].payload) != "to all" || string(d[1].payload) != "taken" {
		t.Errorf("took %q and %q", d[0].payload, d[1].payload)
	}
}

// plainOuter reports whether a frame that outer reads has no more tags, and no
// other headers, than the programs in the kernel know.
func plainOuter(pkt []byte) bool {
	at := 12
	for range 2 {
		if kind := binary.BigEndian.Uint16(pkt[at:]); kind == etherVLAN || kind == etherQinQ || kind == etherOld {
			at += 4
		}
	}
	switch binary.BigEndian.Uint16(pkt[at:]) {
	case etherIPv4:
		return true
	case etherIPv6:
		return pkt[at+2+6] == packet.ProtocolUDP
	}
	return false
}

// A packet goes through the program in steps: it may be shorter than any of its
// headers say.
func TestXDPProgramIsTotal(t *testing.T) {
	w := newWire(t)
	s := w.xdp(XDPConfig{}).Sources()[0]
	marker := outerFrame(tunnel.VXLANPort, []byte("that is all"))
	for _, tt := range outerCases() {
		for n := packet.EthernetLen; n < len(tt.pkt); n += 3 {
			pkt := bytes.Clone(tt.pkt[:n])
			copy(pkt, farMAC())
			w.send(pkt)
		}
		w.send(marker)
		for done := false; !done; {
			for _, d := range spread(t, []Source{s}, 1)[0] {
				done = string(d.payload) == "that is all"
			}
		}
	}
}

func TestXDPCountsWhatTheKernelDropped(t *testing.T) {
	for _, near := range []int{1, 2} { // native, generic
		w := newQueues(t, 1500, near, 1)
		x := w.xdp(XDPConfig{Frames: 128})
		const sent = 500
		for range sent {
			w.send(outerFrame(tunnel.VXLANPort, make([]byte, 100)))
			w.send(outerFrame(4790, make([]byte, 100))) // not ours to lose
		}
		x.Stop()
		got := len(collect(t, x.Sources()[0], -1))
		if got < 128 || got == sent {
			t.Fatalf("%d of %d arrived: the buffers were meant to run out", got, sent)
		}
		if x.Lost() != uint64(sent-got) {
			t.Errorf("lost %d, want %d", x.Lost(), sent-got)
		}
	}
}

// All buffers come back: each carries many packets.
func TestXDPBuffersGoRound(t *testing.T) {
	w := newWire(t)
	x := w.xdp(XDPConfig{Frames: 128})
	s := x.Sources()[0]
	n := uint32(0)
	for range 40 {
		for i := range uint32(20) { // 3 buffers each
			w.send(outerFrame(tunnel.VXLANPort, binary.BigEndian.AppendUint32(make([]byte, 9000), n+i)))
		}
		for _, d := range collect(t, s, 20) {
			if got := binary.BigEndian.Uint32(d.payload[9000:]); got != n {
				t.Fatalf("datagram %d, want %d", got, n)
			}
			n++
		}
	}
	if x.Lost() != 0 {
		t.Errorf("%d lost", x.Lost())
	}
}

func TestReceiveQueues(t *testing.T) {
	newQueues(t, 1500, 2, 3)
	for name, want := range map[string]int{"far": 3, "near": 2, "lo": 1, "absent": 1, "": 1, "a name that is longer than any": 1} {
		if got := ReceiveQueues(name); got != want {
			t.Errorf("%q has %d, want %d", name, got, want)
		}
	}
}
