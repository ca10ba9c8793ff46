package capture

import (
	"bytes"
	"log/slog"
	"net"
	"net/netip"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/periscope-collector/periscope/bench/traffic"
	"github.com/periscope-collector/periscope/internal/lab"
	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/tunnel"
)

// A wire is a pair of interfaces in a network namespace of its own: what is sent
// on near arrives on far.
type wire struct {
	t         testing.TB
	near, far int // sockets to send on
}

// newWire moves the test's goroutine, and what it starts, into a new namespace,
// which ends with the test and the last of its sockets.
func newWire(t testing.TB) *wire {
	t.Helper()
	lab.Need(t, "ip")
	runtime.LockOSThread() // for good: the thread ends with the test
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatal(err)
	}
	return newPair(t)
}

// newPair makes the interfaces of a wire.
func newPair(t testing.TB) *wire {
	t.Helper()
	ip(t, "link", "add", "name", "near", "mtu", "20000", "type", "veth",
		"peer", "name", "far", "mtu", "20000", "address", net.HardwareAddr(farMAC()).String())
	for _, name := range []string{"near", "far"} {
		ip(t, "link", "set", name, "up")
	}
	lab.Eventually(t, "the wire is up", func() bool {
		out, err := exec.Command("ip", "link", "show", "up").Output()
		return err == nil && strings.Count(string(out), "state UP") == 2
	})
	return &wire{t, sender(t, "near"), sender(t, "far")}
}

func ip(t testing.TB, args ...string) {
	t.Helper()
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		t.Fatalf("ip %s: %v: %s", strings.Join(args, " "), err, out)
	}
}

// sender returns a socket that sends frames on an interface.
func sender(t testing.TB, name string) int {
	t.Helper()
	device, err := net.InterfaceByName(name)
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Ifindex: device.Index}); err != nil {
		t.Fatal(err)
	}
	return fd
}

// send sends a frame to far. At most 1,000 wait for a processor to take them.
func (w *wire) send(frame []byte) {
	w.t.Helper()
	if _, err := unix.Write(w.near, frame); err != nil {
		w.t.Fatalf("send %d bytes: %v", len(frame), err)
	}
}

// ring opens rings on far.
func (w *wire) ring(cfg AFPacketConfig) *AFPacket {
	w.t.Helper()
	cfg.Interface = "far"
	if cfg.VXLAN == nil {
		cfg.VXLAN, cfg.GENEVE = []uint16{tunnel.VXLANPort}, []uint16{tunnel.GENEVEPort}
	}
	if cfg.RingBytes == 0 {
		cfg.RingBytes = 64 << 20 // 64 blocks: a sender may take 1.3 s
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	a, err := ListenAFPacket(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		if err := a.Close(); err != nil {
			w.t.Error(err)
		}
	})
	return a
}

// farMAC is where outerFrame sends to.
func farMAC() []byte { return outerFrame(0, nil)[:6] }

// outerFrame wraps a payload as it is on the wire.
func outerFrame(port uint16, payload []byte) []byte {
	from := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, 1}), 65408)
	to := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, 2}), port)
	return traffic.AppendOuter(nil, from, to, payload)
}

// spread reads all sources in turn until they have n datagrams together, and
// returns them by source.
func spread(t testing.TB, sources []Source, n int) [][]received {
	t.Helper()
	got := make([][]received, len(sources))
	for deadline := time.Now().Add(patience); n > 0; {
		for i, s := range sources {
			b, err := s.Next()
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range b.Datagrams {
				got[i] = append(got[i], received{d, bytes.Clone(d.Buf[d.Off:])})
				n--
			}
			s.Release(b)
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d datagrams missing after %v", n, patience)
		}
	}
	return got
}

// The filter takes what outer reads, and leaves alone what outer does not.
func TestAFPacketTakesDatagramsToTheTunnelPortsAlone(t *testing.T) {
	w := newWire(t)
	s := w.ring(AFPacketConfig{Workers: 1, leave: true}).Sources()[0]
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
		later := strings.Contains(tt.name, "later fragment") || strings.Contains(tt.name, "last fragment")

		w.send(pkt)
		w.send(marker)
		var got []received
		for len(got) == 0 || string(got[len(got)-1].payload) != "that is all" {
			got = append(got, spread(t, []Source{s}, 1)[0]...)
		}
		got = got[:len(got)-1]
		switch {
		case reason == packet.NotTunnel || later:
			// What no header check refuses in the kernel, outer does.
			if len(got) > 0 && got[0].Reason != packet.NotTunnel {
				t.Errorf("%s: taken: %+v", tt.name, got[0])
			}
		case len(got) != 1 || got[0].Reason != reason:
			t.Errorf("%s: %d datagrams, want one with reason %v", tt.name, len(got), reason)
		case reason == packet.None:
			d := got[0]
			if !bytes.Equal(d.payload, pkt[h.off:h.end]) || d.Length != h.length || d.Source != h.source || d.Encap != h.encap {
				t.Errorf("%s: got %q, %+v; want %q, %+v", tt.name, d.payload, d.Datagram, pkt[h.off:h.end], h)
			}
		}
	}
	w.send(append([]byte{2, 9, 9, 9, 9, 9}, marker[6:]...)) // to another host
	unix.Write(w.far, marker)                               // sent, not received
	w.send(outerFrame(4790, []byte("another port")))
	w.send(outerFrame(tunnel.GENEVEPort, []byte("taken")))
	if d := collect(t, s, 1)[0]; string(d.payload) != "taken" {
		t.Errorf("took %q", d.payload)
	}
}

func TestAFPacketKeepsDatagramsWholeAndNamesWhatItCut(t *testing.T) {
	w := newWire(t)
	a := w.ring(AFPacketConfig{Workers: 1, VXLAN: []uint16{5000, 6000}})
	before := time.Now().UnixNano()
	// 9,019 is a frame of 9,001 bytes with Ethernet, FCS apart, and VXLAN.
	sizes := []int{0, 1, 8, 1500, 9001 + 18, packet.MaxDatagram - 1, packet.MaxDatagram, packet.MaxDatagram + 1, 19000}
	for i, size := range sizes {
		w.send(outerFrame(uint16(5000+i%2*1000), bytes.Repeat([]byte{byte(size)}, size)))
	}
	for i, d := range collect(t, a.Sources()[0], len(sizes)) {
		size := sizes[i]
		want := bytes.Repeat([]byte{byte(size)}, min(size, packet.MaxDatagram))
		if d.Length != size || !bytes.Equal(d.payload, want) {
			t.Errorf("datagram of %d bytes: real length %d, payload of %d bytes", size, d.Length, len(d.payload))
		}
		if d.Time < before || d.Time > time.Now().UnixNano() || d.Order != d.Time {
			t.Errorf("datagram of %d bytes: time %d, order %d", size, d.Time, d.Order)
		}
	}
}

func TestAFPacketKernelSteersBothDirectionsToOneWorker(t *testing.T) {
	const flows, workers = 100, 2
	w := newWire(t)
	a := w.ring(AFPacketConfig{Workers: workers})
	for _, tagged := range []bool{false, true} {
		for _, geneve := range []bool{false, true} {
			for i := range flows {
				x, y := [4]byte{10, 0, 0, byte(i)}, [4]byte{10, 0, 1, byte(i)}
				for _, f := range [][]byte{flow(x, y, 1000, 53, 1), flow(y, x, 53, 1000, 2), flow(x, y, 1000, 53, 7)} {
					pkt := outerFrame(tunnel.VXLANPort, append(tunnel.AppendVXLAN(nil, 7), f...))
					if geneve {
						d := tunnel.AppendGENEVE(nil, tunnel.GENEVE{Protocol: tunnel.ProtocolEthernet, AWS: true})
						pkt = outerFrame(tunnel.GENEVEPort, append(d, f...))
					}
					if tagged {
						pkt = cat(pkt[:12], []byte{0x88, 0xa8, 0, 5, 0x81, 0, 0, 6}, pkt[12:])
					}
					w.send(pkt)
				}
			}
			seen := make(map[byte]int) // last byte of the addresses -> worker
			used := make(map[int]bool)
			for worker, list := range spread(t, a.Sources(), 3*flows) {
				for _, d := range list {
					id := d.payload[len(d.payload)-9]
					if was, ok := seen[id]; ok && was != worker {
						t.Fatalf("geneve %v, tagged %v: flow %d on workers %d and %d", geneve, tagged, id, was, worker)
					}
					seen[id], used[worker] = worker, true
				}
			}
			if len(seen) != flows || len(used) != workers {
				t.Errorf("geneve %v, tagged %v: %d flows on %d workers, want %d on %d", geneve, tagged, len(seen), len(used), flows, workers)
			}
		}
	}
}

// Mixed traffic comes whole, once, and each flow in order.
func TestAFPacketLosesNothing(t *testing.T) {
	const rounds, burst = 20, 500
	w := newWire(t)
	a := w.ring(AFPacketConfig{Workers: 2})
	frames := traffic.NewFrames(traffic.FramesConfig{Flows: 50, Size: traffic.IMIX})
	sent := make(map[uint64][]byte)
	last := [2]int64{-1, -1}
	used := [2]int{}
	for range rounds {
		for range burst {
			f := bytes.Clone(frames.Next())
			n, ok := traffic.Sequence(f)
			if !ok {
				t.Fatal("a frame without a number")
			}
			sent[n] = f
			w.send(outerFrame(tunnel.VXLANPort, traffic.AppendVXLAN(nil, 7, f)))
		}
		for worker, list := range spread(t, a.Sources(), burst) {
			for _, d := range list {
				n, _ := traffic.Sequence(d.payload[tunnel.VXLANLen:])
				if !bytes.Equal(sent[n], d.payload[tunnel.VXLANLen:]) {
					t.Fatalf("frame %d is not the one sent, or came twice", n)
				}
				delete(sent, n)
				if int64(n) < last[worker] {
					t.Fatalf("frame %d after %d", n, last[worker])
				}
				last[worker] = int64(n)
				used[worker]++
			}
		}
	}
	if len(sent) != 0 || used[0] == 0 || used[1] == 0 || a.Lost() != 0 {
		t.Errorf("%d missing, %v by worker, %d lost", len(sent), used, a.Lost())
	}
}

func TestAFPacketCountsWhatTheKernelDropped(t *testing.T) {
	w := newWire(t)
	a := w.ring(AFPacketConfig{Workers: 1, RingBytes: 1}) // 2 MiB
	const sent = 500
	for range sent {
		w.send(outerFrame(tunnel.VXLANPort, make([]byte, 9000)))
		w.send(outerFrame(4790, make([]byte, 100))) // not ours to lose
	}
	a.Stop()
	got := len(collect(t, a.Sources()[0], -1))
	if got == 0 || got == sent {
		t.Fatalf("%d of %d arrived: the ring was meant to overflow", got, sent)
	}
	if a.Lost() != uint64(sent-got) {
		t.Errorf("lost %d, want %d", a.Lost(), sent-got)
	}
}

// Behind the outer headers the rings are steered as the sockets are.
func TestAFPacketSteeringIsThatOfTheSockets(t *testing.T) {
	ports := tunnelPorts{[]uint16{4789}, []uint16{6081}}
	for _, n := range []int{2, 3, 16} {
		program, err := ringSteering(ports, n)
		if err != nil {
			t.Fatal(err)
		}
		for i, in := range program { // the VM does not know what the kernel does
			if in == (bpf.LoadExtension{Num: bpf.ExtProto}) {
				program[i] = bpf.LoadConstant{Dst: bpf.RegA, Val: etherIPv4}
			}
		}
		rings, err := bpf.NewVM(program)
		if err != nil {
			t.Fatal(err)
		}
		stacks := traffic.NewStacks(1)
		for _, port := range []int{tunnel.VXLANPort, tunnel.GENEVEPort} {
			program, err := Steering(port, n)
			if err != nil {
				t.Fatal(err)
			}
			sockets, err := bpf.NewVM(program)
			if err != nil {
				t.Fatal(err)
			}
			for range 500 {
				payload := traffic.AppendVXLAN(nil, 7, stacks.Next())
				if port == tunnel.GENEVEPort {
					payload = traffic.AppendGENEVE(nil, tunnel.GENEVE{}, netip.AddrFrom4([4]byte{10, 1, 1, 1}), netip.AddrFrom4([4]byte{10, 1, 1, 2}), 7, payload[tunnel.VXLANLen:])
				}
				want, err := sockets.Run(payload)
				if err != nil {
					t.Fatal(err)
				}
				got, err := rings.Run(outerFrame(uint16(port), payload)[packet.EthernetLen:])
				if err != nil || got != want {
					t.Fatalf("port %d, %d rings: ring %d, socket %d, %v", port, n, got, want, err)
				}
			}
		}
	}
}
