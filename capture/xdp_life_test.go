package capture

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/tunnel"
)

func TestXDPStopReadsTheQueuesEmpty(t *testing.T) {
	w := newWire(t)
	x := w.xdp(XDPConfig{})
	s := x.Sources()[0]
	const sent = 300
	for range sent {
		w.send(outerFrame(tunnel.VXLANPort, make([]byte, 100)))
	}
	x.Stop()
	if got := len(collect(t, s, -1)); got != sent {
		t.Errorf("%d datagrams after Stop, want the %d sent before it", got, sent)
	}
	for range 3000 {
		w.send(outerFrame(tunnel.VXLANPort, make([]byte, 100)))
	}
	if _, err := s.Next(); err != io.EOF {
		t.Errorf("Next after the end: %v, want io.EOF", err)
	}
	if x.Lost() != 0 {
		t.Errorf("%d lost after the end", x.Lost())
	}
}

// A sender that never pauses must not keep a stopped source alive.
func TestXDPStopEndsUnderLoad(t *testing.T) {
	w := newWire(t)
	x := w.xdp(XDPConfig{})
	x.Stop()
	wantEnd(t, x.Sources()[0], 20, func() { w.send(outerFrame(tunnel.VXLANPort, make([]byte, 100))) })
}

// After a batch a source lets packets gather, once, and waits for the next then.
func TestXDPNapsAfterABatch(t *testing.T) {
	w := newWire(t)
	s := w.xdp(XDPConfig{}).sources[0]
	for range 2 {
		w.send(outerFrame(tunnel.VXLANPort, make([]byte, 100)))
		collect(t, s, 1)
		if b, err := s.poll(time.Now().UnixNano()); b != nil || err != nil || !s.busy {
			t.Fatalf("a look that finds nothing: %v, %v; a nap follows: %v", b, err, s.busy)
		}
		b, err := s.Next()
		if err != nil || len(b.Datagrams) != 0 || s.busy {
			t.Fatalf("%v, %v; another nap follows: %v", b, err, s.busy)
		}
		s.Release(b)
	}
}

func TestXDPLendsOneBatchAtATime(t *testing.T) {
	w := newWire(t)
	s := w.xdp(XDPConfig{}).Sources()[0]
	b, err := s.Next()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Next(); err == nil {
		t.Error("a second batch was lent")
	}
	s.Release(b)
}

func TestXDPSaysThatTheInterfaceIsGone(t *testing.T) {
	w := newWire(t)
	x := w.xdp(XDPConfig{})
	s := x.sources[0]
	w.send(outerFrame(tunnel.VXLANPort, []byte("the last one")))
	ip(t, "link", "delete", "far")
	got := 0
	for {
		s.nextCheck = 0
		b, err := s.Next()
		if err != nil {
			if !errors.Is(err, errGone) || !strings.Contains(err.Error(), "far: the interface is gone: start again when it is back") {
				t.Error(err)
			}
			break
		}
		got += len(b.Datagrams)
		s.Release(b)
	}
	if got != 1 {
		t.Errorf("%d datagrams from before, want 1", got)
	}
}

func TestXDPAllocatesNothing(t *testing.T) {
	w := newWire(t)
	s := w.xdp(XDPConfig{}).Sources()[0]
	for _, size := range []int{600, 9000} {
		pkt := outerFrame(tunnel.VXLANPort, make([]byte, size))
		allocs := testing.AllocsPerRun(20, func() {
			w.send(pkt)
			for n := 0; n == 0; {
				b, err := s.Next()
				if err != nil {
					t.Fatal(err)
				}
				n = len(b.Datagrams)
				s.Release(b)
			}
		})
		if allocs != 0 {
			t.Errorf("%v allocations for a datagram of %d bytes sent and received, want 0", allocs, size)
		}
	}
}

func TestXDPMarkPromisesOrder(t *testing.T) {
	w := newWire(t)
	s := w.xdp(XDPConfig{}).Sources()[0]
	wantMarksToHold(t, w, s)
}

// Without a time in front of it, or with one that cannot be, a packet has the
// time of its batch, which the log says once.
func TestXDPWithoutTheKernelsTime(t *testing.T) {
	for name, value := range map[string]uint64{"none": 0, "none yet": 0, "of another clock": 1 << 62, "negative": 1 << 63} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			w := newWire(t)
			x := w.xdp(XDPConfig{Log: slog.New(slog.NewTextHandler(&log, nil))})
			s, q := x.sources[0], x.queues[0]
			if name == "none yet" { // the machine has just started: its clock was 0 a minute ago
				s.clock = monotonic{time.Now(), int64(time.Minute)}
			}
			for range 3 {
				w.send(outerFrame(tunnel.VXLANPort, []byte("x")))
				for q.filled.ready() == 0 { // a processor takes it
					if err := s.wait(); err != nil {
						t.Fatal(err)
					}
				}
				at := q.filled.slot(q.filled.at).Addr
				binary.NativeEndian.PutUint64(stamp(q.umem, at), value)
				b, err := s.Next()
				if err != nil || len(b.Datagrams) != 1 || b.Datagrams[0].Time != b.Now {
					t.Fatalf("%d datagrams, now %d: %+v", len(b.Datagrams), b.Now, b.Datagrams)
				}
				s.Release(b)
				if !bytes.Equal(stamp(q.umem, at), make([]byte, stampLen)) {
					t.Error("the time is there for the next packet")
				}
			}
			if n := strings.Count(log.String(), "keeps no room for the time"); n != 1 {
				t.Errorf("said %d times: %s", n, log.String())
			}
		})
	}
}

func TestXDPRefuses(t *testing.T) {
	newQueues(t, 9001, 2, 1) // far refuses the program in the driver
	ip(t, "tuntap", "add", "mode", "tun", "bare")
	ports := []uint16{4789}
	owner := func(*packet.Datagram) int { return 0 }
	for _, tt := range []struct {
		cfg  XDPConfig
		want string
	}{
		{XDPConfig{Interface: "absent", VXLAN: ports}, `interface "absent": no such network interface`},
		{XDPConfig{Interface: "near"}, "no tunnel port"},
		{XDPConfig{Interface: "near", VXLAN: ports, Workers: 2}, "nothing that says which"},
		{XDPConfig{Interface: "near", VXLAN: ports, Frames: 1000, Owner: owner}, "1000 frames a queue: want a power of two from 128 on"},
		{XDPConfig{Interface: "near", VXLAN: ports, Frames: 64}, "64 frames"},
		{XDPConfig{Interface: "near", VXLAN: ports, Frames: -128}, "-128 frames"},
		{XDPConfig{Interface: "bare", VXLAN: ports}, "bare: not an Ethernet interface"},
		{XDPConfig{Interface: "far", VXLAN: ports}, "an MTU of 9001 does not fit one buffer (3498): "},
		{XDPConfig{Interface: "far", VXLAN: ports}, ": ip link set far mtu 3498, or backend afpacket"},
	} {
		tt.cfg.Log = slog.New(slog.DiscardHandler)
		if _, err := ListenXDP(tt.cfg); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%+v: %v, want %q", tt.cfg, err, tt.want)
		}
	}
	if n := programs(t); n != 0 {
		t.Errorf("%d programs are left", n)
	}
}

// What is attached already stays, in the driver and in front of the stack.
func TestXDPLeavesAnotherProgramAlone(t *testing.T) {
	for _, near := range []int{1, 2} { // native, generic
		w := newQueues(t, 1500, near, 1)
		first := w.xdp(XDPConfig{})
		_, err := ListenXDP(XDPConfig{Interface: "far", VXLAN: []uint16{4789}, Log: slog.New(slog.DiscardHandler)})
		if err == nil || !strings.Contains(err.Error(), "an XDP program is attached already, and stays") {
			t.Error(err)
		}
		w.send(outerFrame(tunnel.VXLANPort, []byte("x")))
		collect(t, first.Sources()[0], 1)
	}
}

func TestXDPSaysThatItIsNotPermitted(t *testing.T) {
	newQueues(t, 1500, 1, 1)
	// This thread alone, which ends with the test.
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capset(&header, &data[0]); err != nil {
		t.Fatal(err)
	}
	_, err := ListenXDP(XDPConfig{Interface: "far", VXLAN: []uint16{4789}, Log: slog.New(slog.DiscardHandler)})
	if !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), "give it CAP_NET_ADMIN, CAP_NET_RAW and CAP_BPF") {
		t.Error(err)
	}
}

func TestXDPLeavesNothing(t *testing.T) {
	newQueues(t, 1500, 2, 2)
	count := func() (fds, maps int) {
		text, err := os.ReadFile("/proc/self/maps")
		if err != nil {
			t.Fatal(err)
		}
		return descriptors(t), strings.Count(string(text), "socket:")
	}
	fds, _ := count()
	for range 3 {
		x, err := ListenXDP(XDPConfig{Interface: "far", VXLAN: []uint16{4789}, Workers: 3, Owner: func(*packet.Datagram) int { return 0 }, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		if _, maps := count(); maps != 4 {
			t.Errorf("%d rings are mapped, want 4", maps)
		}
		for range 2 {
			if err := x.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	if after, maps := count(); after != fds || maps != 0 {
		t.Errorf("%d descriptors, %d before; %d rings still mapped", after, fds, maps)
	}
}
