package tap

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/periscope-collector/periscope/internal/lab"
	"github.com/periscope-collector/periscope/tunnel"
)

// A wire joins two network namespaces: that of a task, and that of all it talks
// to, its collector among them. Offloads are on, as on the hosts of tasks.
type wire struct {
	t          testing.TB
	task, peer string // namespaces
}

var (
	taskAddr, peerAddr   = netip.MustParseAddr("10.77.0.2"), netip.MustParseAddr("10.77.0.1")
	taskAddr6, peerAddr6 = netip.MustParseAddr("fd77::2"), netip.MustParseAddr("fd77::1")
)

func newWire(t testing.TB) *wire {
	t.Helper()
	lab.Need(t, "ip", "ethtool")
	id := fmt.Sprintf("tap-%d-%04x-", os.Getpid(), rand.N(1<<16))
	w := &wire{t, id + "task", id + "peer"}
	for _, ns := range []string{w.task, w.peer} {
		command(t, "ip", "netns", "add", ns)
		t.Cleanup(func() { command(t, "ip", "netns", "delete", ns) })
	}
	command(t, "ip", "link", "add", "eth0", "mtu", "9001", "netns", w.task, "type", "veth",
		"peer", "name", "eth0", "mtu", "9001", "netns", w.peer)
	for ns, addresses := range map[string][2]netip.Addr{w.task: {taskAddr, taskAddr6}, w.peer: {peerAddr, peerAddr6}} {
		w.shell(ns, fmt.Sprintf(`
			echo 0 >/proc/sys/net/ipv6/conf/default/accept_dad
			echo 0 >/proc/sys/net/ipv6/conf/eth0/accept_dad
			ethtool -K eth0 gro on >/dev/null
			ip link set lo up
			ip address add %s/24 dev eth0
			ip address add %s/64 dev eth0 nodad
			ip link set eth0 up`, addresses[0], addresses[1]))
	}
	lab.Eventually(t, "both ends are up", func() bool {
		return strings.Contains(w.shell(w.task, "ip link show eth0"), "state UP") &&
			strings.Contains(w.shell(w.peer, "ip link show eth0"), "state UP")
	})
	return w
}

// segments has TCP use such segments.
func (w *wire) segments(mss int) {
	for _, ns := range []string{w.task, w.peer} {
		w.shell(ns, fmt.Sprintf(`ip route change 10.77.0.0/24 dev eth0 advmss %d; ip -6 route add fd77::/64 dev eth0 metric 1 advmss %[1]d`, mss))
	}
}

func (w *wire) shell(ns, lines string) string {
	w.t.Helper()
	return command(w.t, "ip", "netns", "exec", ns, "sh", "-euc", lines)
}

func command(t testing.TB, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// in calls f on a thread of the namespace, which ends with it.
func (w *wire) in(ns string, f func()) {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // for good: the thread ends with the goroutine
		file, err := os.Open("/run/netns/" + ns)
		if err == nil {
			err = unix.Setns(int(file.Fd()), unix.CLONE_NEWNET)
			file.Close()
		}
		if err == nil {
			f()
		}
		done <- err
	}()
	if err := <-done; err != nil {
		w.t.Fatal(err)
	}
}

// A sink is a collector: a UDP socket that keeps what arrives.
type sink struct {
	conn  *net.UDPConn
	mu    sync.Mutex
	list  [][]byte
	ports map[int]bool
	done  chan struct{}
}

// collector listens at the peer, on VXLAN's port.
func (w *wire) collector(addr netip.Addr) *sink {
	w.t.Helper()
	s := &sink{done: make(chan struct{}), ports: make(map[int]bool)}
	w.in(w.peer, func() {
		conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(addr, tunnel.VXLANPort)))
		if err != nil {
			w.t.Error(err)
			return
		}
		raw, err := conn.SyscallConn()
		if err == nil {
			raw.Control(func(fd uintptr) {
				err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 256<<20)
			})
		}
		if err != nil {
			w.t.Error(err)
		}
		s.conn = conn
	})
	if s.conn == nil {
		w.t.FailNow()
	}
	go s.read()
	w.t.Cleanup(func() { s.conn.Close(); <-s.done })
	return s
}

func (s *sink) read() {
	defer close(s.done)
	b := make([]byte, 1<<16)
	for {
		n, from, err := s.conn.ReadFromUDPAddrPort(b)
		if err != nil {
			return
		}
		s.mu.Lock()
		s.list = append(s.list, bytes.Clone(b[:n]))
		s.ports[int(from.Port())] = true
		s.mu.Unlock()
	}
}

// frames returns what arrived, without the tunnel header.
func (s *sink) frames(t testing.TB, vni uint32) [][]byte {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	var frames [][]byte
	for _, datagram := range s.list {
		h, frame, fault := tunnel.ParseVXLAN(datagram)
		if fault != tunnel.OK || h.VNI != vni {
			t.Fatalf("fault %v, VNI %d", fault, h.VNI)
		}
		frames = append(frames, frame)
	}
	return frames
}

func (s *sink) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.list)
}

// tap runs a Tap in the task until stop is called, which returns its counts. It
// mirrors already, and what it says is in the journal.
func (w *wire) tap(cfg Config) (tap *Tap, said *journal, stop func() Stats) {
	w.t.Helper()
	if cfg.Interface == "" {
		cfg.Interface = "eth0"
	}
	if !cfg.To.IsValid() {
		cfg.To = netip.AddrPortFrom(peerAddr, tunnel.VXLANPort)
	}
	if cfg.group == "" {
		cfg.group = w.t.TempDir() // where the tests are short of processor, the tap still mirrors
	}
	said = &journal{}
	cfg.Log = said.log()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	opened := make(chan *Tap)
	go w.in(w.task, func() {
		tap, err := Open(cfg)
		opened <- tap
		if err == nil {
			err = tap.Run(ctx)
		}
		ended <- err
	})
	if tap = <-opened; tap == nil {
		w.t.Fatal(<-ended)
	}
	stop = sync.OnceValue(func() Stats {
		cancel()
		if err := <-ended; err != nil {
			w.t.Error(err)
		}
		if err := tap.Close(); err != nil {
			w.t.Error(err)
		}
		return tap.Stats()
	})
	w.t.Cleanup(func() { stop() })
	said.mirroring(w.t)
	return tap, said, stop
}
