package service

import (
	"fmt"
	"sync"
	"time"

	"github.com/periscope-collector/periscope/internal/pipeline"
)

// stuckAfter is how long something may stand still before it counts as stuck.
// Workers and the writer move several times a second, idle or not.
const stuckAfter = 10 * time.Second

// A pulse watches the counters that grow as long as the parts of a collector
// are alive: real progress of every worker and of the writer of files, not just
// a goroutine that still runs.
type pulse struct {
	parts []part

	mu   sync.Mutex
	seen []beat // of each part
	err  error
}

// A part is something that must move, and its counter.
type part struct {
	name string
	read func() uint64
}

// A beat is a counter's value and when it last changed.
type beat struct {
	value uint64
	at    time.Time
}

func (p *pulse) init(live *pipeline.Live) {
	for i := range live.Workers() {
		p.parts = append(p.parts, part{fmt.Sprintf("worker %d", i), func() uint64 { return live.Progress(i) }})
	}
	if sink := live.PCAP(); sink != nil {
		p.parts = append(p.parts, part{"the writer of capture files", sink.Progress})
	}
	if sink := live.FlowLog(); sink != nil {
		p.parts = append(p.parts, part{"the writer of flow-log files", sink.Progress})
	}
	p.seen = make([]beat, len(p.parts))
}

// take reads the counters.
func (p *pulse) take(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.err = nil
	for i, part := range p.parts {
		value := part.read()
		if value != p.seen[i].value || p.seen[i].at.IsZero() {
			p.seen[i] = beat{value, now}
		}
		if still := now.Sub(p.seen[i].at); still >= stuckAfter && p.err == nil {
			p.err = fmt.Errorf("%s has not moved for %s", part.name, still.Round(time.Second))
		}
	}
}

// stuck returns nil as long as every part moves, else which one does not.
func (p *pulse) stuck() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}
