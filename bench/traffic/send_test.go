package traffic

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/periscope-collector/periscope/internal/lab"
	"github.com/periscope-collector/periscope/tunnel"
)

// listen returns a socket on loopback and its address. What waits in it when
// sending has ended is all there is: loopback delivers at once.
func listen(t *testing.T, address string) (*net.UDPConn, netip.AddrPort) {
	t.Helper()
	c, err := net.ListenPacket("udp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	conn := c.(*net.UDPConn)
	if err := conn.SetReadBuffer(1 << 20); err != nil {
		t.Fatal(err)
	}
	return conn, conn.LocalAddr().(*net.UDPAddr).AddrPort()
}

// received is what one datagram holds.
type received struct {
	port  uint16
	vni   uint32
	frame []byte
}

// drain reads what waits in the socket. On the loopback that is all that was
// sent. It does not go by a deadline, which a busy machine can let pass before
// the first read.
func drain(t *testing.T, c *net.UDPConn) []received {
	t.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var all []received
	b := make([]byte, 1<<16)
	for {
		n, from := 0, unix.Sockaddr(nil)
		control := raw.Control(func(fd uintptr) { n, from, err = unix.Recvfrom(int(fd), b, unix.MSG_DONTWAIT) })
		if err == unix.EINTR {
			continue
		}
		if err == unix.EAGAIN {
			return all
		}
		if err != nil || control != nil {
			t.Fatal(err, control)
		}
		v, frame, fault := tunnel.ParseVXLAN(b[:n])
		if fault != tunnel.OK || v.Reserved {
			t.Fatalf("datagram %d: fault %d, reserved %v", len(all), fault, v.Reserved)
		}
		all = append(all, received{port(from), v.VNI, append([]byte(nil), frame...)})
	}
}

func port(from unix.Sockaddr) uint16 {
	switch from := from.(type) {
	case *unix.SockaddrInet4:
		return uint16(from.Port)
	case *unix.SockaddrInet6:
		return uint16(from.Port)
	}
	return 0
}

func TestSendArrivesWhole(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		for _, rate := range []float64{0, 20_000} {
			t.Run(fmt.Sprintf("%s rate %v", address, rate), func(t *testing.T) {
				conn, to := listen(t, address)
				const n = 300
				result, err := Send(t.Context(), SendConfig{To: to, VNI: 0xabcdef, Rate: rate, Count: n, Seed: 3})
				if err != nil {
					t.Fatal(err)
				}
				all := drain(t, conn)
				seen, bytes := make(map[uint64]bool), 0
				for i, r := range all {
					sequence, ok := Sequence(r.frame)
					if !ok || sequence >= n || seen[sequence] {
						t.Fatalf("datagram %d has sequence number %d, %v", i, sequence, ok)
					}
					seen[sequence] = true
					bytes += len(r.frame)
					if r.vni != 0xabcdef {
						t.Fatalf("datagram %d has VNI %#x", i, r.vni)
					}
					if r.port < firstPort {
						t.Fatalf("datagram %d comes from port %d", i, r.port)
					}
				}
				if len(seen) != n || result.Packets != n || result.Bytes != int64(bytes) {
					t.Errorf("%d arrived of %d bytes, result %+v", len(seen), bytes, result)
				}
			})
		}
	}
}

func TestSendUsesThePortOfTheFlow(t *testing.T) {
	// Of the 128 ports, others may hold any; Send then takes another one. Here is
	// nobody else.
	lab.Need(t, "ip")
	runtime.LockOSThread() // for good: the thread ends with the test
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	conn, to := listen(t, "127.0.0.1:0")
	if _, err := Send(t.Context(), SendConfig{To: to, Count: 200, Size: 64}); err != nil {
		t.Fatal(err)
	}
	right := 0
	all := drain(t, conn)
	for _, r := range all {
		if r.port == SourcePort(r.frame) {
			right++
		}
	}
	if right != len(all) || right != 200 {
		t.Errorf("%d of %d come from the port of their flow", right, len(all))
	}
}

func TestSendPortInUse(t *testing.T) {
	// Another sender on this machine may have some of the ports too.
	var taken net.PacketConn
	for port := firstPort; taken == nil && port < 1<<16; port++ {
		taken, _ = net.ListenPacket("udp4", fmt.Sprintf("0.0.0.0:%d", port))
	}
	if taken == nil {
		t.Fatal("no port of a mirror source is free")
	}
	inUse := uint16(taken.LocalAddr().(*net.UDPAddr).Port)
	t.Cleanup(func() { taken.Close() })
	g := newGroup(netip.MustParseAddrPort("127.0.0.1:9"))
	t.Cleanup(func() { g.close() })
	c, err := g.conn(t.Context(), inUse)
	if err != nil {
		t.Fatal(err)
	}
	if got := c.udp.LocalAddr().(*net.UDPAddr).Port; got == int(inUse) || got < firstPort {
		t.Errorf("port %d instead of the one in use", got)
	}
	if again, _ := g.conn(t.Context(), inUse); again != c {
		t.Error("the same port gives another socket")
	}
}

func TestSendFrames(t *testing.T) {
	conn, to := listen(t, "127.0.0.1:0")
	// Short and long ones, more bytes than a batch holds.
	want := make([][]byte, 20)
	for i := range want {
		want[i] = newFiller(i * 3000)
	}
	i := 0
	next := func(b []byte) ([]byte, error) {
		if i == len(want) {
			return nil, io.EOF
		}
		i++
		return append(b, want[i-1]...), nil
	}
	result, err := Send(t.Context(), SendConfig{To: to, Next: next})
	if err != nil {
		t.Fatal(err)
	}
	all := drain(t, conn)
	if len(all) != len(want) || result.Packets != int64(len(want)) {
		t.Fatalf("%d arrived, result %+v", len(all), result)
	}
	for i := range want {
		if string(all[i].frame) != string(want[i]) {
			t.Errorf("frame %d: %d bytes arrived, or others", i, len(all[i].frame))
		}
	}
}

func TestSendStopsAtErrors(t *testing.T) {
	failure := errors.New("broken")
	for _, test := range []struct {
		name string
		last func(b []byte) ([]byte, error)
		want string
	}{
		{"of the frames", func([]byte) ([]byte, error) { return nil, failure }, "broken"},
		{"too long", func(b []byte) ([]byte, error) { return append(b, make([]byte, maxFrame+1)...), nil }, "65500 bytes"},
	} {
		t.Run(test.name, func(t *testing.T) {
			conn, to := listen(t, "127.0.0.1:0")
			frames, i := NewFrames(FramesConfig{}), 0
			result, err := Send(t.Context(), SendConfig{To: to, Next: func(b []byte) ([]byte, error) {
				if i++; i > 3 {
					return test.last(b)
				}
				return frames.Append(b), nil
			}})
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v", err)
			}
			if n := len(drain(t, conn)); n != 3 || result.Packets != 3 {
				t.Errorf("%d arrived of the 3 before, result %+v", n, result)
			}
		})
	}
}

func TestSendLongestFrame(t *testing.T) {
	conn, to := listen(t, "127.0.0.1:0")
	_, err := Send(t.Context(), SendConfig{To: to, Count: 1, Next: func(b []byte) ([]byte, error) {
		return append(b, make([]byte, maxFrame)...), nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	if all := drain(t, conn); len(all) != 1 || len(all[0].frame) != maxFrame {
		t.Errorf("%d arrived", len(all))
	}
}

// A refusal comes by the kernel's own work, perhaps a little later: the next datagram
// of the flow meets it. Of 127.0.0.3 nobody is given a port by itself.
func TestSendNothingListens(t *testing.T) {
	conn, to := listen(t, "127.0.0.3:0")
	conn.Close()
	result, err := Send(t.Context(), SendConfig{To: to, Count: 20, Rate: 50, Flows: 1})
	if err == nil || !strings.Contains(err.Error(), "nothing listens on "+to.String()) {
		t.Errorf("error %v", err)
	}
	if result.Packets != 20 {
		t.Errorf("%d sent of 20", result.Packets)
	}
}

func TestSendIsCancelled(t *testing.T) {
	_, to := listen(t, "127.0.0.1:0")
	for _, rate := range []float64{0, 100_000, 0.001} {
		ctx, cancel := context.WithCancel(t.Context())
		frames := NewFrames(FramesConfig{})
		result, err := Send(ctx, SendConfig{To: to, Rate: rate, Next: func(b []byte) ([]byte, error) {
			cancel()
			return frames.Append(b), nil
		}})
		if err != nil || result.Packets > batchLen {
			t.Errorf("rate %v: %+v, %v", rate, result, err)
		}
	}
}

func TestSendRefusesBadConfiguration(t *testing.T) {
	to := netip.MustParseAddrPort("127.0.0.1:4789")
	for want, c := range map[string]SendConfig{
		"target":   {},
		"vni":      {To: to, VNI: 1 << 24},
		"rate -1":  {To: to, Rate: -1},
		"rate 1e+": {To: to, Rate: 1e10},
		"count":    {To: to, Count: -1},
		"flows":    {To: to, Flows: maxFlows + 1},
	} {
		if _, err := Send(t.Context(), c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want an error about %q, got %v", want, err)
		}
	}
	ok := SendConfig{To: to, VNI: 1<<24 - 1, Rate: 1e9, Flows: maxFlows}
	if err := ok.Validate(); err != nil {
		t.Error(err)
	}
}

func TestSendDoesNotAllocate(t *testing.T) {
	_, to := listen(t, "127.0.0.1:0")
	s := &sender{config: SendConfig{To: to}, group: newGroup(to), pacer: newPacer(0)}
	frames := NewFrames(FramesConfig{Size: 9001, Burst: batchLen, Flows: 2})
	s.next = func(b []byte) ([]byte, error) { return frames.Append(b), nil }
	t.Cleanup(func() { s.group.close() })
	ctx := t.Context()
	send := func() {
		if err := s.send(ctx, batchLen); err != nil {
			t.Fatal(err)
		}
	}
	send()
	send()
	if n := testing.AllocsPerRun(100, send); n != 0 {
		t.Errorf("%v allocations a batch", n)
	}
}

func BenchmarkSend(b *testing.B) {
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	to := c.LocalAddr().(*net.UDPAddr).AddrPort()
	result, err := Send(b.Context(), SendConfig{To: to, Count: int64(b.N)})
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(result.Bytes / result.Packets)
	b.ReportMetric(result.Rate(), "packets/s")
}
