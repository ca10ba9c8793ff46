package pipeline

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/periscope-collector/periscope/flow"
	"github.com/periscope-collector/periscope/packet"
)

// FlowConfig says how flows are accounted for. They are if a sink takes their
// records.
type FlowConfig struct {
	// Table is how many flows there can be at once.
	Table int

	// Interval is the most time a record covers, Idle how long a flow without
	// packets is remembered.
	Interval, Idle time.Duration

	// DropDuplicates leaves packets that were seen through another session
	// before out of the records.
	DropDuplicates bool
}

const (
	// closedGrace is how long the record of a closed connection waits for its
	// last packets.
	closedGrace = 5 * time.Second

	// replaySeed is the hash's in replay, so that the same input gives the same
	// records. What an input made for it can cost has a bound.
	replaySeed = 0x706572697363
)

// newFlows returns the table whose records go to the sinks of records, or nil
// if there are none.
func (p *Pipeline) newFlows(c *FlowConfig) (*flow.Table, error) {
	if len(p.flowSinks) == 0 {
		return nil, nil
	}
	seed, shards := rand.Uint64(), len(p.workers)
	if !p.live {
		seed, shards = replaySeed, packet.Shards
	}
	return flow.New(flow.Config{
		Workers:        len(p.workers),
		Shards:         shards,
		Capacity:       c.Table,
		Interval:       c.Interval,
		Idle:           c.Idle,
		Grace:          closedGrace,
		Seed:           seed,
		DropDuplicates: c.DropDuplicates,
		Emit:           p.emit,
		Cut: func(worker int, c packet.Cut) {
			for _, s := range p.flowSinks {
				s.Cut(worker, c)
			}
		},
	})
}

// settleFlows gives the sinks the records of the flows that are left.
func (p *Pipeline) settleFlows(ctx context.Context) {
	if p.table == nil {
		return
	}
	for _, s := range p.flowSinks {
		s.Settle(ctx)
	}
	p.table.Close()
	p.workers[0].publish() // the filters of sinks may have dropped some
}

// lostFrames returns how many frames did not reach the accounting of flows and
// should have.
func (p *Pipeline) lostFrames() uint64 {
	var total counts
	for i := range p.workers {
		p.workers[i].read(&total)
	}
	for i := range p.readers {
		p.readers[i].read(&total)
	}
	n := total.notDelivered[packet.QueueFull] + total.notDelivered[packet.Panic]
	if p.lost != nil {
		lost := p.lost()
		n += lost.Socket + lost.Ring + lost.NIC
	}
	return n
}
