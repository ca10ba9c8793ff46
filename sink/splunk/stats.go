package splunk

import (
	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/sink"
	"github.com/periscope-collector/periscope/sink/splunk/hec"
	"github.com/periscope-collector/periscope/sink/spool"
)

// Ledger returns the account in events. Stored means that an endpoint has taken
// or acknowledged them. What an earlier process left in the spool is offered
// again.
func (s *Sink) Ledger() sink.Ledger {
	var l sink.Ledger
	var appended, found uint64
	for _, lane := range s.lanes {
		stats, stored, refused := lane.account()
		found += stats.Found
		appended += stats.Appended
		l.Stored += stored
		l.Pending += uint64(stats.Pending)
		l.Dropped[packet.DropRefused] += refused
		for d, n := range stats.Dropped {
			l.Dropped[d] += n
		}
	}
	for d := range s.made.dropped {
		n := s.made.dropped[d].Load()
		l.Dropped[d] += n
		appended += n // it has left the queue
	}
	var offered, full uint64
	for i := range s.workers {
		full += s.workers[i].dropped.Load() // before offered, which is counted first
		offered += s.workers[i].offered.Load()
	}
	offered += s.made.reports.Load()
	l.Dropped[packet.DropQueueFull] += full
	l.Offered = found + offered
	l.Pending += offered - full - appended
	return l
}

// Stats is what the sink has done since Open and what it holds now. Its fields
// are read one after another, not as of one moment.
type Stats struct {
	HEC   hec.Stats
	Lanes []LaneStats // one at least

	// Size bounds the bytes of all lanes.
	Size int64

	// Unkept counts refused events that are in no file.
	Unkept uint64
}

// LaneStats is the state of a lane.
type LaneStats struct {
	Name    string // type, or type@index
	Spool   spool.Stats
	Stored  uint64 // events that an endpoint has taken or acknowledged
	Refused uint64 // events that were refused for good
	Held    string // why nothing of it is sent now: index, refused, spool; "" if it is
}

// Stats may be called by any goroutine at any time.
func (s *Sink) Stats() Stats {
	stats := Stats{HEC: s.client.Stats(), Size: s.cfg.Size, Unkept: s.quarantine.lost()}
	for _, l := range s.lanes {
		spool, stored, refused := l.account()
		stats.Lanes = append(stats.Lanes, LaneStats{l.name, spool, stored, refused, l.pace.held()})
	}
	return stats
}
