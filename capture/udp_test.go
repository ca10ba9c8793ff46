package capture

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/tunnel"
)

var loopbackAny = []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:0")}

// listen opens sockets on a free loopback port and returns them with their
// address.
func listen(t testing.TB, cfg UDPConfig) (*UDP, netip.AddrPort) {
	t.Helper()
	if cfg.VXLAN == nil && cfg.GENEVE == nil {
		cfg.VXLAN = loopbackAny
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	u, err := ListenUDP(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := u.Close(); err != nil {
			t.Error(err)
		}
	})
	return u, u.Groups()[0].Address
}

func dial(t testing.TB, to netip.AddrPort) *net.UDPConn {
	t.Helper()
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(to))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// A received datagram, copied.
type received struct {
	packet.Datagram
	payload []byte
}

// patience is how long a test waits for what takes milliseconds.
const patience = time.Minute

// collect reads a source until it has n datagrams, or to its end if n is
// negative.
func collect(t testing.TB, s Source, n int) []received {
	t.Helper()
	var all []received
	for deadline := time.Now().Add(patience); n < 0 || len(all) < n; {
		b, err := s.Next()
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range b.Datagrams {
			if d.Off < packet.Headroom {
				t.Fatalf("headroom of %d bytes", d.Off)
			}
			all = append(all, received{d, bytes.Clone(d.Buf[d.Off:])})
		}
		s.Release(b)
		if time.Now().After(deadline) {
			t.Fatalf("%d datagrams after %v, want %d", len(all), patience, n)
		}
	}
	return all
}

func TestUDPKeepsDatagramsWholeAndNamesWhatItCut(t *testing.T) {
	u, at := listen(t, UDPConfig{Workers: 1, ReceiveBuffer: 1 << 20})
	c := dial(t, at)
	before := time.Now().UnixNano()
	sizes := []int{0, 1, 8, 1500, packet.MaxDatagram - 1, packet.MaxDatagram, packet.MaxDatagram + 1, 20000}
	for _, size := range sizes {
		payload := bytes.Repeat([]byte{byte(size)}, size)
		if _, err := c.Write(payload); err != nil {
			t.Fatal(err)
		}
	}
	got := collect(t, u.Sources()[0], len(sizes))
	for i, d := range got {
		size := sizes[i]
		if d.Length != size {
			t.Errorf("datagram of %d bytes: real length %d", size, d.Length)
		}
		want := bytes.Repeat([]byte{byte(size)}, min(size, packet.MaxDatagram))
		if !bytes.Equal(d.payload, want) {
			t.Errorf("datagram of %d bytes: payload of %d bytes differs", size, len(d.payload))
		}
		if d.Time < before || d.Time > time.Now().UnixNano() || d.Order != d.Time {
			t.Errorf("datagram of %d bytes: time %d, order %d", size, d.Time, d.Order)
		}
		if want := packet.AddrFrom4([4]byte{127, 0, 0, 1}); d.Source != want {
			t.Errorf("source %v, want %v", d.Source, want)
		}
	}
}

func TestUDPTakesBothFamiliesOnOneSocket(t *testing.T) {
	u, at := listen(t, UDPConfig{Workers: 1, VXLAN: []netip.AddrPort{netip.MustParseAddrPort("[::]:0")}, ReceiveBuffer: 1 << 20})
	for _, from := range []string{"127.0.0.1", "::1"} {
		c := dial(t, netip.AddrPortFrom(netip.MustParseAddr(from), at.Port()))
		// A zero checksum, as tunnels send it (RFC 6935).
		raw, err := c.SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		raw.Control(func(fd uintptr) {
			if from == "::1" {
				err = unix.SetsockoptInt(int(fd), unix.IPPROTO_UDP, unix.UDP_NO_CHECK6_TX, 1)
			} else {
				err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_NO_CHECK, 1)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		c.Write([]byte(from))
		got := collect(t, u.Sources()[0], 1)[0]
		if want := packet.AddrFrom(netip.MustParseAddr(from)); got.Source != want || string(got.payload) != from {
			t.Errorf("got %q from %v, want it from %v", got.payload, got.Source, want)
		}
	}
}

func TestUDPRefusesAPortThatIsTaken(t *testing.T) {
	_, at := listen(t, UDPConfig{Workers: 2, ReceiveBuffer: 1 << 20})
	for _, workers := range []int{1, 2} {
		_, err := ListenUDP(UDPConfig{Workers: workers, VXLAN: []netip.AddrPort{at}, Log: slog.New(slog.DiscardHandler)})
		if !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), at.String()) {
			t.Errorf("%d workers: %v, want one that is ErrInUse and names %s", workers, err, at)
		}
	}
}

func TestUDPCountsWhatTheKernelDropped(t *testing.T) {
	u, at := listen(t, UDPConfig{Workers: 1, ReceiveBuffer: 8 << 10})
	c := dial(t, at)
	const sent = 500
	for range sent {
		c.Write(make([]byte, 1000))
	}
	u.Stop()
	got := len(collect(t, u.Sources()[0], -1))
	if got == 0 || got == sent {
		t.Fatalf("%d of %d arrived: the buffer was meant to overflow", got, sent)
	}
	if lost := u.Lost(); lost != uint64(sent-got) {
		t.Errorf("lost %d, want %d", lost, sent-got)
	}
}

func TestUDPDropCounterWrapsAndIgnoresOldReadings(t *testing.T) {
	s := &udpSocket{drops: 0xfffffff0}
	for _, step := range []struct {
		reading uint32
		lost    uint64
	}{
		{0xfffffff0, 0},  // no news
		{0xffffffff, 15}, // up to the edge
		{0, 16},          // across it
		{5, 21},
		{3, 21}, // an older reading that rode on a datagram
		{6, 22},
	} {
		s.dropped(step.reading)
		if got := s.lost.Load(); got != step.lost {
			t.Errorf("after reading %#x: lost %d, want %d", step.reading, got, step.lost)
		}
	}
}

func TestUDPReportsACappedReceiveBuffer(t *testing.T) {
	var log bytes.Buffer
	Group{Address: netip.MustParseAddrPort("[::]:4789"), Asked: 1000, Granted: 999}.report(slog.New(slog.NewTextHandler(&log, nil)))
	if !strings.Contains(log.String(), "sysctl -w net.core.rmem_max=1000") {
		t.Errorf("%q does not name the sysctl to change", log.String())
	}
	log.Reset()
	Group{Asked: 1000, Granted: 1000}.report(slog.New(slog.NewTextHandler(&log, nil)))
	if strings.Contains(log.String(), "sysctl") {
		t.Errorf("%q warns though nothing was capped", log.String())
	}
}

// What is sent after the end is not lost: nobody said it would be taken.
func TestUDPStopClosesTheSockets(t *testing.T) {
	u, at := listen(t, UDPConfig{Workers: 2, ReceiveBuffer: 8 << 10})
	c := dial(t, at) // while the port is taken, or it might get that one
	u.Stop()
	for _, s := range u.Sources() {
		collect(t, s, -1)
	}
	for range 500 {
		c.Write(make([]byte, 1000))
	}
	if lost := u.Lost(); lost != 0 {
		t.Errorf("%d lost after the end", lost)
	}
	again, err := ListenUDP(UDPConfig{Workers: 1, VXLAN: []netip.AddrPort{at}, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	again.Close()
}

func TestUDPStopReadsTheSocketsEmpty(t *testing.T) {
	u, at := listen(t, UDPConfig{Workers: 1, ReceiveBuffer: 8 << 20})
	c := dial(t, at)
	const sent = 300
	for range sent {
		c.Write(make([]byte, 100))
	}
	u.Stop()
	if got := len(collect(t, u.Sources()[0], -1)); got != sent {
		t.Errorf("%d datagrams after Stop, want the %d sent before it", got, sent)
	}
	if _, err := u.Sources()[0].Next(); err != io.EOF {
		t.Errorf("Next after the end: %v, want io.EOF", err)
	}
}

// A sender that never pauses must not keep a stopped source alive: it ends with
// the first datagram from after Stop.
func TestUDPStopEndsUnderLoad(t *testing.T) {
	u, at := listen(t, UDPConfig{Workers: 1, ReceiveBuffer: 1 << 20})
	c := dial(t, at)
	u.Stop()
	wantEnd(t, u.Sources()[0], 2, func() { c.Write(make([]byte, 100)) })
}

// wantEnd wants a stopped source to end after so many batches, with one more
// datagram sent before each.
func wantEnd(t *testing.T, s Source, batches int, send func()) {
	t.Helper()
	for n := 0; ; n++ {
		send()
		b, err := s.Next()
		if err == io.EOF {
			return
		}
		if err != nil || n > batches {
			t.Fatalf("batch %d after Stop, error %v", n, err)
		}
		s.Release(b)
	}
}

func TestUDPMarkPromisesOrder(t *testing.T) {
	u, at := listen(t, UDPConfig{Workers: 1, ReceiveBuffer: 8 << 20})
	c := dial(t, at)
	s := u.Sources()[0]
	mark := int64(0)
	for range 20 {
		for range 100 {
			c.Write([]byte("x"))
		}
		for n := 0; n < 100; {
			b, err := s.Next()
			if err != nil {
				t.Fatal(err)
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
	before := time.Now().UnixNano()
	b, err := s.Next() // idle: the mark is the clock
	if err != nil || len(b.Datagrams) != 0 || b.Mark < before-stampToQueue {
		t.Errorf("idle batch: %d datagrams, mark %d, error %v", len(b.Datagrams), b.Mark, err)
	}
}

// flow builds an Ethernet frame with a UDP packet of an inner flow.
func flow(src, dst [4]byte, sport, dport uint16, mac byte) []byte {
	f := []byte{2, 0, 0, 0, 0, mac, 2, 0, 0, 0, 0, mac + 1, 0x08, 0x00,
		0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0}
	f = append(append(f, src[:]...), dst[:]...)
	f = binary.BigEndian.AppendUint16(f, sport)
	f = binary.BigEndian.AppendUint16(f, dport)
	return append(f, 0, 8, 0, 0)
}

func TestUDPKernelSteersBothDirectionsToOneWorker(t *testing.T) {
	const workers = 4
	for _, geneve := range []bool{false, true} {
		cfg := UDPConfig{Workers: workers, VXLAN: loopbackAny, ReceiveBuffer: 4 << 20}
		if geneve {
			cfg.VXLAN, cfg.GENEVE = nil, loopbackAny
		}
		u, at := listen(t, cfg)
		if !u.Groups()[0].Steered {
			t.Fatal("the kernel does not steer")
		}
		const flows = 200
		// Several senders, so that the outer source port alone would scatter.
		senders := []*net.UDPConn{dial(t, at), dial(t, at), dial(t, at)}
		for i := range flows {
			a, b := [4]byte{10, 0, 0, byte(i)}, [4]byte{10, 0, 1, byte(i)}
			for j, f := range [][]byte{flow(a, b, 1000, 53, 1), flow(b, a, 53, 1000, 2), flow(a, b, 1000, 53, 7)} {
				var d []byte
				if geneve {
					d = tunnel.AppendGENEVE(d, tunnel.GENEVE{Protocol: tunnel.ProtocolEthernet, AWS: true})
				} else {
					d = tunnel.AppendVXLAN(d, 7)
				}
				senders[j].Write(append(d, f...))
			}
		}
		u.Stop()
		seen := make(map[byte]int) // last byte of the addresses -> worker
		used := make(map[int]int)
		total := 0
		for worker, s := range u.Sources() {
			for _, d := range collect(t, s, -1) {
				total++
				used[worker]++
				id := d.payload[len(d.payload)-9]
				if was, ok := seen[id]; ok && was != worker {
					t.Fatalf("geneve %v: flow %d on workers %d and %d", geneve, id, was, worker)
				}
				seen[id] = worker
			}
		}
		if total != 3*flows || len(used) != workers {
			t.Errorf("geneve %v: %d datagrams on %d workers, want %d on %d", geneve, total, len(used), 3*flows, workers)
		}
	}
}

// The program that steers must be one the kernel and the assembler take for
// every number of sockets, and must never choose a socket that is not there.
func TestSteeringStaysInRange(t *testing.T) {
	frame := append(tunnel.AppendVXLAN(nil, 1), flow([4]byte{10, 0, 0, 1}, [4]byte{10, 0, 0, 2}, 1, 2, 1)...)
	for _, port := range []int{tunnel.VXLANPort, tunnel.GENEVEPort} {
		for sockets := 1; sockets <= 255; sockets++ {
			program, err := Steering(port, sockets)
			if err != nil {
				t.Fatal(err)
			}
			vm, err := bpf.NewVM(program)
			if err != nil {
				t.Fatal(err)
			}
			for n := range frame {
				got, err := vm.Run(frame[:n])
				if err != nil || got >= sockets {
					t.Fatalf("port %d, %d sockets, %d bytes: socket %d, %v", port, sockets, n, got, err)
				}
			}
		}
	}
}

func TestUDPAllocatesNothingPerDatagram(t *testing.T) {
	u, at := listen(t, UDPConfig{Workers: 1, ReceiveBuffer: 8 << 20})
	c := dial(t, at)
	s := u.Sources()[0]
	payload := make([]byte, 600)
	allocs := testing.AllocsPerRun(200, func() {
		c.Write(payload)
		b, err := s.Next()
		if err != nil || len(b.Datagrams) != 1 {
			t.Fatalf("%d datagrams, %v", len(b.Datagrams), err)
		}
		s.Release(b)
	})
	if allocs != 0 {
		t.Errorf("%v allocations for a datagram sent and received, want 0", allocs)
	}
}

func TestUDPLeavesNoDescriptors(t *testing.T) {
	count := func() int {
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	before := count()
	for range 3 {
		u, err := ListenUDP(UDPConfig{Workers: 4, VXLAN: loopbackAny, GENEVE: loopbackAny, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		// One that fails half way: the second address is taken.
		_, err = ListenUDP(UDPConfig{Workers: 2, VXLAN: []netip.AddrPort{loopbackAny[0], u.Groups()[0].Address}, Log: slog.New(slog.DiscardHandler)})
		if err == nil {
			t.Error("a taken address was opened again")
		}
		u.Close()
	}
	if after := count(); after != before {
		t.Errorf("%d descriptors, %d before", after, before)
	}
}
