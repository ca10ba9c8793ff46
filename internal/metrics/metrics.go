// Package metrics shows a collector's counters as Prometheus metrics. It counts
// nothing itself: each scrape takes one snapshot, so that the figures of one
// scrape belong together and the path of a packet knows no metric. From one
// scrape to the next it remembers which sessions have series.
//
// docs/metrics.md lists every metric; a test holds the two together.
package metrics

import (
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/periscope-collector/periscope/capture"
	"github.com/periscope-collector/periscope/flow"
	"github.com/periscope-collector/periscope/internal/nic"
	"github.com/periscope-collector/periscope/internal/pipeline"
	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/sink/flowlog"
	"github.com/periscope-collector/periscope/sink/pcap"
	"github.com/periscope-collector/periscope/sink/splunk"
)

// MaxSessions is how many sessions have series of their own. The others are
// summed up as session "other" without a VNI, so that the number of series has
// a bound.
const MaxSessions = 1000

// A Snapshot is what one scrape shows.
type Snapshot struct {
	Now     time.Time
	Version string
	Ready   bool
	Ledger  pipeline.Ledger
	Groups  []capture.Group

	Backend   string   // udp, afpacket or xdp, now
	Interface string   // whose losses count; "" where there is none
	NIC       nic.Loss // of Interface
	Skew      float64  // of the workers, in the last 10 s

	SessionFile error // why the sessions are not as their file says, or nil

	PCAP            *pcap.Stats // nil when the sink is off
	RetainedSeconds float64

	FlowLog *flowlog.Stats // nil when the sink is off
	Splunk  *splunk.Stats  // the same

	Discovery *pipeline.Discovery // nil while AWS is not asked

	Announcements map[string]uint64 // of senders, by outcome; nil if none are heard

	known, silent, unknown int       // sessions that are not over; the silent ones are known
	sessions               []session // at most MaxSessions and one
}

// NewRegistry returns a registry with the collector's metrics and those of the
// process and the Go runtime. take is called once a scrape, from any goroutine,
// and not at the same time as before.
func NewRegistry(take func() Snapshot) *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(
		newCollector(take),
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return r
}

// A metric is one row of the table: a name, what it means, what to expect of it,
// and where its values are in a snapshot.
type metric struct {
	name   string
	kind   prometheus.ValueType
	labels []string
	help   string
	normal string // may be empty
	values func(s *Snapshot, emit emit)
}

// text is the metric's help as a scrape shows it.
func (m *metric) text() string { return strings.TrimSpace(m.help + " " + m.normal) }

// emit sends one value with its label values, in the order of metric.labels.
type emit func(value float64, labels ...string)

const (
	counter = prometheus.CounterValue
	gauge   = prometheus.GaugeValue
)

type collector struct {
	take  func() Snapshot
	descs []*prometheus.Desc

	mu     sync.Mutex // held while a snapshot is taken and made ready
	places places
}

func newCollector(take func() Snapshot) *collector {
	c := &collector{take: take}
	for i := range table {
		m := &table[i]
		c.descs = append(c.descs, prometheus.NewDesc(m.name, m.text(), m.labels, nil))
	}
	return c
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range c.descs {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	s := c.snapshot()
	for i, m := range table {
		m.values(&s, func(value float64, labels ...string) {
			ch <- prometheus.MustNewConstMetric(c.descs[i], m.kind, value, labels...)
		})
	}
}

// snapshot takes a snapshot. They come one after the other, as what is shown of
// sessions depends on what was shown before.
func (c *collector) snapshot() Snapshot {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.take()
	c.places.show(&s)
	return s
}

// eachSink emits one value for each sink.
func eachSink(value func(l pipeline.SinkLedger) float64) func(*Snapshot, emit) {
	return func(s *Snapshot, emit emit) {
		for name, l := range s.Ledger.Sinks {
			emit(value(l), name)
		}
	}
}

// one emits a single value.
func one(value func(s *Snapshot) float64) func(*Snapshot, emit) {
	return func(s *Snapshot, emit emit) { emit(value(s)) }
}

// ofPCAP emits a single value while the pcap sink is on.
func ofPCAP(value func(s *pcap.Stats) float64) func(*Snapshot, emit) {
	return func(s *Snapshot, emit emit) {
		if s.PCAP != nil {
			emit(value(s.PCAP))
		}
	}
}

// ofFlowLog emits a single value while the flowlog sink is on.
func ofFlowLog(value func(s *flowlog.Stats) float64) func(*Snapshot, emit) {
	return func(s *Snapshot, emit emit) {
		if s.FlowLog != nil {
			emit(value(s.FlowLog))
		}
	}
}

// ofFlows emits a single value while flows are accounted for.
func ofFlows(value func(s *flow.Stats) float64) func(*Snapshot, emit) {
	return func(s *Snapshot, emit emit) {
		if s.Ledger.Flows != nil {
			emit(value(&s.Ledger.Flows.Stats))
		}
	}
}

func eachFlowReason(s *Snapshot, emit emit) {
	if s.Ledger.Flows != nil {
		for r := range packet.NumFlowReasons {
			emit(float64(s.Ledger.Flows.Stats.Records[r]), r.String())
		}
	}
}

// eachClass emits one value for each class of traffic while flows are accounted
// for.
func eachClass(value func(c *flow.ClassStats) uint64) func(*Snapshot, emit) {
	return func(s *Snapshot, emit emit) {
		if s.Ledger.Flows != nil {
			for c := range packet.NumClasses {
				emit(float64(value(&s.Ledger.Flows.Stats.Classes[c])), c.String())
			}
		}
	}
}

// eachGroup emits one value for each address that is listened on.
func eachGroup(value func(g capture.Group) float64) func(*Snapshot, emit) {
	return func(s *Snapshot, emit emit) {
		for _, g := range s.Groups {
			emit(value(g), g.Address.String())
		}
	}
}

// eachCause emits one value for each of the causes while the pcap sink is on.
func eachCause(value func(s *pcap.Stats, c pcap.Cause) float64, causes ...pcap.Cause) func(*Snapshot, emit) {
	return func(s *Snapshot, emit emit) {
		if s.PCAP == nil {
			return
		}
		for _, c := range causes {
			emit(value(s.PCAP, c), c.String())
		}
	}
}

func eachReason(s *Snapshot, emit emit) {
	for r := packet.None + 1; r < packet.NumReasons; r++ {
		emit(float64(s.Ledger.NotDelivered[r.String()]), r.String())
	}
}

func eachAnomaly(s *Snapshot, emit emit) {
	for a := packet.NoAnomaly + 1; a < packet.NumAnomalies; a++ {
		emit(float64(s.Ledger.Anomalies[a.String()]), a.String())
	}
}

func eachDrop(s *Snapshot, emit emit) {
	for name, l := range s.Ledger.Sinks {
		for d := range packet.NumDrops {
			emit(float64(l.Dropped[d.String()]), name, d.String())
		}
	}
}

func float(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
