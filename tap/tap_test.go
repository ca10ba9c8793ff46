package tap

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/periscope-collector/periscope/bench/traffic"
	"github.com/periscope-collector/periscope/decode"
	"github.com/periscope-collector/periscope/internal/lab"
	"github.com/periscope-collector/periscope/packet"
)

// converse sends so many bytes each way over one TCP connection between the task
// and its peer, in turns, and returns what the task sent and got.
func (w *wire) converse(host netip.Addr, size int, seed uint64) (sent, got []byte) {
	w.t.Helper()
	up, down := random(size, seed), random(size, seed+1)
	var l net.Listener
	w.in(w.peer, func() {
		var err error
		if l, err = net.Listen("tcp", netip.AddrPortFrom(host, 0).String()); err != nil {
			w.t.Error(err)
		}
	})
	if l == nil {
		w.t.FailNow()
	}
	defer l.Close()
	served := make(chan []byte)
	go func() {
		defer close(served)
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		pace(w.t, c)
		b := make([]byte, size)
		if _, err := io.ReadFull(c, b); err != nil {
			return
		}
		c.Write(down)
		io.Copy(io.Discard, c)
		served <- b
	}()
	var c net.Conn
	w.in(w.task, func() {
		var err error
		if c, err = net.Dial("tcp", l.Addr().String()); err != nil {
			w.t.Error(err)
		}
	})
	if c == nil {
		w.t.FailNow()
	}
	pace(w.t, c)
	c.Write(up)
	b := make([]byte, size)
	if _, err := io.ReadFull(c, b); err != nil {
		w.t.Error(err)
	}
	c.Close()
	if !bytes.Equal(<-served, up) || !bytes.Equal(b, down) {
		w.t.Fatal("TCP itself lost something")
	}
	return up, down
}

// checksums has tshark say that those of all frames are right.
func checksums(t testing.TB, frames [][]byte) {
	t.Helper()
	lab.Need(t, "tshark")
	file := traffic.AppendPcapHeader(nil, traffic.LinkEthernet)
	for i, f := range frames {
		file = traffic.AppendPcapRecord(file, int64(i)*1000, f, len(f))
	}
	path := filepath.Join(t.TempDir(), "frames.pcap")
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	good := command(t, "tshark", "-n", "-r", path, "-o", "ip.check_checksum:TRUE", "-o", "tcp.check_checksum:TRUE",
		"-o", "udp.check_checksum:TRUE", "-Y", "(ip.checksum.status == 1 or ipv6) and (tcp.checksum.status == 1 or udp.checksum.status == 1)",
		"-T", "fields", "-e", "frame.number")
	found := make(map[int]bool)
	for line := range strings.Lines(good) {
		if n, err := strconv.Atoi(strings.TrimSpace(line)); err == nil { // it warns root
			found[n-1] = true
		}
	}
	for i, f := range frames {
		h := packet.Frame{Data: f}
		decode.Decode(&h)
		if (h.Header.Protocol == packet.ProtocolTCP || h.Header.Protocol == packet.ProtocolUDP) && !found[i] {
			t.Errorf("tshark does not find frame %d good: %v: %x", i, sound(f), f[:min(len(f), 100)])
		}
	}
}

// pace keeps TCP at 400 Mbit/s, so that a veth of 256 frames does not overflow.
func pace(t testing.TB, c net.Conn) {
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err == nil {
		raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_MAX_PACING_RATE, 50<<20) })
	}
	if err != nil {
		t.Error(err)
	}
}

func random(n int, seed uint64) []byte {
	var key [32]byte
	binary.BigEndian.PutUint64(key[:], seed)
	b := make([]byte, n)
	rand.NewChaCha8(key).Read(b)
	return b
}

// streams puts the TCP streams of the frames together, by the sender.
func streams(t testing.TB, frames [][]byte) map[packet.Addr][]byte {
	t.Helper()
	type side struct {
		addr packet.Addr
		port uint16
	}
	first := make(map[side]uint32)
	whole := make(map[packet.Addr][]byte)
	for _, data := range frames {
		f := packet.Frame{Data: data, Length: len(data)}
		decode.Decode(&f)
		h := &f.Header
		if h.Protocol != packet.ProtocolTCP {
			continue
		}
		if h.Anomaly != packet.NoAnomaly || f.Length != len(data) {
			t.Fatalf("anomaly %v, %d bytes of %d", h.Anomaly, len(data), f.Length)
		}
		tcp := data[h.Transport:]
		seq, s := binary.BigEndian.Uint32(tcp[4:]), side{h.Src, h.SrcPort}
		if tcp[13]&2 != 0 {
			first[s] = seq + 1
			continue
		}
		begin, ok := first[s]
		if !ok {
			t.Fatal("data before the SYN")
		}
		payload := data[h.Payload:]
		at := int(seq - begin)
		if len(payload) == 0 {
			continue
		}
		b := whole[s.addr]
		if at+len(payload) > len(b) {
			b = slices.Grow(b, at+len(payload)-len(b))[:at+len(payload)]
		}
		copy(b[at:], payload)
		whole[s.addr] = b
	}
	return whole
}

func same(t testing.TB, what string, got, want []byte) {
	t.Helper()
	if !bytes.Equal(got, want) {
		i := 0
		for i < min(len(got), len(want)) && got[i] == want[i] {
			i++
		}
		t.Errorf("%s: %d bytes %x, want %d %x; they differ from %d on", what, len(got), sha256.Sum256(got), len(want), sha256.Sum256(want), i)
	}
}

// What TCP says comes out whole, in frames that the wire can carry, though the
// kernel shows the tap frames of 64 KiB with no checksums.
func TestTapMirrorsWhatTCPSays(t *testing.T) {
	for _, tt := range []struct {
		name  string
		host  netip.Addr
		mss   int
		plain bool
	}{
		{"IPv4, long segments", peerAddr, 8880, false},
		{"IPv4", peerAddr, 1460, false},
		{"IPv6, long segments", peerAddr6, 8880, false},
		{"IPv6", peerAddr6, 1460, false},
		{"datagram by datagram", peerAddr, 1460, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWire(t)
			w.segments(tt.mss)
			s := w.collector(peerAddr)
			_, _, stop := w.tap(Config{VNI: 77, ring: 64 << 20, plain: tt.plain})
			sent, got := w.converse(tt.host, 8<<20, 1)
			stats := stop()
			lab.Eventually(t, "all has arrived", func() bool { return s.count() == int(stats.Mirrored) })
			frames := s.frames(t, 77)
			whole := streams(t, frames)
			far, near := packet.AddrFrom(tt.host), packet.AddrFrom(taskAddr)
			if tt.host.Is6() {
				near = packet.AddrFrom(taskAddr6)
			}
			same(t, "what the task sent", whole[near], sent)
			same(t, "what the task got", whole[far], got)
			longest := 0
			for _, f := range frames {
				longest = max(longest, len(f))
			}
			headers := packet.EthernetLen + ipv4Len + tcpLen
			if tt.host.Is6() {
				headers = packet.EthernetLen + ipv6Len + tcpLen
			}
			if longest != tt.mss+headers { // of options, and what they leave for the payload
				t.Errorf("the longest frame has %d bytes, want %d", longest, tt.mss+headers)
			}
			checksums(t, frames)
			if t.Failed() {
				t.Log(stats)
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			if len(s.ports) != 1 || !s.ports[firstPort+77] {
				t.Errorf("from ports %v, want %d", s.ports, firstPort+77)
			}
		})
	}
}
