package pipeline

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/google/gopacket/pcapgo"

	"github.com/periscope-collector/periscope/bench/traffic"
	"github.com/periscope-collector/periscope/decode"
	"github.com/periscope-collector/periscope/internal/config"
	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/session"
	"github.com/periscope-collector/periscope/sink"
	"github.com/periscope-collector/periscope/tunnel"
)

var discard = slog.New(slog.DiscardHandler)

// A memorySource lends batches of the same datagrams again and again.
type memorySource struct {
	batch   *packet.Batch
	left    int // batches
	order   int64
	payload [][]byte
	slab    [][]byte
}

// newMemorySource wraps frames of many flows in VXLAN.
func newMemorySource(batches int, payloads [][]byte) *memorySource {
	s := &memorySource{batch: packet.NewBatch(len(payloads)), left: batches, payload: payloads}
	for _, p := range payloads {
		s.slab = append(s.slab, append(make([]byte, packet.Headroom), p...))
	}
	return s
}

func vxlanPayloads(n int, vni uint32) [][]byte {
	frames := traffic.NewFrames(traffic.FramesConfig{Seed: 1, Flows: 50})
	var all [][]byte
	for range n {
		all = append(all, append(tunnel.AppendVXLAN(nil, vni), frames.Append(nil)...))
	}
	return all
}

func (s *memorySource) Next() (*packet.Batch, error) {
	if s.left == 0 {
		return nil, io.EOF
	}
	s.left--
	s.batch.Resize(len(s.slab))
	for i := range s.slab {
		s.order++
		s.batch.Datagrams[i] = packet.Datagram{
			Buf: s.slab[i], Off: packet.Headroom, Length: len(s.slab[i]) - packet.Headroom,
			Time: s.order, Order: s.order, Source: outer,
		}
	}
	s.batch.Mark, s.batch.Now = s.order+1, s.order
	return s.batch, nil
}

func (s *memorySource) Release(*packet.Batch) {}

// A pile is a sink that counts, and does what it is told.
type pile struct {
	mu      sync.Mutex
	offered uint64
	panicAt uint64
	frames  func(f *packet.Frame)
	closed  bool
}

func (p *pile) Offer(_ int, f *packet.Frame) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.offered++; p.offered == p.panicAt {
		panic("a sink with a bug")
	}
	if p.frames != nil {
		p.frames(f)
	}
}
func (p *pile) Mark(int, int64, int64) {}
func (p *pile) Close(context.Context) error {
	p.closed = true
	return nil
}
func (p *pile) Ledger() sink.Ledger {
	p.mu.Lock()
	defer p.mu.Unlock()
	return sink.Ledger{Offered: p.offered, Stored: p.offered}
}

func newTestPipeline(t testing.TB, workers int, policy session.Policy, s ...Sink) *Pipeline {
	t.Helper()
	p, err := New(Config{
		Workers:  workers,
		Sessions: session.New(session.Config{Workers: workers, Unknown: policy, UnknownMax: 2, Log: discard}),
		Sinks:    s,
		Log:      discard,
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestLedgerBalancesWhateverHappensToFrames(t *testing.T) {
	for _, workers := range []int{1, 3} {
		out := &pile{panicAt: 10}
		p := newTestPipeline(t, workers, session.Keep, Sink{Name: "pile", Sink: out})
		payloads := append(vxlanPayloads(20, 1), vxlanPayloads(5, 2)...)
		payloads = append(payloads, vxlanPayloads(3, 3)...)                         // beyond unknown_max
		payloads = append(payloads, []byte{0, 0, 0, 0, 0, 0, 0, 0}, []byte{8}, nil) // I flag clear, short, empty
		payloads = append(payloads, tunnel.AppendVXLAN(nil, 1))                     // a frame of no bytes
		// The source of one batch at a time cannot feed several workers.
		for range 4 {
			if err := p.Run(t.Context(), newMemorySource(1, payloads)); err != nil {
				t.Fatal(err)
			}
			if l := p.Ledger(); !l.Balanced || l.InFlight != 0 {
				t.Fatalf("%d workers: %+v", workers, l)
			}
		}
		l := p.Ledger()
		want := map[string]uint64{"unknown_limit": 12, "vxlan_flag": 4, "vxlan_short": 8, "panic": 1}
		for reason, n := range want {
			if l.NotDelivered[reason] != n {
				t.Errorf("%d workers: %s %d, want %d", workers, reason, l.NotDelivered[reason], n)
			}
		}
		if len(l.NotDelivered) != len(want) || l.Received.Packets != 128 || l.Delivered.Packets != 103 {
			t.Errorf("%d workers: %+v", workers, l)
		}
		if l.Anomalies["ethernet_short"] != 4 {
			t.Errorf("%d workers: anomalies %v", workers, l.Anomalies)
		}
		var inSessions, bytes uint64
		for _, s := range l.Sessions {
			inSessions += s.Packets
			bytes += s.Bytes
		}
		if inSessions != l.Delivered.Packets || bytes != l.Delivered.Bytes {
			t.Errorf("%d workers: sessions have %d packets, %d bytes of %+v", workers, inSessions, bytes, l.Delivered)
		}
		if err := p.Close(t.Context()); err != nil || !out.closed {
			t.Errorf("close: %v, sink closed %v", err, out.closed)
		}
	}
}

func TestLedgerIsBalancedAtAnyMoment(t *testing.T) {
	p := newTestPipeline(t, 1, session.Keep, Sink{Name: "pile", Sink: &pile{}})
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
			}
			if l := p.Ledger(); !l.Balanced || l.Received.Packets != l.Delivered.Packets+l.InFlight {
				t.Errorf("unbalanced: %+v", l)
				return
			}
		}
	}()
	if err := p.Run(t.Context(), newMemorySource(3000, vxlanPayloads(64, 1))); err != nil {
		t.Fatal(err)
	}
	close(stop)
	<-done
}

func TestUnknownSessionsAreDroppedWhenConfigured(t *testing.T) {
	out := &pile{}
	p := newTestPipeline(t, 1, session.Drop, Sink{Name: "pile", Sink: out})
	if err := p.Run(t.Context(), newMemorySource(1, vxlanPayloads(10, 1))); err != nil {
		t.Fatal(err)
	}
	if l := p.Ledger(); l.NotDelivered["unknown_session"] != 10 || out.offered != 0 || !l.Balanced {
		t.Errorf("%+v, %d offered", l, out.offered)
	}
}

// Which of more VNIs than there is room for are kept must not depend on which
// worker comes first.
func TestReplayKeepsTheSameUnknownSessionsWithAnyNumberOfWorkers(t *testing.T) {
	const vnis, room = 40, 2
	var first Ledger
	for _, workers := range []int{1, 2, 8} {
		var payloads [][]byte
		for vni := range uint32(vnis) {
			payloads = append(payloads, vxlanPayloads(int(1+vni%7), vni)...)
		}
		p := newTestPipeline(t, workers, session.Keep, Sink{Name: "pile", Sink: &pile{}})
		if err := p.Run(t.Context(), newMemorySource(1, payloads)); err != nil {
			t.Fatal(err)
		}
		l := p.Ledger()
		if len(l.Sessions) != room || l.Sessions[0].VNI != 0 || l.Sessions[1].VNI != 1 {
			t.Errorf("%d workers keep %+v, want VNIs 0 and 1", workers, l.Sessions)
		}
		if workers == 1 {
			first = l
		} else if l.Delivered != first.Delivered || l.NotDelivered["unknown_limit"] != first.NotDelivered["unknown_limit"] {
			t.Errorf("%d workers: %+v, one worker: %+v", workers, l, first)
		}
	}
}

// A batch that is never finished must show.
func TestLedgerShowsFramesStillInFlightAtRest(t *testing.T) {
	p := newTestPipeline(t, 1, session.Keep)
	b, _ := newMemorySource(1, vxlanPayloads(3, 1)).Next()
	p.Received(0, b)
	if l := p.Ledger(); l.Balanced || l.InFlight != 3 || l.Imbalance != 3 {
		t.Errorf("%+v", l)
	}
}

// A feeder is a source of the kernel's that sends itself what it then yields:
// all payloads in each of a number of rounds.
type feeder struct {
	decode.Source
	conn     *net.UDPConn
	payloads [][]byte
	rounds   int
	queued   int
	packets  int
}

func (f *feeder) Next() (*packet.Batch, error) {
	if f.queued == 0 {
		if f.rounds == 0 {
			return nil, io.EOF
		}
		f.rounds--
		for _, p := range f.payloads {
			f.conn.Write(p)
		}
		f.queued = len(f.payloads)
	}
	b, err := f.Source.Next()
	if err == nil {
		f.queued -= len(b.Datagrams)
		f.packets += len(b.Datagrams)
	}
	return b, err
}

// From recvmmsg through the pool to the capture file, a packet costs no
// allocation. What the writer allocates by itself (a file opened, a timer) is
// not per packet: it must not come to one in a hundred packets.
func TestNoAllocationPerPacketFromSocketToCaptureFile(t *testing.T) {
	cfg := config.Default()
	cfg.Capture.Listen, cfg.Capture.Geneve = []string{"127.0.0.1:0"}, nil
	cfg.Capture.Workers = 1
	cfg.Sinks.PCAP.Dir = t.TempDir()
	cfg.Sinks.PCAP.Retain = config.Retain{}
	l, err := NewLive(cfg, "test", discard)
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(l.Groups()[0].Address))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	f := &feeder{Source: l.inputs.udp.Sources()[0], conn: c, payloads: vxlanPayloads(64, 7), rounds: 50}
	if err := l.Pipeline.Run(t.Context(), f); err != nil { // files, buffers
		t.Fatal(err)
	}
	warm := f.packets
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f.rounds = 300
	if err := l.Pipeline.Run(t.Context(), f); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	packets := f.packets - warm
	if n := after.Mallocs - before.Mallocs; packets < 300*64 || n*100 > uint64(packets) {
		t.Errorf("%d allocations for %d packets, want none", n, packets)
	} else {
		t.Logf("%d allocations for %d packets", n, packets)
	}
	l.Stop()
	if err := l.Run(); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if led := l.Ledger(); !led.Balanced || led.Sinks["pcap"].Stored != uint64(f.packets) || led.Lost.Socket != 0 {
		t.Errorf("%d packets: %+v", f.packets, led)
	}
}

func TestLiveKeepsWhatArrives(t *testing.T) {
	cfg := config.Default()
	cfg.Capture.Listen, cfg.Capture.Geneve = []string{"127.0.0.1:0"}, []string{"127.0.0.1:0"}
	cfg.Capture.Workers = 3
	cfg.Capture.Allow = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
	cfg.Sinks.PCAP.Dir = t.TempDir()
	l, err := NewLive(cfg, "test", discard)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- l.Run() }()
	const count = 2000
	for i, encap := range []packet.Encap{packet.VXLAN, packet.GENEVE} {
		c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(l.Groups()[i].Address))
		if err != nil {
			t.Fatal(err)
		}
		stacks := traffic.NewStacks(uint64(i))
		for range count {
			frame := stacks.Append(nil)
			if encap == packet.VXLAN {
				frame = append(tunnel.AppendVXLAN(nil, 5), frame...)
			} else {
				frame = geneve(0x0800, 0, middle4(4789, 0), tunnel.AppendVXLAN(nil, 6), frame)
			}
			if len(frame) <= packet.MaxDatagram {
				c.Write(frame)
			}
		}
		c.Close()
	}
	// From another address: refused, and counted.
	stranger, err := net.DialUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 2)}, net.UDPAddrFromAddrPort(l.Groups()[0].Address))
	if err != nil {
		t.Fatal(err)
	}
	stranger.Write(tunnel.AppendVXLAN(nil, 5))
	stranger.Close()
	l.Stop()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := l.Close(ctx); err != nil {
		t.Fatal(err)
	}
	led := l.Ledger()
	if !led.Balanced || led.Delivered.Packets+led.Lost.Socket+1 < 2*count || led.NotDelivered["not_allowed"] != 1 {
		t.Errorf("%+v", led)
	}
	files, _ := filepath.Glob(filepath.Join(cfg.Sinks.PCAP.Dir, "*", "*.pcap"))
	read := uint64(0)
	for _, name := range files {
		read += countRecords(t, name)
	}
	if read != led.Sinks["pcap"].Stored || read == 0 {
		t.Errorf("%d frames in %d files, the ledger says %d", read, len(files), led.Sinks["pcap"].Stored)
	}
}

func countRecords(t testing.TB, name string) (n uint64) {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := pcapgo.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, _, err := r.ReadPacketData(); err == io.EOF {
			return n
		} else if err != nil {
			t.Fatal(name, err)
		}
		n++
	}
}

var _ decode.Source = (*memorySource)(nil)
