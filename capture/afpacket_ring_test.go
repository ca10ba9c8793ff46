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

	"github.com/periscope-collector/periscope/internal/lab"
	"github.com/periscope-collector/periscope/tunnel"
)

// A ring goes round: each round takes a block of two, or both where the kernel's
// timer comes between.
func TestAFPacketRingGoesRound(t *testing.T) {
	w := newWire(t)
	a := w.ring(AFPacketConfig{Workers: 1, RingBytes: 2 << 20})
	s := a.Sources()[0]
	n := uint32(0)
	for range 20 {
		for i := range uint32(2) {
			w.send(outerFrame(tunnel.VXLANPort, binary.BigEndian.AppendUint32(make([]byte, 9000), n+i)))
		}
		for _, d := range collect(t, s, 2) {
			if got := binary.BigEndian.Uint32(d.payload[9000:]); got != n {
				t.Fatalf("datagram %d, want %d", got, n)
			}
			n++
		}
	}
}

func TestAFPacketStopReadsTheRingEmpty(t *testing.T) {
	w := newWire(t)
	a := w.ring(AFPacketConfig{Workers: 1})
	s := a.Sources()[0]
	const sent = 300
	for range sent {
		w.send(outerFrame(tunnel.VXLANPort, make([]byte, 100)))
	}
	a.Stop()
	if got := len(collect(t, s, -1)); got != sent {
		t.Errorf("%d datagrams after Stop, want the %d sent before it", got, sent)
	}
	for range 500 {
		w.send(outerFrame(tunnel.VXLANPort, make([]byte, 9000)))
	}
	if _, err := s.Next(); err != io.EOF {
		t.Errorf("Next after the end: %v, want io.EOF", err)
	}
	if a.Lost() != 0 {
		t.Errorf("%d lost after the end", a.Lost())
	}
}

// A sender that never pauses must not keep a stopped source alive.
func TestAFPacketStopEndsUnderLoad(t *testing.T) {
	w := newWire(t)
	a := w.ring(AFPacketConfig{Workers: 1})
	a.Stop()
	wantEnd(t, a.Sources()[0], 20, func() { w.send(outerFrame(tunnel.VXLANPort, make([]byte, 100))) })
}

func TestAFPacketMarkPromisesOrder(t *testing.T) {
	w := newWire(t)
	s := w.ring(AFPacketConfig{Workers: 1}).Sources()[0]
	wantMarksToHold(t, w, s)
}

// wantMarksToHold wants that nothing comes that is older than an earlier mark,
// and that the mark of an idle source follows the clock.
func wantMarksToHold(t *testing.T, w *wire, s Source) {
	t.Helper()
	mark := int64(0)
	for range 10 {
		for range 100 {
			w.send(outerFrame(tunnel.VXLANPort, []byte("x")))
		}
		for n := 0; n < 100; {
			b, err := s.Next()
			if err != nil {
				t.Fatal(err)
			}
			if b.Mark < mark {
				t.Fatalf("mark %d after %d", b.Mark, mark)
			}
			for _, d := range b.Datagrams {
				if d.Order < mark {
					t.Fatalf("order %d below the mark %d of an earlier batch", d.Order, mark)
				}
			}
			n += len(b.Datagrams)
			mark = b.Mark
			s.Release(b)
		}
	}
	for range 4 { // idle: the mark follows the clock
		before := time.Now().UnixNano()
		b, err := s.Next()
		if err != nil || len(b.Datagrams) != 0 || b.Mark < before-maxBlockWait-stampToQueue {
			t.Fatalf("idle batch: %d datagrams, mark %d, error %v", len(b.Datagrams), b.Mark, err)
		}
		s.Release(b)
	}
}

func TestAFPacketLendsOneBatchAtATime(t *testing.T) {
	w := newWire(t)
	s := w.ring(AFPacketConfig{Workers: 1}).Sources()[0]
	b, err := s.Next()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Next(); err == nil {
		t.Error("a second batch was lent")
	}
	s.Release(b)
}

func TestAFPacketSurvivesAnInterfaceThatGoesDown(t *testing.T) {
	var log bytes.Buffer
	w := newWire(t)
	a := w.ring(AFPacketConfig{Workers: 2, Log: slog.New(slog.NewTextHandler(&log, nil))})
	s := a.sources[0]
	ip(t, "link", "set", "far", "down")
	for _, s := range a.sources {
		b, err := s.Next()
		if err != nil || len(b.Datagrams) != 0 {
			t.Fatal(err)
		}
		s.Release(b)
	}
	if strings.Count(log.String(), "interface is down") != 1 {
		t.Errorf("%q does not say once that the interface is down", log.String())
	}
	ip(t, "link", "set", "far", "up")
	got := 0
	lab.Eventually(t, "something arrives when the interface is up again", func() bool {
		w.send(outerFrame(tunnel.VXLANPort, []byte("back"))) // what is sent before the carrier is back is lost
		for _, s := range a.sources {
			b, err := s.Next()
			if err != nil {
				t.Fatal(err)
			}
			got += len(b.Datagrams)
			s.Release(b)
		}
		return got > 0
	})

	ip(t, "link", "delete", "far")
	for { // the news may come after an empty batch
		s.nextCheck = 0
		b, err := s.Next()
		if err != nil {
			if !strings.Contains(err.Error(), "far: the interface is gone") {
				t.Error(err)
			}
			break
		}
		s.Release(b)
	}
}

func TestAFPacketRefuses(t *testing.T) {
	newWire(t)
	ip(t, "tuntap", "add", "mode", "tun", "bare")
	for _, tt := range []struct {
		cfg  AFPacketConfig
		want string
	}{
		{AFPacketConfig{Interface: "absent", VXLAN: []uint16{4789}}, `interface "absent": no such network interface`},
		{AFPacketConfig{VXLAN: []uint16{4789}}, `interface ""`},
		{AFPacketConfig{Interface: "far"}, "no tunnel port"},
		{AFPacketConfig{Interface: "bare", VXLAN: []uint16{4789}}, "bare: not an Ethernet interface"},
	} {
		tt.cfg.Log = slog.New(slog.DiscardHandler)
		if _, err := ListenAFPacket(tt.cfg); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%+v: %v, want %q", tt.cfg, err, tt.want)
		}
	}
}

func TestAFPacketSaysThatItIsNotPermitted(t *testing.T) {
	newWire(t)
	// This thread alone, which ends with the test.
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capset(&header, &data[0]); err != nil {
		t.Fatal(err)
	}
	_, err := ListenAFPacket(AFPacketConfig{Interface: "far", VXLAN: []uint16{4789}, Log: slog.New(slog.DiscardHandler)})
	if !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), "CAP_NET_RAW") {
		t.Error(err)
	}
}

func TestAFPacketAllocatesNothing(t *testing.T) {
	w := newWire(t)
	s := w.ring(AFPacketConfig{Workers: 1}).Sources()[0]
	pkt := outerFrame(tunnel.VXLANPort, make([]byte, 600))
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
		t.Errorf("%v allocations for a datagram sent and received, want 0", allocs)
	}
}

func TestAFPacketLeavesNothing(t *testing.T) {
	newWire(t)
	count := func() (fds, maps int) {
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile("/proc/self/maps")
		if err != nil {
			t.Fatal(err)
		}
		return len(entries), strings.Count(string(text), "socket:")
	}
	fds, _ := count()
	for range 3 {
		a, err := ListenAFPacket(AFPacketConfig{Interface: "far", VXLAN: []uint16{4789}, Workers: 3, RingBytes: 2 << 20, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		if _, maps := count(); maps != 3 {
			t.Errorf("%d rings are mapped, want 3", maps)
		}
		for range 2 {
			if err := a.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	if after, maps := count(); after != fds || maps != 0 {
		t.Errorf("%d descriptors, %d before; %d rings still mapped", after, fds, maps)
	}
}
