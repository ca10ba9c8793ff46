// Package metrics shows a collector's counters as Prometheus metrics. It holds
// none of its own: each scrape takes one snapshot, so that the figures of one
// scrape belong together and the path of a packet knows no metric.
//
// docs/metrics.md lists every metric; a test holds the two together.
package metrics

import (
	"cmp"
	"slices"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/periscope-collector/periscope/capture"
	"github.com/periscope-collector/periscope/internal/pipeline"
	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/sink/pcap"
)

// MaxSessions is how many sessions have metrics of their own. The others are
// summed up as session "other", so that the number of series has a bound.
const MaxSessions = 1000

// otherSessions is the label of the sessions beyond MaxSessions.
const otherSessions = "other"

// A Snapshot is what one scrape shows.
type Snapshot struct {
	Version string
	Ready   bool
	Ledger  pipeline.Ledger
	Groups  []capture.Group

	PCAP            *pcap.Stats // nil when the sink is off
	RetainedSeconds float64
}

// NewRegistry returns a registry with the collector's metrics and those of the
// process and the Go runtime. take is called once a scrape, from any goroutine.
func NewRegistry(take func() Snapshot) *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(
		newCollector(take),
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return r
}

// A metric is one row of the table: a name, what it means, and where its values
// are in a snapshot.
type metric struct {
	name   string
	help   string
	kind   prometheus.ValueType
	labels []string
	values func(s *Snapshot, emit emit)
}

// emit sends one value with its label values, in the order of metric.labels.
type emit func(value float64, labels ...string)

const (
	counter = prometheus.CounterValue
	gauge   = prometheus.GaugeValue
)

type collector struct {
	take  func() Snapshot
	descs []*prometheus.Desc
}

func newCollector(take func() Snapshot) *collector {
	c := &collector{take: take}
	for _, m := range table {
		c.descs = append(c.descs, prometheus.NewDesc(m.name, m.help, m.labels, nil))
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
	s := c.take()
	s.Ledger.Sessions = capSessions(s.Ledger.Sessions)
	for i, m := range table {
		m.values(&s, func(value float64, labels ...string) {
			ch <- prometheus.MustNewConstMetric(c.descs[i], m.kind, value, labels...)
		})
	}
}

// capSessions returns at most MaxSessions sessions and, if there are more, one
// that sums up the rest. Live and ended sessions of one name are added up.
// Configured sessions come before unknown ones, then the busiest.
func capSessions(list []pipeline.SessionLedger) []pipeline.SessionLedger {
	index := make(map[string]int, len(list))
	var merged []pipeline.SessionLedger
	for _, s := range list {
		if i, ok := index[s.Name]; ok {
			merged[i] = sum(merged[i], s)
			continue
		}
		index[s.Name] = len(merged)
		merged = append(merged, s)
	}
	if len(merged) <= MaxSessions {
		return merged
	}
	slices.SortFunc(merged, func(a, b pipeline.SessionLedger) int {
		if a.Known != b.Known {
			if a.Known {
				return -1
			}
			return 1
		}
		return cmp.Or(cmp.Compare(b.Packets, a.Packets), cmp.Compare(a.Name, b.Name))
	})
	other := pipeline.SessionLedger{Name: otherSessions}
	for _, s := range merged[MaxSessions:] {
		other = sum(other, s)
	}
	return append(merged[:MaxSessions:MaxSessions], other)
}

func sum(a, b pipeline.SessionLedger) pipeline.SessionLedger {
	a.Packets += b.Packets
	a.Bytes += b.Bytes
	a.Ingress += b.Ingress
	a.Egress += b.Egress
	a.Truncated += b.Truncated
	a.NotDelivered += b.NotDelivered
	a.LastSeen = max(a.LastSeen, b.LastSeen)
	return a
}

// sessionLabels are the label values of a session.
func sessionLabels(s *pipeline.SessionLedger, more ...string) []string {
	vni := ""
	if s.Name != otherSessions {
		vni = strconv.FormatUint(uint64(s.VNI), 10)
	}
	return append([]string{s.Name, vni}, more...)
}

// eachSession emits one value for each session that fits the metric.
func eachSession(value func(s *pipeline.SessionLedger) float64) func(*Snapshot, emit) {
	return func(s *Snapshot, emit emit) {
		for i := range s.Ledger.Sessions {
			l := &s.Ledger.Sessions[i]
			emit(value(l), sessionLabels(l)...)
		}
	}
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

func eachDirection(s *Snapshot, emit emit) {
	for i := range s.Ledger.Sessions {
		l := &s.Ledger.Sessions[i]
		for _, d := range []struct {
			direction packet.Direction
			packets   uint64
		}{
			{packet.Ingress, l.Ingress},
			{packet.Egress, l.Egress},
			{packet.DirectionUnknown, l.Packets - l.Ingress - l.Egress},
		} {
			emit(float64(d.packets), sessionLabels(l, d.direction.String())...)
		}
	}
}
