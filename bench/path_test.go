package bench

import (
	"fmt"
	"log/slog"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/periscope-collector/periscope/internal/pipeline"
	"github.com/periscope-collector/periscope/session"
)

// BenchmarkPath takes TCP segments in VXLAN from memory through one worker of a
// live pipeline. An op is a packet, and what it costs all cores together stands
// beside its time, since files are written by a goroutine of their own. The rows:
//
//   - count: tunnel header, session, headers, direction, ledger, and no sink;
//   - flow: and its flow is accounted for, with a record every 2 s, which 2,000,000
//     packets are;
//   - pcap: and it is written to a capture file on tmpfs;
//   - hec: flow, and an event for Splunk is made of every record;
//   - all: pcap and hec;
//   - layerparser, newpacket: what a program built on gopacket's decoders does to
//     decode the same bytes, count them by VNI and write them to a file.
//
// Then come the length of frames and the number of flows.
func BenchmarkPath(b *testing.B) {
	stages := []struct {
		name  string
		sinks []func(*testing.B) pipeline.Sink
	}{
		{"count", nil},
		{"flow", []func(*testing.B) pipeline.Sink{noRecords}},
		{"pcap", []func(*testing.B) pipeline.Sink{captures}},
		{"hec", []func(*testing.B) pipeline.Sink{events}},
		{"all", []func(*testing.B) pipeline.Sink{captures, events}},
	}
	for _, size := range []int{64, 128, 700, 1450} {
		for _, flows := range []uint32{1, 10_000, 1_000_000} {
			t := load{size: size, sessions: 1, flows: flows}
			for _, s := range stages {
				b.Run(fmt.Sprintf("%s/%d/%d", s.name, size, flows), func(b *testing.B) { path(b, t, s.sinks...) })
			}
		}
		t := load{size: size, sessions: 1, flows: 10_000}
		b.Run(fmt.Sprintf("layerparser/%d/%d", size, t.flows), func(b *testing.B) { layerParser(b, t) })
		b.Run(fmt.Sprintf("newpacket/%d/%d", size, t.flows), func(b *testing.B) { newPacket(b, t) })
	}
}

// BenchmarkPathWorst is the path of traffic that is not kind to it: 64 sessions
// in turn, and packets each of which is the SYN of a flow of its own, from another
// end (flood) or from the same one (scan), with a table for 1,000,000 flows.
func BenchmarkPathWorst(b *testing.B) {
	crowd := load{size: 700, sessions: 64, flows: 10_000}
	b.Run("sessions/count", func(b *testing.B) { path(b, crowd) })
	b.Run("sessions/pcap", func(b *testing.B) { path(b, crowd, captures) })
	flood := load{size: 64, sessions: 1, next: func(n uint32) uint32 { return n * 0x9e3779b1 }}
	b.Run("flood", func(b *testing.B) { path(b, flood, noRecords) })
	scan := load{size: 64, sessions: 1, next: func(n uint32) uint32 { return n }}
	b.Run("scan", func(b *testing.B) { path(b, scan, noRecords) })
}

// tableLen is the room for flows: 4 parts used of 5 at most, but for a flood.
const tableLen = 1_250_000

// interval is what a record covers.
const interval = 2 * time.Second

// path measures a pipeline with sinks. None of it loses a frame: a sink waits
// for room.
func path(b *testing.B, t load, sinks ...func(*testing.B) pipeline.Sink) {
	pathBy(b, t, pipeline.Rules{}, sinks...)
}

// pathBy is path with rules. They refuse nothing.
func pathBy(b *testing.B, t load, rules pipeline.Rules, sinks ...func(*testing.B) pipeline.Sink) {
	log := slog.New(slog.DiscardHandler)
	cfg := pipeline.Config{
		Workers:  1,
		Live:     true,
		Allow:    []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
		Sessions: session.New(session.Config{Workers: 1, UnknownMax: max(256, t.sessions), Log: log}),
		Rules:    rules,
		Flows:    pipeline.FlowConfig{Table: tableLen, Interval: interval, Idle: 2 * time.Minute},
		Log:      log,
	}
	for _, open := range sinks {
		cfg.Sinks = append(cfg.Sinks, open(b))
	}
	p, err := pipeline.New(cfg)
	if err != nil {
		b.Fatal(err)
	}
	source := newSource(b, t)
	if err := p.Run(b.Context(), source); err != nil {
		b.Fatal(err)
	}
	source.stop()
	if err := p.Close(b.Context()); err != nil {
		b.Fatal(err)
	}
	if l := p.Ledger(); !l.Balanced || l.Delivered.Packets != uint64(source.n) {
		b.Fatalf("%+v", l)
	}
}

// A meter measures the time and the processor time of what lies between.
type meter struct {
	b      *testing.B
	before int64
}

func (m *meter) start() {
	runtime.GC() // what came before is not this one's to collect
	m.before = cpuTime(m.b)
	m.b.ReportAllocs()
	m.b.ResetTimer()
}

func (m *meter) stop() {
	m.b.StopTimer()
	m.b.ReportMetric(float64(cpuTime(m.b)-m.before)/float64(m.b.N), "cpu-ns/op")
}

// cpuTime returns the processor time this process has used, in nanoseconds.
func cpuTime(b *testing.B) int64 {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return u.Utime.Nano() + u.Stime.Nano()
}
