package bench

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"

	"github.com/periscope-collector/periscope/bench/traffic"
	"github.com/periscope-collector/periscope/internal/pipeline"
	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/session"
	"github.com/periscope-collector/periscope/sink/pcap"
	"github.com/periscope-collector/periscope/tunnel"
)

const (
	batchLen = 64
	flows    = 1000
)

// payloads returns one batch of UDP payloads: VXLAN around frames of a size.
func payloads(size traffic.Size, sessions int) [][]byte {
	frames := traffic.NewFrames(traffic.FramesConfig{Seed: 1, Flows: flows, Size: size})
	var all [][]byte
	for i := range batchLen {
		all = append(all, append(tunnel.AppendVXLAN(nil, uint32(1+i%sessions)), frames.Append(nil)...))
	}
	return all
}

// A replayer lends one batch again and again, n datagrams in all. It puts the
// bytes in place anew each time, as a socket does.
type replayer struct {
	batch    *packet.Batch
	payloads [][]byte
	slab     []byte
	left     int
	now      int64
}

const slot = packet.Headroom + packet.MaxDatagram

func newReplayer(n int, payloads [][]byte) *replayer {
	return &replayer{batch: packet.NewBatch(batchLen), payloads: payloads, slab: make([]byte, batchLen*slot), left: n, now: time.Now().UnixNano()}
}

func (r *replayer) Next() (*packet.Batch, error) {
	if r.left == 0 {
		return nil, io.EOF
	}
	n := min(batchLen, r.left)
	r.left -= n
	r.batch.Resize(n)
	for i := range n {
		r.now += 1000
		buf := r.slab[i*slot:][:packet.Headroom+len(r.payloads[i])]
		copy(buf[packet.Headroom:], r.payloads[i])
		r.batch.Datagrams[i] = packet.Datagram{
			Buf: buf, Off: packet.Headroom, Length: len(r.payloads[i]),
			Time: r.now, Order: r.now, Source: packet.AddrFrom4([4]byte{10, 0, 0, 1}),
		}
	}
	r.batch.Mark, r.batch.Now = r.now+1, r.now
	return r.batch, nil
}

func (r *replayer) Release(*packet.Batch) {}

// tmpfs returns a directory that no disk slows down, if there is one.
func tmpfs(b *testing.B) string {
	dir, err := os.MkdirTemp("/dev/shm", "periscope-bench-")
	if err != nil {
		return b.TempDir()
	}
	b.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// BenchmarkPath takes datagrams from memory to a capture file: tunnel, session,
// headers, direction, ledger, and, where it says pcap, the writing of the file.
// Beside it stands what a program built on gopacket's decoders does with the
// same bytes.
func BenchmarkPath(b *testing.B) {
	for _, size := range []traffic.Size{traffic.IMIX, 64, 594, 1514} {
		name := fmt.Sprint(int(size))
		if size == traffic.IMIX {
			name = "imix"
		}
		batch := payloads(size, 1)
		b.Run("periscope/count/"+name, func(b *testing.B) { path(b, batch, false) })
		b.Run("periscope/pcap/"+name, func(b *testing.B) { path(b, batch, true) })
		b.Run("layerparser/pcap/"+name, func(b *testing.B) { layerParser(b, batch) })
		b.Run("newpacket/pcap/"+name, func(b *testing.B) { newPacket(b, batch) })
	}
	b.Run("periscope/count/64_sessions", func(b *testing.B) { path(b, payloads(594, 64), false) })
	b.Run("periscope/pcap/64_sessions", func(b *testing.B) { path(b, payloads(594, 64), true) })
}

func setBytes(b *testing.B, batch [][]byte) {
	total := 0
	for _, p := range batch {
		total += len(p)
	}
	b.SetBytes(int64(total / len(batch)))
	b.ReportAllocs()
}

func path(b *testing.B, batch [][]byte, keep bool) {
	log := slog.New(slog.DiscardHandler)
	cfg := pipeline.Config{
		Workers:  1,
		Sessions: session.New(session.Config{Workers: 1, UnknownMax: 256, Log: log}),
		Log:      log,
	}
	dir := ""
	if keep {
		dir = tmpfs(b)
		// Replay waits for room, so the writer is part of what is measured.
		out, err := pcap.Open(pcap.Config{
			Dir: dir, Replay: true, Log: log,
			Rotate: pcap.Rotate{Size: 64 << 20},
		})
		if err != nil {
			b.Fatal(err)
		}
		cfg.Sinks = []pipeline.Sink{{Name: "pcap", Sink: out}}
	}
	p, err := pipeline.New(cfg)
	if err != nil {
		b.Fatal(err)
	}
	setBytes(b, batch)
	stop := sweep(dir)
	b.ResetTimer()
	if err := p.Run(b.Context(), newReplayer(b.N, batch)); err != nil {
		b.Fatal(err)
	}
	b.StopTimer()
	stop()
	if err := p.Close(b.Context()); err != nil {
		b.Fatal(err)
	}
	if l := p.Ledger(); !l.Balanced || l.Delivered.Packets != uint64(b.N) {
		b.Fatalf("%+v", l)
	}
}

// sweep removes completed files now and then, so that a long run does not fill
// the memory.
func sweep(dir string) (stop func()) {
	if dir == "" {
		return func() {}
	}
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				files, _ := filepath.Glob(filepath.Join(dir, "*", "*.pcap"))
				for _, f := range files {
					os.Remove(f)
				}
			}
		}
	}()
	return func() {
		close(done)
		<-ended
	}
}

// output is a pcapgo writer over 1 MiB of buffer, to a file that starts anew
// every 64 MiB.
type output struct {
	b      *testing.B
	file   *os.File
	buffer *bufio.Writer
	writer *pcapgo.Writer
	bytes  int
}

func newOutput(b *testing.B) *output {
	f, err := os.Create(filepath.Join(tmpfs(b), "out.pcap"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { f.Close() })
	o := &output{b: b, file: f, buffer: bufio.NewWriterSize(f, 1<<20)}
	o.writer = pcapgo.NewWriterNanos(o.buffer)
	return o
}

func (o *output) write(at time.Time, frame []byte) {
	if o.bytes += len(frame); o.bytes > 64<<20 {
		o.buffer.Flush()
		o.file.Seek(0, io.SeekStart)
		o.file.Truncate(0)
		o.bytes = 0
	}
	if err := o.writer.WritePacket(gopacket.CaptureInfo{Timestamp: at, CaptureLength: len(frame), Length: len(frame)}, frame); err != nil {
		o.b.Fatal(err)
	}
}

func layerParser(b *testing.B, batch [][]byte) {
	var vxlan layers.VXLAN
	var eth layers.Ethernet
	var tag layers.Dot1Q
	var ip4 layers.IPv4
	var ip6 layers.IPv6
	var tcp layers.TCP
	var udp layers.UDP
	var icmp4 layers.ICMPv4
	var icmp6 layers.ICMPv6
	parser := gopacket.NewDecodingLayerParser(layers.LayerTypeVXLAN)
	parser.SetDecodingLayerContainer(gopacket.DecodingLayerSparse(nil))
	for _, l := range []gopacket.DecodingLayer{&vxlan, &eth, &tag, &ip4, &ip6, &tcp, &udp, &icmp4, &icmp6} {
		parser.AddDecodingLayer(l)
	}
	parser.IgnoreUnsupported = true
	var decoded []gopacket.LayerType
	withGopacket(b, batch, func(payload []byte) *layers.VXLAN {
		parser.DecodeLayers(payload, &decoded)
		return &vxlan
	})
}

func newPacket(b *testing.B, batch [][]byte) {
	withGopacket(b, batch, func(payload []byte) *layers.VXLAN {
		p := gopacket.NewPacket(payload, layers.LayerTypeVXLAN, gopacket.DecodeOptions{NoCopy: true})
		return p.Layer(layers.LayerTypeVXLAN).(*layers.VXLAN)
	})
}

// withGopacket decodes each datagram, counts it by VNI and writes its frame.
func withGopacket(b *testing.B, batch [][]byte, decode func(payload []byte) *layers.VXLAN) {
	out := newOutput(b)
	counts := make(map[uint32]int)
	source := newReplayer(b.N, batch)
	setBytes(b, batch)
	b.ResetTimer()
	for {
		got, err := source.Next()
		if err != nil {
			break
		}
		for i := range got.Datagrams {
			d := &got.Datagrams[i]
			vxlan := decode(d.Buf[d.Off:])
			counts[vxlan.VNI]++
			out.write(time.Unix(0, d.Time), vxlan.Payload)
		}
	}
}
