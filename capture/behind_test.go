package capture

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	ebpflink "github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/periscope-collector/periscope/internal/lab"
	"github.com/periscope-collector/periscope/internal/tpacket"
	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/tunnel"
)

// devices take an interface over, and keep from the IP stack what they take.
var devices = []struct {
	name string
	open func(name string, workers int) (device, error)
}{
	{"afpacket", func(name string, workers int) (device, error) {
		a, err := ListenAFPacket(AFPacketConfig{Interface: name, Workers: workers, RingBytes: 16 << 20,
			VXLAN: []uint16{tunnel.VXLANPort}, GENEVE: []uint16{tunnel.GENEVEPort}, Log: slog.New(slog.DiscardHandler)})
		if err == nil && !a.Drops() {
			err = fmt.Errorf("the kernel does not drop behind the rings")
		}
		return a, err
	}},
	{"xdp", func(name string, workers int) (device, error) {
		x, err := ListenXDP(XDPConfig{Interface: name, Workers: workers, Frames: 4096, Owner: func(*packet.Datagram) int { return 0 },
			VXLAN: []uint16{tunnel.VXLANPort}, GENEVE: []uint16{tunnel.GENEVEPort}, Log: slog.New(slog.DiscardHandler)})
		return x, err
	}},
}

// Whatever is sent to the tunnel ports, in fragments too, is taken once: by the
// rings or by the sockets.
func TestRingsAndSocketsTakeEachDatagramOnce(t *testing.T) {
	for _, tt := range devices {
		t.Run(tt.name, func(t *testing.T) {
			w := newSegment(t)
			d, err := tt.open("far", 1)
			if err != nil {
				t.Fatal(err)
			}
			defer closeDevice(t, d)
			u := openUDP(w, options{workers: 1}).(*UDP)
			defer closeDevice(t, u)
			s := Both(d.Sources(), u)[0]
			want, parts := make(map[packet.Addr]string), 0
			var got []received
			for burst := range slices.Chunk(newInput(), 100) {
				for _, p := range burst {
					if p.kind != probeElsewhere && p.kind != probeOther {
						want[p.source] = p.name
					}
					if p.kind == probeParts {
						parts++
					}
				}
				w.sendAll(packets(burst))
				got = append(got, collect(t, s, len(want)-len(got))...)
			}
			d.Stop()
			u.Stop()
			for _, d := range append(got, collect(t, s, -1)...) {
				if d.Reason != packet.None || want[d.Source] == "" {
					t.Errorf("not sent, or twice here: %s", describe(d))
				}
				delete(want, d.Source)
			}
			if len(want) != 0 || parts == 0 || d.Lost()+u.Lost() != 0 {
				t.Errorf("missing: %v; %d lost", want, d.Lost()+u.Lost())
			}
		})
	}
}

// The rest of the interface works as ever.
func TestRingsLeaveOtherTrafficAlone(t *testing.T) {
	for _, tt := range devices {
		t.Run(tt.name, func(t *testing.T) {
			newQueues(t, 1500, 1, 1)
			peer := fmt.Sprintf("periscope-behind-%d", os.Getpid())
			ip(t, "netns", "add", peer)
			t.Cleanup(func() { exec.Command("ip", "netns", "delete", peer).Run() })
			ip(t, "link", "set", "near", "netns", peer)
			ip(t, "-n", peer, "address", "add", "10.0.0.1/24", "dev", "near")
			ip(t, "-n", peer, "link", "set", "near", "up")
			ip(t, "address", "add", "10.0.0.2/24", "dev", "far")
			d, err := tt.open("far", 1)
			if err != nil {
				t.Fatal(err)
			}
			defer closeDevice(t, d)

			up := func(args ...string) bool {
				out, err := exec.Command("ip", args...).Output()
				return err == nil && strings.Contains(string(out), "state UP")
			}
			lab.Eventually(t, "the wire is up again", func() bool {
				return up("link", "show", "far") && up("-n", peer, "link", "show", "near")
			})
			ip(t, "netns", "exec", peer, "ping", "-q", "-c", "3", "-i", "0.01", "-W", "60", "10.0.0.2")
			c := listenTCP(t, "10.0.0.2:0")
			ip(t, "netns", "exec", peer, "bash", "-c", fmt.Sprintf("head -c 1000000 /dev/zero >/dev/tcp/10.0.0.2/%d", c.port))
			if n := c.received(); n != 1000000 {
				t.Errorf("%d bytes of 1,000,000 by TCP", n)
			}
		})
	}
}

// A process that is killed leaves no program behind, nor does one that closes.
func TestRingsLeaveNoProgram(t *testing.T) {
	const child = "PERISCOPE_CAPTURE_CHILD"
	if name := os.Getenv(child); name != "" { // the process that is killed
		for _, tt := range devices {
			if tt.name != name {
				continue
			}
			if _, err := tt.open("far", 1); err != nil {
				t.Fatal(err)
			}
			fmt.Println("open")
			io.Copy(io.Discard, os.Stdin)
		}
		return
	}
	for _, tt := range devices {
		t.Run(tt.name, func(t *testing.T) {
			newQueues(t, 1500, 1, 1)
			if n := programs(t); n != 0 {
				t.Fatalf("%d programs at the start", n)
			}
			cmd := exec.Command(os.Args[0], "-test.run=^TestRingsLeaveNoProgram$")
			cmd.Env = append(os.Environ(), child+"="+tt.name)
			if _, err := cmd.StdinPipe(); err != nil {
				t.Fatal(err)
			}
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			ready := make([]byte, 5)
			if _, err := io.ReadFull(out, ready); err != nil || string(ready) != "open\n" {
				t.Fatalf("the child says %q, %v", ready, err)
			}
			if n := programs(t); n != 1 {
				t.Errorf("%d programs while it runs", n)
			}
			cmd.Process.Kill()
			cmd.Wait()
			lab.Eventually(t, "no program is left", func() bool { return programs(t) == 0 })

			d, err := tt.open("far", 1) // and nothing is in the way of the next
			if err != nil {
				t.Fatal(err)
			}
			closeDevice(t, d)
			if n := programs(t); n != 0 {
				t.Errorf("%d programs after Close", n)
			}
		})
	}
}

// programs returns how many XDP and tcx programs are on far.
func programs(t *testing.T) int {
	t.Helper()
	out, err := exec.Command("ip", "-d", "link", "show", "far").Output()
	if err != nil {
		t.Fatal(err)
	}
	device, err := tpacket.Device("far")
	if err != nil {
		t.Fatal(err)
	}
	result, err := ebpflink.QueryPrograms(ebpflink.QueryOptions{Target: device.Index, Attach: ebpf.AttachTCXIngress})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Count(string(out), "prog/xdp") + len(result.Programs)
}

// dropProgram is the program behind the rings, to be run on single packets.
func dropProgram(t testing.TB) *ebpf.Program {
	t.Helper()
	program, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.SchedCLS, License: "Apache-2.0", Instructions: tcxProgram(standardPorts)})
	if err != nil {
		if os.Getenv("CI") != "true" {
			t.Skipf("programs cannot be loaded: %v: run as root", err)
		}
		t.Fatal(err)
	}
	t.Cleanup(func() { program.Close() })
	return program
}

// What is for others, such as what a bridge passes on, is left alone.
func TestDropBehindLeavesOtherHostsAlone(t *testing.T) {
	program := dropProgram(t)
	for _, tt := range []struct {
		to   []byte
		want int32
	}{
		{[]byte{0, 0, 0, 0, 0, 0}, tcxDrop}, // the loopback, where it runs
		{[]byte{2, 9, 9, 9, 9, 9}, tcxNext},
		{[]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, tcxDrop},
	} {
		verdict, _, err := program.Test(append(tt.to, outerFrame(tunnel.VXLANPort, make([]byte, 100))[6:]...))
		if err != nil || int32(verdict) != tt.want {
			t.Errorf("to %x: %d, %v, want %d", tt.to, int32(verdict), err, tt.want)
		}
	}
}

// FuzzPrograms holds the match that the programs share, run by the kernel on any
// bytes, to what outer reads. What it takes is never a fragment, and what is a
// plain datagram to a tunnel port it takes.
func FuzzPrograms(f *testing.F) {
	program := dropProgram(f)
	for _, tt := range outerCases() {
		if tt.link == ethernet {
			f.Add(tt.pkt)
		}
	}
	f.Fuzz(func(t *testing.T, pkt []byte) {
		if len(pkt) < packet.EthernetLen+1 || len(pkt) > 1500 { // what the kernel runs it on
			return
		}
		pkt = bytes.Clone(pkt)
		clear(pkt[:6]) // to the loopback, where it runs
		verdict, _, err := program.Test(pkt)
		if errors.Is(err, unix.EINVAL) { // it runs on no IP packet shorter than its header
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		takes := verdict == tcxDrop
		if !takes && int32(verdict) != tcxNext {
			t.Fatalf("verdict %d", verdict)
		}
		_, reason := outer(ethernet, pkt, len(pkt))
		if takes && reason == packet.OuterFragment {
			t.Errorf("a fragment is taken: %x", pkt)
		}
		if !takes && reason == packet.None && plainOuter(pkt) {
			t.Errorf("a datagram is not taken: %x", pkt)
		}
	})
}

// A tcpHost takes one connection and counts what comes.
type tcpHost struct {
	port int
	n    chan int64
}

func listenTCP(t *testing.T, at string) tcpHost {
	t.Helper()
	l, err := net.Listen("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	h := tcpHost{l.Addr().(*net.TCPAddr).Port, make(chan int64, 1)}
	go func() {
		defer l.Close()
		c, err := l.Accept()
		if err != nil {
			h.n <- -1
			return
		}
		defer c.Close()
		n, _ := io.Copy(io.Discard, c)
		h.n <- n
	}()
	return h
}

func (h tcpHost) received() int64 { return <-h.n }
