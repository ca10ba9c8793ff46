package pipeline

import (
	"encoding/json"
	"io"

	"github.com/periscope-collector/periscope/flow"
	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/sink"
)

// A Volume is a number of frames and the sum of their real lengths. Where no
// frame was found, the UDP payload's length counts.
type Volume struct {
	Packets uint64 `json:"packets"`
	Bytes   uint64 `json:"bytes"`
}

// Lost is what the kernel counts as lost before it reached a source, in
// datagrams.
type Lost struct {
	Socket uint64 `json:"socket"` // a socket's receive buffer was full
	Ring   uint64 `json:"ring"`   // a capture ring was full
	NIC    uint64 `json:"nic"`    // the interface dropped it
}

// A SessionLedger is one session's part of the ledger.
type SessionLedger struct {
	Name      string `json:"name"`
	VNI       uint32 `json:"vni"`
	Packets   uint64 `json:"packets"` // delivered
	Bytes     uint64 `json:"bytes"`
	Ingress   uint64 `json:"ingress"`
	Egress    uint64 `json:"egress"`
	Truncated uint64 `json:"truncated"`

	// Mismatched are those from none of the interface's addresses, where the
	// session says which it has.
	Mismatched uint64 `json:"source_mismatch,omitempty"`

	// As flow records are written; 0 while no sink takes them.
	TCPBytes      uint64 `json:"tcp_bytes,omitempty"`           // payload of segments seen for the first time
	LostBytes     uint64 `json:"upstream_lost_bytes,omitempty"` // of TCP, acknowledged by a receiver and never seen
	Retransmitted uint64 `json:"retransmitted,omitempty"`       // TCP segments
	OutOfOrder    uint64 `json:"out_of_order,omitempty"`        // TCP segments
	Duplicates    uint64 `json:"duplicates,omitempty"`          // packets seen through another session before

	ID           uint32 `json:"-"` // grows with every new session; 0 is a sum of several
	Known        bool   `json:"known"`
	NotDelivered uint64 `json:"not_delivered"`
	Undirected   uint64 `json:"-"` // neither ingress nor egress; all three are read at moments of their own
	LastSeen     int64  `json:"-"` // ns since 1970 UTC
	Since        int64  `json:"-"` // when it was learnt, or had its first frame; ns since 1970 UTC

	Ended bool     `json:"-"` // no longer in the table
	Until int64    `json:"-"` // ns since 1970 UTC; 0 while it lasts
	Was   []uint32 `json:"-"` // IDs of the sessions that became it and are counted in it
}

// A SinkLedger is one sink's part of the ledger: frames for pcap, records
// elsewhere.
type SinkLedger struct {
	Offered uint64            `json:"offered"`
	Stored  uint64            `json:"stored"`
	Pending uint64            `json:"pending"`
	Dropped map[string]uint64 `json:"dropped"`
	Late    uint64            `json:"-"`
}

// A FlowLedger is what became of the delivered frames in the accounting of
// flows. Maps hold what is not 0.
type FlowLedger struct {
	Packets    uint64            `json:"packets"`    // in flows, those in the table included
	NotIP      uint64            `json:"not_ip"`     // frames that are in no flow, ARP included
	Live       uint64            `json:"live"`       // flows in the table
	Records    map[string]uint64 `json:"records"`    // by why they were written
	Duplicates uint64            `json:"duplicates"` // packets seen through another session before
	Classes    map[string]uint64 `json:"classes"`    // packets in records, by class

	TCPBytes  uint64 `json:"tcp_bytes"`           // payload of segments seen for the first time
	LostBytes uint64 `json:"upstream_lost_bytes"` // of TCP, acknowledged by a receiver and never seen

	Stats flow.Stats `json:"-"`
}

func flowLedger(s flow.Stats) *FlowLedger {
	l := &FlowLedger{
		Packets:    s.Packets,
		NotIP:      s.NotIP + s.Classes[packet.ARP].Packets,
		Live:       s.Live,
		Records:    make(map[string]uint64),
		Duplicates: s.Duplicates,
		Classes:    make(map[string]uint64),
		TCPBytes:   s.TCPBytes,
		LostBytes:  s.LostBytes,
		Stats:      s,
	}
	for r, n := range s.Records {
		if n != 0 {
			l.Records[packet.FlowReason(r).String()] = n
		}
	}
	for c := range s.Classes {
		if n := s.Classes[c].Packets; n != 0 {
			l.Classes[packet.Class(c).String()] = n
		}
	}
	return l
}

// A Ledger is a snapshot of the account of every frame. Maps hold what is not
// 0. Its JSON form is the summary that run and replay write.
type Ledger struct {
	Received     Volume                `json:"received"`
	Delivered    Volume                `json:"delivered"`
	NotDelivered map[string]uint64     `json:"not_delivered"`
	InFlight     uint64                `json:"in_flight"`
	Lost         Lost                  `json:"lost_before_us"`
	Truncated    uint64                `json:"truncated"`
	Cut          uint64                `json:"cut,omitempty"` // delivered frames of which sinks got the headers
	Late         uint64                `json:"late"`
	Reserved     uint64                `json:"reserved_bits"`
	Anomalies    map[string]uint64     `json:"anomalies"`
	Flows        *FlowLedger           `json:"flows,omitempty"` // nil while no sink takes records
	Sessions     []SessionLedger       `json:"sessions"`
	Sinks        map[string]SinkLedger `json:"sinks"`
	Balanced     bool                  `json:"balanced"`

	// Imbalance is by how many frames the finished batches and the frames
	// counted in them differ, and the sinks' accounts; at rest also how many
	// are still in flight, and by how many the sessions differ from the whole.
	// Anything but 0 is a bug.
	Imbalance uint64 `json:"-"`

	// Workers are the frames each worker has finished.
	Workers []uint64 `json:"-"`
}

// Ledger returns a snapshot. It is exact and balanced at any moment: frames in
// batches that are being processed are in flight.
func (p *Pipeline) Ledger() Ledger {
	var total counts
	runs := p.runs.Load()
	l := Ledger{Sinks: make(map[string]SinkLedger), Workers: make([]uint64, len(p.workers))}
	// Workers first: what they finished has been received by then.
	for i := range p.workers {
		before := total.finished
		p.workers[i].read(&total)
		l.Workers[i] = total.finished - before
	}
	for i := range p.readers {
		p.readers[i].read(&total)
	}
	l.Received = Volume{total.received, total.bytes}
	l.Delivered = Volume{total.delivered, total.deliveredBytes}
	l.InFlight = total.received - total.finished
	l.Truncated, l.Cut, l.Reserved = total.truncated, total.cut, total.reserved

	counted := total.delivered
	l.NotDelivered = make(map[string]uint64)
	for r, n := range total.notDelivered {
		counted += n
		if n != 0 {
			l.NotDelivered[packet.Reason(r).String()] = n
		}
	}
	l.Imbalance = difference(total.finished, counted)
	l.Anomalies = make(map[string]uint64)
	for a, n := range total.anomalies {
		if n != 0 && packet.Anomaly(a) != packet.NoAnomaly {
			l.Anomalies[packet.Anomaly(a).String()] = n
		}
	}
	for i, s := range p.sinks {
		account, imbalance := sinkLedger(s.Ledger(), total.policy[i])
		l.Sinks[s.Name] = account
		l.Late += account.Late
		l.Imbalance += imbalance
	}
	if p.lost != nil {
		l.Lost = p.lost()
	}
	if p.table != nil {
		l.Flows = flowLedger(p.table.Stats())
	}
	l.Sessions = p.sessionLedgers()
	if runs%2 == 0 && p.runs.Load() == runs { // at rest all the while
		l.Imbalance += l.InFlight
		var delivered uint64
		for i := range l.Sessions {
			delivered += l.Sessions[i].Packets
		}
		l.Imbalance += difference(delivered, total.delivered)
	}
	l.Balanced = l.Imbalance == 0
	return l
}

// sinkLedger adds to a sink's account what rules kept from it.
func sinkLedger(from sink.Ledger, policy uint64) (to SinkLedger, imbalance uint64) {
	from.Offered += policy
	from.Dropped[packet.DropPolicy] += policy
	to = SinkLedger{
		Offered: from.Offered,
		Stored:  from.Stored,
		Pending: from.Pending,
		Late:    from.Late,
		Dropped: make(map[string]uint64),
	}
	counted := from.Stored + from.Pending
	for d, n := range from.Dropped {
		counted += n
		if n != 0 {
			to.Dropped[packet.Drop(d).String()] = n
		}
	}
	return to, difference(from.Offered, counted)
}

// empty reports whether nothing is counted.
func (l *SessionLedger) empty() bool { return l.Packets+l.NotDelivered == 0 }

func (l *SessionLedger) add(t *packet.Tally) {
	l.Packets += t.Delivered.Load()
	l.Bytes += t.Bytes.Load()
	l.NotDelivered += t.NotDelivered.Load()
	l.Truncated += t.Truncated.Load()
	l.Mismatched += t.Mismatched.Load()
	l.Ingress += t.Directions[packet.Ingress].Load()
	l.Egress += t.Directions[packet.Egress].Load()
	l.Undirected += t.Directions[packet.DirectionUnknown].Load()
	l.TCPBytes += t.TCPBytes.Load()
	l.LostBytes += t.LostBytes.Load()
	l.Retransmitted += t.Retransmitted.Load()
	l.OutOfOrder += t.OutOfOrder.Load()
	l.Duplicates += t.Duplicates.Load()
	l.LastSeen = max(l.LastSeen, t.LastSeen.Load())
}

// OtherSessions is the name under which sessions that are not listed one by one
// are summed up: those that ended long ago, and in metrics those beyond a bound.
const OtherSessions = "other"

func difference(a, b uint64) uint64 {
	if a > b {
		return a - b
	}
	return b - a
}

// Write writes the ledger as indented JSON.
func (l Ledger) Write(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(l)
}
