package pipeline

import (
	"encoding/json"
	"math"
	"time"

	"github.com/periscope-collector/periscope/packet"
)

// ledgerEvents makes the ledger events of a process: the account since its
// start, and what of it came since the event before. It is for one goroutine.
type ledgerEvents struct {
	host      string // of the collector: the dvc of the event; "" leaves it out
	collector string // its name; "" leaves it out
	version   string

	start, at time.Time // of the process, and of the last event; zero before it
	last      ledgerChange
}

// ledgerChange are the counters of which an event also has the difference.
type ledgerChange struct {
	Received     uint64 `json:"received_packets"`
	Delivered    uint64 `json:"delivered_packets"`
	NotDelivered uint64 `json:"not_delivered_packets"`
	Lost         uint64 `json:"lost_packets"`
	Dropped      uint64 `json:"sink_dropped"`
}

type ledgerInterval struct {
	Seconds float64 `json:"seconds"`
	ledgerChange
}

// A ledgerEvent is the event of a ledger, as docs/formats.md has it. With every
// reason and eight sinks it is below the 5,000 bytes beyond which Splunk finds no
// keys by itself.
type ledgerEvent struct {
	ledgerChange
	ReceivedBytes  uint64                `json:"received_bytes"`
	DeliveredBytes uint64                `json:"delivered_bytes"`
	InFlight       uint64                `json:"in_flight_packets"`
	Truncated      uint64                `json:"truncated_packets"`
	Cut            uint64                `json:"cut_packets"`
	Late           uint64                `json:"late_packets"`
	Imbalance      uint64                `json:"imbalance_packets"`
	Ready          bool                  `json:"ready"`
	Interval       ledgerInterval        `json:"interval"`
	Uptime         float64               `json:"uptime_seconds"`
	Version        string                `json:"version"`
	Vendor         string                `json:"vendor_product"`
	DVC            string                `json:"dvc,omitempty"`
	Collector      string                `json:"collector,omitempty"`
	LostBeforeUs   Lost                  `json:"lost_before_us"`
	Reasons        map[string]uint64     `json:"not_delivered"`
	Sinks          map[string]SinkLedger `json:"sinks"`
}

// next returns the event of a ledger that was taken now, a JSON object in valid
// UTF-8 without a newline.
func (e *ledgerEvents) next(l *Ledger, now time.Time, ready bool) []byte {
	if e.at.IsZero() {
		e.at = e.start
	}
	total := change(l)
	event, err := json.Marshal(ledgerEvent{
		ledgerChange:   total,
		ReceivedBytes:  l.Received.Bytes,
		DeliveredBytes: l.Delivered.Bytes,
		InFlight:       l.InFlight,
		Truncated:      l.Truncated,
		Cut:            l.Cut,
		Late:           l.Late,
		Imbalance:      l.Imbalance,
		Ready:          ready,
		Interval:       ledgerInterval{seconds(now.Sub(e.at)), total.since(e.last)},
		Uptime:         seconds(now.Sub(e.start)),
		Version:        e.version,
		Vendor:         "Periscope",
		DVC:            e.host,
		Collector:      e.collector,
		LostBeforeUs:   l.Lost,
		Reasons:        l.NotDelivered,
		Sinks:          l.Sinks,
	})
	if err != nil {
		panic(err) // every type above has a form in JSON
	}
	e.at, e.last = now, total
	return event
}

func change(l *Ledger) ledgerChange {
	c := ledgerChange{
		Received:  l.Received.Packets,
		Delivered: l.Delivered.Packets,
		Lost:      l.Lost.Socket + l.Lost.Ring + l.Lost.NIC,
	}
	for _, n := range l.NotDelivered {
		c.NotDelivered += n
	}
	for _, s := range l.Sinks {
		for reason, n := range s.Dropped {
			if reason != packet.DropPolicy.String() { // that is meant
				c.Dropped += n
			}
		}
	}
	return c
}

func (c ledgerChange) since(last ledgerChange) ledgerChange {
	return ledgerChange{
		Received:     grown(last.Received, c.Received),
		Delivered:    grown(last.Delivered, c.Delivered),
		NotDelivered: grown(last.NotDelivered, c.NotDelivered),
		Lost:         grown(last.Lost, c.Lost),
		Dropped:      grown(last.Dropped, c.Dropped),
	}
}

// grown returns by how much a counter grew. The kernel's may begin again, as that
// of an interface made anew: an interval in which the sum of them is lower than
// before has none.
func grown(before, now uint64) uint64 { return now - min(before, now) }

// seconds has milliseconds, and is not negative when the clock was set back.
func seconds(d time.Duration) float64 { return math.Round(max(d, 0).Seconds()*1e3) / 1e3 }
