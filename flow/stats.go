package flow

import "github.com/periscope-collector/periscope/packet"

// Stats are sums over all workers, since the start unless said otherwise.
type Stats struct {
	Live     uint64 // flows in the table now
	Capacity uint64 // flows there is room for

	Packets    uint64                        // accounted for in flows, each in one record
	Records    [packet.NumFlowReasons]uint64 // emitted, by reason
	Evicted    uint64                        // flows forgotten for another; some have nothing to write by then
	NotIP      uint64                        // frames in no flow that are neither IP nor ARP
	Classes    [packet.NumClasses]ClassStats // of emitted records, and of ARP frames
	Unresolved uint64                        // fragments of which the first was not seen

	Duplicates                uint64 // packets that came through another session before
	TCPBytes, LostBytes       uint64 // of payload: seen, and acknowledged but not seen
	Retransmitted, OutOfOrder uint64 // TCP segments
}

// ClassStats count packets and bytes: of IP packets, but of whole frames for
// ARP.
type ClassStats struct{ Packets, Bytes uint64 }

// Stats returns the sums as of the last batches. Any goroutine may call it.
func (t *Table) Stats() Stats {
	var sum Stats
	for _, w := range t.workers {
		w.mu.Lock()
		sum.add(&w.published)
		w.mu.Unlock()
	}
	return sum
}

func (s *Stats) add(o *Stats) {
	s.Live += o.Live
	s.Capacity += o.Capacity
	s.Packets += o.Packets
	for i := range s.Records {
		s.Records[i] += o.Records[i]
	}
	s.Evicted += o.Evicted
	s.NotIP += o.NotIP
	for i := range s.Classes {
		s.Classes[i].Packets += o.Classes[i].Packets
		s.Classes[i].Bytes += o.Classes[i].Bytes
	}
	s.Unresolved += o.Unresolved
	s.Duplicates += o.Duplicates
	s.TCPBytes += o.TCPBytes
	s.LostBytes += o.LostBytes
	s.Retransmitted += o.Retransmitted
	s.OutOfOrder += o.OutOfOrder
}

// publish makes the worker's part readable.
func (w *worker) publish() {
	w.mu.Lock()
	w.published = w.stats
	w.mu.Unlock()
}
