package tap

import (
	"bytes"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/periscope-collector/periscope/decode"
	"github.com/periscope-collector/periscope/filter"
	"github.com/periscope-collector/periscope/internal/lab"
	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/tunnel"
)

// datagrams returns a socket from the task to a port of its peer, where another
// one is bound, and not read.
func (w *wire) datagrams(port uint16) *net.UDPConn {
	w.t.Helper()
	to := net.UDPAddrFromAddrPort(netip.AddrPortFrom(peerAddr, port))
	var far, near *net.UDPConn
	var err error
	w.in(w.peer, func() { far, err = net.ListenUDP("udp", to) })
	if err == nil {
		w.t.Cleanup(func() { far.Close() })
		w.in(w.task, func() { near, err = net.DialUDP("udp", nil, to) })
	}
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { near.Close() })
	return near
}

// has waits until the collector has so many frames that the task sent to a port,
// or got from it, and returns them.
func (s *sink) has(t testing.TB, n int, port uint16) (frames [][]byte) {
	t.Helper()
	lab.Eventually(t, fmt.Sprintf("%d frames of port %d have arrived", n, port), func() bool {
		frames = s.of(t, port)
		return len(frames) >= n
	})
	return frames
}

// of returns the frames to and from a port.
func (s *sink) of(t testing.TB, port uint16) (frames [][]byte) {
	t.Helper()
	for _, data := range s.frames(t, 77) {
		f := packet.Frame{Data: data, Length: len(data)}
		decode.Decode(&f)
		if f.Header.SrcPort == port || f.Header.DstPort == port {
			frames = append(frames, data)
		}
	}
	return frames
}

// A journal is a log that may be read while it is written.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(b)
}

func (j *journal) count(phrase string) int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return strings.Count(j.text.String(), phrase)
}

func (j *journal) log() *slog.Logger { return slog.New(slog.NewTextHandler(j, nil)) }

// mirroring waits until a tap takes frames.
func (j *journal) mirroring(t testing.TB) {
	t.Helper()
	lab.Eventually(t, "it mirrors", func() bool { return j.count("msg=mirroring") == 1 })
}

// What the filter accepts is mirrored, by direction, and no more of it than wanted.
func TestTapFilters(t *testing.T) {
	w := newWire(t)
	s := w.collector(peerAddr)
	everywhere := netip.MustParsePrefix("0.0.0.0/0")
	program, err := (&filter.Filter{Name: "f", Rules: []filter.Rule{
		{Number: 1, Action: filter.Accept, Direction: packet.Egress, Protocol: 17, Source: everywhere, Destination: everywhere, DestinationPorts: filter.Ports{From: 5000, To: 5000}},
		{Number: 1, Action: filter.Accept, Direction: packet.Ingress, Protocol: 17, Source: everywhere, Destination: everywhere, DestinationPorts: filter.Ports{From: 5001, To: 5001}},
	}}).Compile()
	if err != nil {
		t.Fatal(err)
	}
	_, _, stop := w.tap(Config{VNI: 77, Filter: program, PacketLength: 100})
	sent, not := w.datagrams(5000), w.datagrams(5001)
	for range 10 {
		not.Write(make([]byte, 500))
		sent.Write(make([]byte, 500))
	}
	for _, f := range s.has(t, 10, 5000) {
		if len(f) != 100 || f[17]|f[16] == 0 {
			t.Errorf("a frame of %d bytes", len(f))
		}
	}
	stats := stop()
	if n := len(s.of(t, 5001)); n != 0 || len(s.frames(t, 77)) != 10 {
		t.Errorf("%d frames that were not wanted, %d in all", n, s.count())
	}
	if stats.Mirrored != 10 || stats.Bytes != 1000 || stats.Filtered < 10 || stats.Cut != 0 {
		t.Error(stats)
	}
}

// Frames that do not fit into the path MTU with what goes around them are cut, and
// say how long they were.
func TestTapCutsWhatDoesNotFit(t *testing.T) {
	for _, tt := range []struct {
		collector netip.Addr
		longest   int
	}{{peerAddr, 9001 - 36}, {peerAddr6, 9001 - 56}} {
		w := newWire(t)
		s := w.collector(tt.collector)
		_, _, stop := w.tap(Config{VNI: 77, To: netip.AddrPortFrom(tt.collector, tunnel.VXLANPort)})
		c := w.datagrams(5000)
		headers := packet.EthernetLen + ipv4Len + udpLen
		for _, length := range []int{tt.longest - 1, tt.longest, tt.longest + 1, 9001 + packet.EthernetLen} {
			c.Write(make([]byte, length-headers))
		}
		frames := s.has(t, 4, 5000)
		for i, want := range []int{tt.longest - 1, tt.longest, tt.longest, tt.longest} {
			if len(frames[i]) != want {
				t.Errorf("collector %s: frame %d has %d bytes, want %d", tt.collector, i, len(frames[i]), want)
			}
		}
		if stats := stop(); stats.Cut != 2 || stats.Truncated != 0 {
			t.Error(stats)
		}
	}
}

// What the task has the kernel cut late comes as it is on the wire.
func TestTapSplitsDatagrams(t *testing.T) {
	w := newWire(t)
	s := w.collector(peerAddr)
	_, _, stop := w.tap(Config{VNI: 77})
	c := w.datagrams(5000)
	raw, _ := c.SyscallConn()
	raw.Control(func(fd uintptr) {
		if err := unix.SetsockoptInt(int(fd), unix.IPPROTO_UDP, unix.UDP_SEGMENT, 1000); err != nil {
			t.Error(err)
		}
	})
	said := random(4321, 3)
	if _, err := c.Write(said); err != nil {
		t.Fatal(err)
	}
	var got []byte
	frames := s.has(t, 5, 5000)
	for _, f := range frames {
		if err := sound(f); err != nil {
			t.Error(err)
		}
		got = append(got, f[packet.EthernetLen+ipv4Len+udpLen:]...)
	}
	same(t, "the datagrams", got, said)
	if stats := stop(); stats.Truncated != 0 || len(frames) != 5 {
		t.Error(stats)
	}
}

// Beyond the rate frames are dropped, and counted.
func TestTapKeepsToTheRate(t *testing.T) {
	w := newWire(t)
	s := w.collector(peerAddr)
	_, _, stop := w.tap(Config{VNI: 77, Rate: 8}) // a byte a second, and a block at once
	c := w.datagrams(5000)
	for range 500 {
		c.Write(make([]byte, 1000))
	}
	s.has(t, 100, 5000)
	stats := stop()
	if stats.Bytes > blockLen || stats.Bytes < blockLen-2000 || stats.Dropped["rate"] < 200 {
		t.Error(stats)
	}
}

// A collector that does not listen is answered for by ICMP. That is not mirrored,
// or it would go round.
func TestTapDoesNotMirrorItself(t *testing.T) {
	for _, collector := range []netip.Addr{peerAddr, peerAddr6} {
		w := newWire(t)
		w.shell(w.peer, `echo 0 >/proc/sys/net/ipv4/icmp_ratelimit; echo 0 >/proc/sys/net/ipv6/icmp/ratelimit`)
		tap, _, stop := w.tap(Config{VNI: 77, To: netip.AddrPortFrom(collector, tunnel.VXLANPort)})
		c := w.datagrams(5000)
		sent := 0
		lab.Eventually(t, "the collector's host has answered", func() bool {
			c.Write(make([]byte, 100))
			sent++
			return sent >= 50 && tap.Stats().Refused > 0
		})
		stats := stop()
		if n := int(stats.Mirrored); n < sent || n > sent+30 { // neighbours find each other, too
			t.Errorf("collector %s: %d datagrams: %v, refused %d", collector, sent, stats, stats.Refused)
		}
	}
}

// It says whose the frames are first, then every so often, and that they end last.
func TestTapAnnounces(t *testing.T) {
	w := newWire(t)
	s := w.collector(peerAddr)
	announcement := func(text string) []byte { return append(make([]byte, 12), append([]byte{0x88, 0xb5}, text...)...) }
	_, _, stop := w.tap(Config{VNI: 77, AnnounceEvery: time.Millisecond, Announce: func(last bool) []byte {
		if last {
			return announcement("ends")
		}
		return announcement("begins")
	}})
	w.datagrams(5000).Write([]byte("x"))
	s.has(t, 1, 5000)
	begins := func(frame []byte) bool { return bytes.Equal(frame, announcement("begins")) }
	lab.Eventually(t, "it says so again", func() bool { return slices.ContainsFunc(s.frames(t, 77)[1:], begins) })
	stats := stop()
	lab.Eventually(t, "all has arrived", func() bool { return s.count() == int(stats.Mirrored+stats.Announced) })
	frames := s.frames(t, 77)
	if !begins(frames[0]) || !bytes.Equal(frames[len(frames)-1], announcement("ends")) || stats.Announced < 3 {
		t.Errorf("%x first, %x last; %v", frames[0], frames[len(frames)-1], stats)
	}
}

// When the interface comes back, so does the mirror.
func TestTapSurvivesAnInterfaceThatGoesDown(t *testing.T) {
	w := newWire(t)
	s := w.collector(peerAddr)
	_, j, stop := w.tap(Config{VNI: 77})
	c := w.datagrams(5000)
	w.shell(w.task, "ip link set eth0 down")
	lab.Eventually(t, "it says that the interface is down", func() bool { return j.count("interface is down") == 1 })
	w.shell(w.task, "ip link set eth0 up")
	lab.Eventually(t, "it mirrors again", func() bool {
		c.Write([]byte("back")) // what is sent before the carrier is there is lost
		return len(s.of(t, 5000)) > 0
	})
	stop()
}

func TestTapEndsWithTheInterface(t *testing.T) {
	w, j := newWire(t), &journal{}
	ended := make(chan error)
	go w.in(w.task, func() {
		tap, err := Open(Config{Interface: "eth0", To: netip.AddrPortFrom(taskAddr, 4789), Log: j.log()})
		if err == nil {
			err = tap.Run(t.Context())
			tap.Close()
		}
		ended <- err
	})
	j.mirroring(t)
	w.shell(w.task, "ip link set eth0 down")
	lab.Eventually(t, "it says that the interface is down", func() bool { return j.count("interface is down") == 1 })
	w.shell(w.task, "ip link delete eth0")
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "mirror eth0: the interface is gone") {
		t.Errorf("error %v", err)
	}
}

func TestOpenRefuses(t *testing.T) {
	good := Config{Interface: "lo", To: netip.MustParseAddrPort("127.0.0.1:4789"), Log: slog.New(slog.DiscardHandler)}
	for want, change := range map[string]func(*Config){
		"want an address and a port": func(c *Config) { c.To = netip.AddrPort{} },
		"vni 16777216: want":         func(c *Config) { c.VNI = 1 << 24 },
		"packet length -1: want":     func(c *Config) { c.PacketLength = -1 },
		"rate -1: want":              func(c *Config) { c.Rate = -1 },
		"announcement every 0s":      func(c *Config) { c.Announce = func(bool) []byte { return nil } },
		"processor share -1: want":   func(c *Config) { c.CPU = -1 },
		"no such network interface":  func(c *Config) { c.Interface = "absent0" },
	} {
		c := good
		change(&c)
		if tap, err := Open(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
			if err == nil {
				tap.Close()
			}
		}
	}
}
