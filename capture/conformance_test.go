package capture

import (
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/periscope-collector/periscope/bench/traffic"
	"github.com/periscope-collector/periscope/internal/lab"
	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/tunnel"
)

// A backend is a way in for datagrams. What all of them have in common is in the
// properties; what they differ in, by design, is here.
type backend struct {
	name string
	open func(w *segment, o options) device

	// verdicts say what is made of each kind of probe.
	verdicts [numProbes]verdict

	// longest is what is taken of a payload, in bytes.
	longest int

	// file says that there is one source whatever the workers, since the
	// reader behind it spreads the frames; that Order is a position; that
	// batches are many; and that a full reader makes the source wait, so that
	// nothing can be lost.
	file bool
}

// A verdict is what a backend makes of a probe.
type verdict struct {
	whole   bool            // a datagram
	reasons []packet.Reason // or these
	lost    uint64          // or this many more in Lost
	why     string          // if it is not what others make of it
}

var taken = verdict{whole: true}

var backends = []backend{
	{name: "udp", open: openUDP, longest: packet.MaxDatagram, verdicts: [numProbes]verdict{
		probeWhole:     taken,
		probeParts:     {whole: true, why: "the kernel puts it together for sockets"},
		probeDamaged:   {why: "the kernel verifies for sockets"},
		probeCorrupt:   {lost: 1, why: "the kernel verifies for sockets, and says that they dropped it"},
		probeElsewhere: {why: "the kernel gives sockets what is meant for this host"},
		probeOther:     {why: "it has sockets of its own"},
	}},
	{name: "afpacket that drops", open: openDropping, longest: packet.MaxDatagram, verdicts: [numProbes]verdict{
		probeWhole:     taken,
		probeParts:     {why: "the kernel puts it together for sockets"},
		probeTagged:    taken,
		probeDamaged:   {whole: true, why: "tunnels need no checksum, and the real length is known"},
		probeCorrupt:   {whole: true, why: "tunnels need no checksum, and the real length is known"},
		probeElsewhere: {why: "the filter leaves it"},
		probeOther:     {why: "the filter leaves it"},
	}},
	{name: "afpacket", open: openAFPacket, longest: packet.MaxDatagram, verdicts: [numProbes]verdict{
		probeWhole:     taken,
		probeParts:     {reasons: []packet.Reason{packet.OuterFragment}, why: "the first one alone has a port"},
		probeTagged:    taken,
		probeDamaged:   {whole: true, why: "tunnels need no checksum, and the real length is known"},
		probeCorrupt:   {whole: true, why: "tunnels need no checksum, and the real length is known"},
		probeElsewhere: {why: "the filter leaves it"},
		probeOther:     {why: "the filter leaves it"},
	}},
	{name: "xdp", open: openXDP, longest: packet.MaxDatagram, verdicts: [numProbes]verdict{
		probeWhole:     taken,
		probeParts:     {why: "the kernel puts it together for sockets"},
		probeTagged:    taken,
		probeDamaged:   {whole: true, why: "tunnels need no checksum, and the real length is known"},
		probeCorrupt:   {whole: true, why: "tunnels need no checksum, and the real length is known"},
		probeElsewhere: {why: "the program leaves it"},
		probeOther:     {why: "the program leaves it"},
	}},
	{name: "file", file: true, open: openFile, longest: maxPacket, verdicts: [numProbes]verdict{
		probeWhole:     taken,
		probeParts:     {reasons: []packet.Reason{packet.OuterFragment, packet.OuterFragment}, why: "every record of a file is accounted for"},
		probeTagged:    taken,
		probeDamaged:   {whole: true, why: "tunnels need no checksum, and the real length is known"},
		probeCorrupt:   {whole: true, why: "tunnels need no checksum, and the real length is known"},
		probeElsewhere: {whole: true, why: "a file knows no host"},
		probeOther:     {reasons: []packet.Reason{packet.NotTunnel}, why: "every record of a file is accounted for"},
	}},
}

// options are of a device.
type options struct {
	workers int
	small   bool     // little memory, so that it overflows
	pkts    [][]byte // what a file holds
}

// A device is a backend at work.
type device interface {
	Sources() []Source
	Lost() uint64
	Stop()
	Close() error
}

func openUDP(w *segment, o options) device {
	cfg := UDPConfig{Workers: o.workers, ReceiveBuffer: 32 << 20, Log: slog.New(slog.DiscardHandler),
		VXLAN:  []netip.AddrPort{netip.AddrPortFrom(netip.IPv6Unspecified(), tunnel.VXLANPort)},
		GENEVE: []netip.AddrPort{netip.AddrPortFrom(netip.IPv6Unspecified(), tunnel.GENEVEPort)}}
	if o.small {
		cfg.ReceiveBuffer = 256 << 10
	}
	u, err := ListenUDP(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	return u
}

func openDropping(w *segment, o options) device { return openRings(w, o, false) }

func openAFPacket(w *segment, o options) device { return openRings(w, o, true) }

func openRings(w *segment, o options, leave bool) device {
	cfg := AFPacketConfig{Interface: "far", Workers: o.workers, RingBytes: 16 << 20, leave: leave, Log: slog.New(slog.DiscardHandler),
		VXLAN: []uint16{tunnel.VXLANPort}, GENEVE: []uint16{tunnel.GENEVEPort}}
	if o.small {
		cfg.RingBytes = 2 << 20
	}
	a, err := ListenAFPacket(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	if a.Drops() == leave {
		w.t.Fatalf("the kernel drops behind the rings: %v", a.Drops())
	}
	return a
}

// openFile writes the packets into a capture file, as they would be seen on the
// interface.
func openFile(w *segment, o options) device {
	b := traffic.AppendPcapHeader(nil, traffic.LinkEthernet)
	for i, pkt := range o.pkts {
		b = traffic.AppendPcapRecord(b, time.Now().UnixNano()+int64(i), pkt, len(pkt))
	}
	f, err := OpenFiles(FileConfig{Paths: store(w.t, b), BareVNI: -1, Batches: fileLent + 1})
	if err != nil {
		w.t.Fatal(err)
	}
	return fileDevice{f}
}

// fileLent is how many batches of a file are looked at together.
const fileLent = 3

// A fileDevice is a device that ends by itself and loses nothing.
type fileDevice struct{ *Files }

func (d fileDevice) Sources() []Source { return []Source{d.Files} }
func (d fileDevice) Lost() uint64      { return 0 }
func (d fileDevice) Stop()             {}

func TestConformance(t *testing.T) {
	lab.Need(t, "ip")
	for _, b := range backends {
		t.Run(b.name, func(t *testing.T) {
			for _, p := range properties {
				t.Run(p.name, func(t *testing.T) { p.hold(t, b) })
			}
		})
	}
}

// A reader reads the sources of a device, and holds what each lends to what
// Source and packet.Batch promise.
type reader struct {
	t       *testing.T
	backend backend
	sources []Source
	marks   []int64
	got     [][]received // by source
}

func newReader(t *testing.T, b backend, d device) *reader {
	sources := d.Sources()
	return &reader{t: t, backend: b, sources: sources, marks: make([]int64, len(sources)), got: make([][]received, len(sources))}
}

// total returns how many datagrams were read.
func (r *reader) total() (n int) {
	for _, list := range r.got {
		n += len(list)
	}
	return n
}

// read reads until there are n datagrams in all.
func (r *reader) read(n int) {
	r.t.Helper()
	for deadline := time.Now().Add(patience); r.total() < n; {
		for i := range r.sources {
			if !r.next(i) {
				r.t.Fatalf("source %d has ended", i)
			}
		}
		if time.Now().After(deadline) {
			r.t.Fatalf("%d datagrams, want %d", r.total(), n)
		}
	}
}

// finish reads all sources to their end, in turn: one may end when all have
// nothing left.
func (r *reader) finish() {
	r.t.Helper()
	for ended := 0; ended < len(r.sources); {
		ended = 0
		for i := range r.sources {
			if !r.next(i) {
				ended++
			}
		}
	}
}

// next reads a batch of a source, and reports whether there was one.
func (r *reader) next(i int) bool {
	r.t.Helper()
	b, err := r.sources[i].Next()
	if err == io.EOF {
		return false
	}
	if err != nil {
		r.t.Fatal(err)
	}
	from := len(r.got[i])
	for _, d := range b.Datagrams {
		r.got[i] = append(r.got[i], copyOf(d))
		if d.Order < r.marks[i] {
			r.t.Fatalf("source %d: order %d below the mark %d of an earlier batch", i, d.Order, r.marks[i])
		}
		if !r.backend.file && d.Order != d.Time {
			r.t.Fatalf("source %d: order %d, time %d", i, d.Order, d.Time)
		}
	}
	if b.Mark < r.marks[i] || len(b.Frames) != len(b.Datagrams) || len(b.Assigned) != len(b.Datagrams) {
		r.t.Fatalf("source %d: mark %d after %d, %d frames for %d datagrams", i, b.Mark, r.marks[i], len(b.Frames), len(b.Datagrams))
	}
	r.marks[i] = b.Mark
	memory(r.t, b, r.got[i][from:])
	r.release(i, b)
	return true
}

// release gives a batch back. Under the race detector nothing of it is there
// afterwards.
func (r *reader) release(i int, b *packet.Batch) {
	r.t.Helper()
	datagrams := slices.Clone(b.Datagrams)
	r.sources[i].Release(b)
	for _, d := range datagrams {
		if poison && d.Reason == packet.None && slices.ContainsFunc(d.Buf[d.Off:], func(c byte) bool { return c != 0xdb }) {
			r.t.Fatalf("source %d: the bytes of a datagram are there after its release", i)
		}
	}
}

func (v verdict) count() int {
	if v.whole {
		return 1
	}
	return len(v.reasons)
}

// copyOf copies a datagram, which has no bytes if there is a reason.
func copyOf(d packet.Datagram) received {
	if d.Reason != packet.None {
		return received{Datagram: d}
	}
	return received{d, slices.Clone(d.Buf[d.Off:])}
}

func describe(d received) string {
	return fmt.Sprintf("%d of %d bytes, encap %d, reason %v, from %v", len(d.payload), d.Length, d.Encap, d.Reason, d.Source)
}
