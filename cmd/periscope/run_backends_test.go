package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"maps"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/periscope-collector/periscope/bench/traffic"
	"github.com/periscope-collector/periscope/internal/lab"
	"github.com/periscope-collector/periscope/internal/pipeline"
)

// TestBackendsKeepTheSame sends what is in a capture file to the program, with
// each backend, and replays the file: the same sessions, frames and account
// come of it, but for what no live backend is given.
func TestBackendsKeepTheSame(t *testing.T) {
	lab.Need(t, "ip", "tc", "ethtool")
	m := newMirror(2000)
	pkts := m.packets()
	file := writeFile(t, filepath.Join(t.TempDir(), "mirror.pcap"), m.file)
	want := replayedMirror(t, file)
	if n := want.ledger.Delivered.Packets; n != uint64(m.frames) || len(want.flows) < mirrorFlows {
		t.Fatalf("replay: %d frames of %d, %d flows", n, m.frames, len(want.flows))
	}
	for _, backend := range []string{"udp", "afpacket", "xdp"} {
		t.Run(backend, func(t *testing.T) {
			got := collected(t, backend, pkts, m.frames)
			got.compare(t, want)
		})
	}
}

// packets returns the packets of the capture file.
func (m *mirror) packets() (pkts [][]byte) {
	const header = 16 // of a record
	for i, at := range m.offsets[1:] {
		pkts = append(pkts, m.file[m.offsets[i]+header:at])
	}
	return pkts
}

// An outcome is what came of the mirror.
type outcome struct {
	ledger pipeline.Ledger
	flows  map[string][]string // session and flow -> hashes of the frames, in order
}

func newOutcome(t *testing.T, l pipeline.Ledger, dir string) outcome {
	t.Helper()
	o := outcome{l, make(map[string][]string)}
	files := readTree(t, dir)
	noPartial(t, files)
	for _, f := range files {
		for _, r := range f.records {
			n, ok := traffic.Sequence(r.data)
			if !ok || r.length != len(r.data) {
				t.Fatalf("%s: not a frame that was sent, or cut", f.path)
			}
			key := fmt.Sprintf("%s, flow %d", f.session, n%mirrorFlows)
			o.flows[key] = append(o.flows[key], fmt.Sprintf("%d %x", n, sha256.Sum256(r.data)))
		}
	}
	return o
}

// compare holds an outcome against that of a replay, which also counts what is
// no datagram to a tunnel port.
func (o outcome) compare(t *testing.T, want outcome) {
	t.Helper()
	others := want.ledger.NotDelivered["not_tunnel"]
	if o.ledger.Received.Packets != want.ledger.Received.Packets-others || o.ledger.Delivered != want.ledger.Delivered ||
		sum(o.ledger.NotDelivered) != sum(want.ledger.NotDelivered)-others {
		t.Errorf("received %v, delivered %v, not %v; replay %v, %v and %v", o.ledger.Received, o.ledger.Delivered, o.ledger.NotDelivered,
			want.ledger.Received, want.ledger.Delivered, want.ledger.NotDelivered)
	}
	if o.ledger.Truncated != want.ledger.Truncated || !maps.Equal(o.ledger.Anomalies, want.ledger.Anomalies) {
		t.Errorf("truncated %d, anomalies %v; replay %d and %v", o.ledger.Truncated, o.ledger.Anomalies, want.ledger.Truncated, want.ledger.Anomalies)
	}
	if lost := o.ledger.Lost; lost.Socket+lost.Ring+lost.NIC != 0 {
		t.Errorf("lost %+v", lost)
	}
	if got, want := o.sessions(), want.sessions(); !slices.Equal(got, want) {
		t.Errorf("sessions %q, replay %q", got, want)
	}
	if got, want := o.ledger.Sinks["pcap"], want.ledger.Sinks["pcap"]; got.Stored != want.Stored || sum(got.Dropped) != 0 {
		t.Errorf("pcap %+v, replay %+v", got, want)
	}
	for flow, frames := range want.flows {
		if !slices.Equal(o.flows[flow], frames) {
			t.Errorf("%s: %d frames, or in another order; replay has %d", flow, len(o.flows[flow]), len(frames))
		}
	}
	if len(o.flows) != len(want.flows) {
		t.Errorf("%d flows, replay has %d", len(o.flows), len(want.flows))
	}
}

func (o outcome) sessions() (all []string) {
	for _, s := range o.ledger.Sessions {
		all = append(all, fmt.Sprintf("%s vni %d: %d packets, %d bytes", s.Name, s.VNI, s.Packets, s.Bytes))
	}
	slices.Sort(all)
	return all
}

func replayedMirror(t *testing.T, file string) outcome {
	t.Helper()
	dir := t.TempDir()
	sessions := writeFile(t, filepath.Join(dir, "sessions.yaml"), []byte(mirrorSessions))
	out := filepath.Join(dir, "captures")
	r := runProgram(t, "replay", "--workers", "2", "--sessions", sessions, "--out", out, "--summary", "-", file)
	if r.code != 0 {
		t.Fatalf("replay: %d\n%s", r.code, r.stderr)
	}
	return newOutcome(t, readLedger(t, []byte(r.stdout)), out)
}

// collected sends packets to the program, and has it end when it has as many
// frames.
func collected(t *testing.T, backend string, pkts [][]byte, frames int) outcome {
	t.Helper()
	l := lab.New(t)
	// The collector is the mirror target of the file, and does not ask whether
	// its senders are where their addresses say.
	l.Collector.Run("ip", "address", "add", mirrorTarget.Addr().String(), "dev", "u0")
	l.Collector.Run("sh", "-euc", "for c in all u0; do echo 0 >/proc/sys/net/ipv4/conf/$c/rp_filter; done")
	within(t, l.Collector)
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "sessions.yaml"), []byte(mirrorSessions))
	c := collect(t, setup{dir: dir, within: l.Collector, listen: ":4789", geneve: ":6081",
		capture: "ring: 16MiB, interface: u0, backend: " + backend, session: "file: sessions.yaml"})
	c.waitLog("msg=collecting backend=\"?"+backend, 1)

	near := openNear(t, l.Host)
	mac := collectorMAC(t, l.Collector)
	for n := 0; n < len(pkts); n += 200 { // an interface with a program queues 256
		for _, pkt := range pkts[n:min(n+200, len(pkts))] {
			pkt = bytes.Clone(pkt)
			copy(pkt, mac)
			if _, err := unix.Write(near, pkt); err != nil {
				t.Fatal(err)
			}
		}
		c.waitReceived(tunnelled(pkts[:min(n+200, len(pkts))]))
	}
	if n := tunnelled(pkts); n != frames {
		t.Fatalf("%d packets to tunnel ports, want %d", n, frames)
	}
	return newOutcome(t, c.stop(), c.out)
}

// tunnelled counts the packets that are no DNS.
func tunnelled(pkts [][]byte) (n int) {
	for _, pkt := range pkts {
		if pkt[36] != 0 || pkt[37] != 53 {
			n++
		}
	}
	return n
}

// openNear returns a socket that sends frames on the host's end of the underlay.
func openNear(t *testing.T, host *lab.Namespace) (fd int) {
	t.Helper()
	var err error
	inside := host.Do(func() {
		if fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0); err != nil {
			return
		}
		var device *net.Interface
		if device, err = net.InterfaceByName("u0"); err == nil {
			err = unix.Bind(fd, &unix.SockaddrLinklayer{Ifindex: device.Index})
		}
	})
	if inside != nil || err != nil {
		t.Fatal(inside, err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

func collectorMAC(t *testing.T, collector *lab.Namespace) net.HardwareAddr {
	t.Helper()
	mac, err := net.ParseMAC(strings.TrimSpace(collector.Run("cat", "/sys/class/net/u0/address")))
	if err != nil {
		t.Fatal(err)
	}
	return mac
}
