package bench

import (
	"context"
	"encoding/binary"
	"io"
	"log/slog"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/periscope-collector/periscope/bench/traffic"
	"github.com/periscope-collector/periscope/internal/pipeline"
	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/session"
	"github.com/periscope-collector/periscope/sink"
)

// fileBatchLen is how many frames a batch of a capture file has.
const fileBatchLen = 256

// tableLen is the room for flows that BenchmarkFlows has.
const tableLen = 1_000_000

// BenchmarkFlows takes 60-byte TCP frames from memory to the end of a worker's
// path: without flows, and with flows whose records nobody encodes. What differs
// between the rows is how many flows there are and what they do.
func BenchmarkFlows(b *testing.B) {
	const ack, syn = 0x10, 0x02
	among := func(flows uint32) func(n uint32) (uint32, byte) {
		r := rand.New(rand.NewPCG(1, 2))
		return func(uint32) (uint32, byte) { return r.Uint32N(flows), ack }
	}
	for _, c := range []struct {
		name  string
		warm  int
		flows bool
		next  func(n uint32) (flow uint32, flags byte)
	}{
		{"none", 0, false, among(50_000)},
		{"50000", 500_000, true, among(50_000)},
		{"1000000", 5_000_000, true, among(900_000)},
		{"flood", 2 * tableLen, true, func(n uint32) (uint32, byte) { return n * 0x9e3779b1, syn }}, // each from another end
		{"scan", 2 * tableLen, true, func(n uint32) (uint32, byte) { return n, syn }},
	} {
		b.Run(c.name, func(b *testing.B) { flowPath(b, c.flows, c.warm, c.next) })
	}
}

func flowPath(b *testing.B, flows bool, warm int, next func(uint32) (uint32, byte)) {
	log := slog.New(slog.DiscardHandler)
	cfg := pipeline.Config{
		Workers:  1,
		Sessions: session.New(session.Config{Workers: 1, UnknownMax: 256, Log: log}),
		Flows:    pipeline.FlowConfig{Table: tableLen, Interval: time.Minute, Idle: 2 * time.Minute},
		Log:      log,
	}
	if flows {
		cfg.Sinks = []pipeline.Sink{{Name: "none", Sink: new(noRecords)}}
	}
	p, err := pipeline.New(cfg)
	if err != nil {
		b.Fatal(err)
	}
	source := newMaker(next)
	source.left = warm
	if err := p.Run(b.Context(), source); err != nil {
		b.Fatal(err)
	}
	source.left = b.N
	b.ReportAllocs()
	b.ResetTimer()
	if err := p.Run(b.Context(), source); err != nil {
		b.Fatal(err)
	}
	b.StopTimer()
	if err := p.Close(b.Context()); err != nil {
		b.Fatal(err)
	}
	if l := p.Ledger(); !l.Balanced || l.Delivered.Packets != uint64(warm+b.N) {
		b.Fatalf("%+v", l)
	}
}

// A maker lends batches of frames that it makes: one TCP segment whose client's
// address and port are those of a flow. Packets are 1 µs apart.
type maker struct {
	batch *packet.Batch
	slab  []byte
	next  func(n uint32) (flow uint32, flags byte)
	n     uint32
	left  int
	now   int64
}

// made is the length of a maker's frames.
const made = 60

func newMaker(next func(uint32) (uint32, byte)) *maker {
	m := &maker{batch: packet.NewBatch(fileBatchLen), slab: make([]byte, fileBatchLen*(packet.Headroom+made)), next: next, now: 1e18}
	for i := range fileBatchLen {
		frame := m.frame(i)
		_, server, _ := traffic.Interface()
		binary.BigEndian.PutUint16(frame[12:], 0x0800)
		ip, tcp := frame[14:], frame[34:]
		ip[0], ip[8], ip[9] = 0x45, 64, packet.ProtocolTCP
		binary.BigEndian.PutUint16(ip[2:], made-14)
		copy(ip[16:20], server[12:])
		binary.BigEndian.PutUint16(tcp[2:], 443)
		tcp[12] = 0x50
	}
	return m
}

func (m *maker) frame(i int) []byte {
	return m.slab[i*(packet.Headroom+made):][packet.Headroom:][:made]
}

func (m *maker) Next() (*packet.Batch, error) {
	if m.left == 0 {
		return nil, io.EOF
	}
	n := min(fileBatchLen, m.left)
	m.left -= n
	m.batch.Resize(n)
	for i := range n {
		m.now += 1000
		flow, flags := m.next(m.n)
		m.n++
		frame := m.frame(i)
		binary.BigEndian.PutUint32(frame[26:], 0x0b000000|flow>>14)
		binary.BigEndian.PutUint16(frame[34:], uint16(flow<<2))
		frame[47] = flags
		m.batch.Datagrams[i] = packet.Datagram{
			Buf: m.slab[i*(packet.Headroom+made):][:packet.Headroom+made], Off: packet.Headroom, Length: made,
			Time: m.now, Order: m.now, Source: packet.AddrFrom4([4]byte{10, 0, 0, 1}), VNI: 1, Encap: packet.Bare,
		}
	}
	m.batch.Mark, m.batch.Now = m.now+1, m.now
	return m.batch, nil
}

func (m *maker) Release(*packet.Batch) {}

// noRecords takes flow records and forgets them.
type noRecords struct{ n uint64 }

func (s *noRecords) Flow(int, *packet.Flow)      { s.n++ }
func (s *noRecords) Mark(int, int64, int64)      {}
func (s *noRecords) Cut(int, packet.Cut)         {}
func (s *noRecords) Settle(context.Context)      {}
func (s *noRecords) Close(context.Context) error { return nil }
func (s *noRecords) Ledger() sink.Ledger         { return sink.Ledger{Offered: s.n, Stored: s.n} }
