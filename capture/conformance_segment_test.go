package capture

import (
	"bytes"
	"cmp"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/periscope-collector/periscope/bench/traffic"
	"github.com/periscope-collector/periscope/internal/lab"
	"github.com/periscope-collector/periscope/packet"
)

// A segment is a wire to a host that has addresses.
type segment struct {
	*wire
	markers int // a socket that receives them
}

// markerType is an EtherType for experiments (IEEE 802).
const markerType = 0x88b5

func newSegment(t testing.TB) *segment {
	t.Helper()
	w := newWire(t)
	stayOnProcessor(t)
	// Whether a source is one the interface would answer by is not looked at.
	for _, name := range []string{"all", "default", "far"} {
		if err := os.WriteFile("/proc/sys/net/ipv4/conf/"+name+"/rp_filter", []byte("0"), 0); err != nil {
			t.Fatal(err)
		}
	}
	for _, line := range [][]string{
		{"link", "set", "lo", "up"}, // steering is rehearsed there
		{"address", "add", target4.String() + "/8", "dev", "far"},
		{"address", "add", target6.String() + "/64", "dev", "far", "nodad"},
	} {
		ip(t, line...)
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, int(markerType&0xff<<8|markerType>>8))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	s := &segment{w, fd}
	s.reachable()
	return s
}

// reachable waits until the host answers to its addresses.
func (s *segment) reachable() {
	s.t.Helper()
	const discard = 9 // RFC 863
	host, err := net.ListenPacket("udp", netip.AddrPortFrom(netip.IPv6Unspecified(), discard).String())
	if err != nil {
		s.t.Fatal(err)
	}
	defer host.Close()
	for i, to := range []netip.Addr{target4, target6} {
		from := (&assortment{}).source(i == 1)
		pkt := traffic.AppendOuter(nil, netip.AddrPortFrom(from, discard), netip.AddrPortFrom(to, discard), []byte("hello"))
		setChecksum(pkt)
		lab.Eventually(s.t, to.String()+" is reachable", func() bool {
			s.send(pkt)
			host.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
			_, from, err := host.ReadFrom(make([]byte, 10))
			return err == nil && (i == 1) == strings.Contains(from.String(), "fd00")
		})
	}
}

// stayOnProcessor keeps the test's thread, which has the goroutine for good, on
// one processor. Packets that it sends are then received in their order.
func stayOnProcessor(t testing.TB) {
	t.Helper()
	var allowed, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &allowed); err != nil {
		t.Fatal(err)
	}
	for cpu := 0; one.Count() == 0; cpu++ {
		if allowed.IsSet(cpu) {
			one.Set(cpu)
		}
	}
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		t.Fatal(err)
	}
}

// sendAll sends packets, and returns when the host has taken them all in.
func (s *segment) sendAll(pkts [][]byte) {
	s.t.Helper()
	for _, pkt := range pkts {
		s.send(pkt)
	}
	marker := cat(farMAC(), make([]byte, 6), []byte{markerType >> 8, markerType & 0xff}, make([]byte, 46))
	s.send(marker)
	polls := []unix.PollFd{{Fd: int32(s.markers), Events: unix.POLLIN}}
	n, err := unix.Poll(polls, int(patience.Milliseconds()))
	for err == unix.EINTR { // the runtime's signals
		n, err = unix.Poll(polls, int(patience.Milliseconds()))
	}
	if err != nil || n != 1 {
		s.t.Fatalf("the marker behind %d packets has not come: %v", len(pkts), err)
	}
	if _, err := unix.Read(s.markers, make([]byte, 100)); err != nil {
		s.t.Fatal(err)
	}
}

// overlap fails the test if two datagrams, with the room in front of them, are
// in the same memory.
func overlap(t *testing.T, lent []received) {
	t.Helper()
	type span struct{ from, to uintptr }
	var spans []span
	for _, d := range lent {
		if d.Reason == packet.None {
			from := uintptr(unsafe.Pointer(unsafe.SliceData(d.Buf)))
			spans = append(spans, span{from, from + uintptr(len(d.Buf))})
		}
	}
	slices.SortFunc(spans, func(a, b span) int { return cmp.Compare(a.from, b.from) })
	for i := range spans[:max(len(spans), 1)-1] {
		if spans[i].to > spans[i+1].from {
			t.Fatalf("two of %d datagrams are in the same memory", len(lent))
		}
	}
}

// memory overwrites the room in front of every datagram, which is not the memory
// of another.
func memory(t *testing.T, b *packet.Batch, copies []received) {
	t.Helper()
	overlap(t, copies)
	for _, d := range b.Datagrams {
		for i := range d.Buf[:d.Off] {
			d.Buf[i] = 0xee
		}
	}
	for i, d := range b.Datagrams {
		if d.Reason == packet.None && (d.Off < packet.Headroom || !bytes.Equal(d.Buf[d.Off:], copies[i].payload)) {
			t.Fatalf("%s: %d bytes of headroom, and overwriting it changes datagrams", describe(copies[i]), d.Off)
		}
	}
}

// plainProbes returns datagrams of a size, of as many inner flows.
func plainProbes(n, size int) []probe {
	in := &assortment{}
	for i := range n {
		frame := flow([4]byte{10, 0, byte(i >> 8), byte(i)}, [4]byte{10, 3, 0, 1}, 1000, 53, 1)
		in.add("plain", outerForm{}, packet.VXLAN, tunnelled(packet.VXLAN, false, cat(frame, make([]byte, size))))
	}
	return in.probes
}

func packets(probes []probe) (pkts [][]byte) {
	for _, p := range probes {
		pkts = append(pkts, p.pkts...)
	}
	return pkts
}
