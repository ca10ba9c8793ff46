package live_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"golang.org/x/sys/unix"

	"github.com/periscope-collector/periscope/bench/blast/live"
	"github.com/periscope-collector/periscope/bench/traffic"
	"github.com/periscope-collector/periscope/internal/lab"
	"github.com/periscope-collector/periscope/internal/leak"
)

func TestMain(m *testing.M) { leak.Check(m) }

var mac = [6]byte{0x02, 0, 0, 0, 0, 2}

func config(size, flows int) live.Config {
	return live.Config{
		Interface: "b0", MAC: mac, VNI: 0xabcdef, Size: size, Flows: flows,
		Source: netip.MustParseAddr("10.9.0.2"), Target: netip.MustParseAddr("10.9.0.1"),
	}
}

// inNamespace runs f in a thread with a network of its own, in which b0 and b1
// are a veth pair. The network goes with the thread.
func inNamespace(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	lab.Need(t, "ip", "ethtool")
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked, so that the thread ends
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			t.Errorf("make a network namespace: %v", err)
			return
		}
		out, err := exec.Command("sh", "-euc", `
			echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6
			ip link add b0 mtu 9216 type veth peer name b1 mtu 9216 address 02:00:00:00:00:02
			ethtool -K b1 gro on
			ip link set b0 up
			ip link set b1 up
			# Till the kernel has looked at the carrier, socket buffers go nowhere.
			for name in b0 b1; do
				until ip link show $name | grep -q 'state UP'; do sleep 0.01; done
			done`).CombinedOutput()
		if err != nil {
			t.Errorf("make a veth pair: %v\n%s", err, out)
			return
		}
		f(t)
	}()
	<-done
}

// arrived returns how many packets b1 received and b0 dropped.
func arrived(t *testing.T) (received, dropped uint64) {
	t.Helper()
	text, err := os.ReadFile("/proc/thread-self/net/dev")
	if err != nil {
		t.Error(err)
	}
	for line := range strings.Lines(string(text)) {
		name, rest, _ := strings.Cut(strings.TrimSpace(line), ":")
		fields := strings.Fields(rest)
		switch name {
		case "b0":
			dropped, _ = strconv.ParseUint(fields[11], 10, 64)
		case "b1":
			received, _ = strconv.ParseUint(fields[1], 10, 64)
		}
	}
	return received, dropped
}

// settle waits until n frames are received or dropped.
func settle(t *testing.T, n uint64) (received, dropped uint64) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; runtime.Gosched() {
		received, dropped = arrived(t)
		if received+dropped >= n || time.Now().After(deadline) {
			return received, dropped
		}
	}
}

func send(t *testing.T, s *live.Sender, n uint32) {
	t.Helper()
	if err := s.Send(n); err != nil {
		t.Error(err)
	}
}

// TestFrames reads every frame from the other end, and holds it to what was
// promised.
func TestFrames(t *testing.T) {
	for _, test := range []struct {
		size, flows   int
		unread, count uint32
	}{
		{live.MinSize, 1, 0, 1},
		{live.MinSize + 1, 3, 0, 63},
		{128, 7, 0, 64},
		{504, 100, 0, 65},
		{live.MaxLive, 130, 0, 200},
		{live.MaxLive + 1, 130, 0, 200},
		{live.MaxSize, 7, 0, 130},
		{504, live.MaxFlows, 1<<16 - 3, 10}, // where flows come to the next port
	} {
		t.Run(fmt.Sprintf("size=%d,flows=%d", test.size, test.flows), func(t *testing.T) {
			inNamespace(t, func(t *testing.T) {
				s, err := live.Open(config(test.size, test.flows))
				if err != nil {
					t.Error(err)
					return
				}
				defer s.Close()
				send(t, s, test.unread)
				settle(t, uint64(test.unread))
				fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, int(htons(unix.ETH_P_IP)))
				if err != nil {
					t.Error(err)
					return
				}
				defer unix.Close(fd)
				unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 8<<20)
				unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 60})
				b := make([]byte, 9216)
				end := test.unread + test.count
				for first := test.unread; first < end; first += 50 { // in several calls, at a low rate
					n := min(50, end-first)
					send(t, s, n)
					for i := range n {
						length, _, err := unix.Recvfrom(fd, b, 0)
						if err != nil {
							t.Errorf("frame %d: %v", first+i, err)
							return
						}
						checkFrame(t, b[:length], uint64(first+i), test.size, test.flows)
					}
				}
				if sent, err := s.Sent(); sent != uint64(end) || err != nil {
					t.Errorf("sent %d, %v; want %d", sent, err, end)
				}
			})
		})
	}
}

func htons(n uint16) uint16 { return n<<8 | n>>8 }

// checkFrame holds a datagram against frame n, by gopacket.
func checkFrame(t *testing.T, b []byte, n uint64, size, flows int) {
	t.Helper()
	flow, segment := n%uint64(flows), n/uint64(flows)
	p := gopacket.NewPacket(b, layers.LayerTypeEthernet, gopacket.Default)
	if p.ErrorLayer() != nil || len(p.Layers()) < 7 {
		t.Errorf("frame %d: %v", n, p)
		return
	}
	outer, inner := p.Layers()[1].(*layers.IPv4), p.Layers()[5].(*layers.IPv4)
	udp, vxlan := p.Layers()[2].(*layers.UDP), p.Layers()[3].(*layers.VXLAN)
	tcp := p.Layers()[6].(*layers.TCP)
	if outer.SrcIP.String() != "10.9.0.2" || outer.DstIP.String() != "10.9.0.1" || udp.DstPort != 4789 || udp.Checksum != 0 || udp.SrcPort < 65408 || vxlan.VNI != 0xabcdef {
		t.Errorf("frame %d: outer headers %v %v %v", n, outer, udp, vxlan)
	}
	if !bytes.Equal(p.Layers()[0].LayerContents()[:6], mac[:]) {
		t.Errorf("frame %d: not to %x", n, mac)
	}
	mirrored := p.Layers()[3].LayerPayload()
	if got, ok := traffic.Sequence(mirrored); got != n || !ok || len(mirrored) != size {
		t.Errorf("frame %d: sequence number %d (%v), %d bytes", n, got, ok, len(mirrored))
	}
	wantPort, wantSeq := layers.TCPPort(1024+flow>>16), uint32(segment)*uint32(size-54)
	if got := binary.BigEndian.Uint16(inner.SrcIP.To4()[2:]); got != uint16(flow) || tcp.SrcPort != wantPort || tcp.Seq != wantSeq {
		t.Errorf("frame %d: flow %v:%v, sequence number %d of TCP; want %d:%d, %d", n, inner.SrcIP, tcp.SrcPort, tcp.Seq, uint16(flow), wantPort, wantSeq)
	}
	tcp.SetNetworkLayerForChecksum(inner)
	again := gopacket.NewSerializeBuffer()
	err := gopacket.SerializeLayers(again, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true},
		inner, tcp, gopacket.Payload(tcp.LayerPayload()))
	if want := mirrored[14:]; err != nil || !bytes.Equal(again.Bytes(), want) {
		t.Errorf("frame %d: %v\n got %x\nwant %x, checksums and all", n, err, want, again.Bytes())
	}
	checked := *outer
	again.Clear()
	if err := checked.SerializeTo(again, gopacket.SerializeOptions{ComputeChecksums: true}); err != nil || checked.Checksum != outer.Checksum {
		t.Errorf("frame %d: outer checksum %#x, want %#x", n, outer.Checksum, checked.Checksum)
	}
}

// TestCounts says that what is sent is received or counted as dropped, however
// the other end is.
func TestCounts(t *testing.T) {
	for name, test := range map[string]struct {
		setup string
		drop  bool
		size  int
		sent  uint32
		lost  bool // all
	}{
		"one":              {"", false, 504, 1, false},
		"batch":            {"", false, 504, 64, false},
		"batch and one":    {"", false, 504, 65, false},
		"many":             {"", false, 504, 50_000, false},
		"drop":             {"", true, 504, 50_000, false},
		"too long":         {"ip link set b1 mtu 535", false, 504, 1000, true}, // the kernel allows for a VLAN tag
		"just short":       {"ip link set b1 mtu 536", false, 504, 1000, false},
		"jumbo":            {"", false, 8900, 10_000, false},
		"drop jumbo":       {"", true, 8900, 10_000, false},
		"jumbo too long":   {"ip link set b1 mtu 8931", false, 8900, 1000, true},
		"jumbo just short": {"ip link set b1 mtu 8932", false, 8900, 1000, false},
	} {
		t.Run(name, func(t *testing.T) {
			inNamespace(t, func(t *testing.T) {
				if out, err := exec.Command("sh", "-euc", test.setup).CombinedOutput(); err != nil {
					t.Errorf("%v\n%s", err, out)
					return
				}
				if test.drop {
					other, err := net.InterfaceByName("b1")
					if err != nil {
						t.Error(err)
						return
					}
					detach, err := live.Drop(other.Index)
					if err != nil {
						t.Error(err)
						return
					}
					defer detach()
				}
				s, err := live.Open(config(test.size, 100))
				if err != nil {
					t.Error(err)
					return
				}
				defer s.Close()
				send(t, s, test.sent)
				sent, err := s.Sent()
				if err != nil || sent != uint64(test.sent) {
					t.Errorf("sent %d, %v; want %d", sent, err, test.sent)
				}
				received, dropped := settle(t, sent)
				if received+dropped != sent || test.lost && received != 0 || !test.lost && sent <= 256 && dropped != 0 {
					t.Errorf("%d sent, %d received, %d dropped", sent, received, dropped)
				}
				t.Logf("%d sent, %d received, %d dropped", sent, received, dropped)
			})
		})
	}
}

func TestOpenRefuses(t *testing.T) {
	for want, change := range map[string]func(*live.Config){
		"inner frame of 79 bytes":   func(c *live.Config) { c.Size = live.MinSize - 1 },
		"inner frame of 9002 bytes": func(c *live.Config) { c.Size = live.MaxSize + 1 },
		"0 flows":                   func(c *live.Config) { c.Flows = 0 },
		"2097153 flows":             func(c *live.Config) { c.Flows = live.MaxFlows + 1 },
		"outer addresses ::1":       func(c *live.Config) { c.Source = netip.IPv6Loopback() },
		"interface nosuch: ":        func(c *live.Config) { c.Interface = "nosuch" },
	} {
		c := config(504, 100)
		change(&c)
		if s, err := live.Open(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, %v; want an error with %q", s, err, want)
		}
	}
}
