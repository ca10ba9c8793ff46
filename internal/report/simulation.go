package report

import (
	"github.com/periscope-collector/periscope/filter"
	"github.com/periscope-collector/periscope/packet"
)

// A Simulation counts what mirror sessions with the filters of a file would have
// mirrored of the frames it is shown. Each worker counts by itself: 32 bytes for
// each rule, some 1 MB for 16 sessions of 2,000 rules, and 100 for each session
// seen. The counts do not depend on the number of workers.
type Simulation struct {
	name     string // of the file
	sessions []filter.Session
	programs []*filter.Program // of the sessions
	workers  []simulated
}

// simulated is what one worker counts.
type simulated struct {
	decided   [][]tally // by session, then by what decided: see place
	unmatched tally     // no session accepts
	unknown   tally     // the direction is not known
	workloads map[*packet.Session]*workload

	recent  *packet.Session // the session of the last frame, and its counts,
	counted *workload       // so that the map is rarely asked
	_       [64]byte        // the next worker's are another's
}

// A tally counts packets, their real lengths, and when the first and the last
// were seen.
type tally struct {
	packets, bytes uint64
	first, last    int64 // in ns since 1970 UTC; valid iff packets is not 0
}

func (t *tally) count(f *packet.Frame) {
	t.add(&tally{1, uint64(f.Length), f.Time, f.Time})
}

func (t *tally) add(o *tally) {
	switch {
	case o.packets == 0:
		return
	case t.packets == 0:
		*t = *o
		return
	}
	t.packets += o.packets
	t.bytes += o.bytes
	t.first, t.last = min(t.first, o.first), max(t.last, o.last)
}

// A workload is the counts of a session that the frames came through.
type workload struct{ now, then tally }

// NewSimulation returns a simulation of the sessions of a filter file; name is
// the file's.
func NewSimulation(name string, file *filter.File, workers int) (*Simulation, error) {
	sessions, err := file.Simulated()
	if err != nil {
		return nil, err
	}
	s := &Simulation{name: name, sessions: sessions, workers: make([]simulated, workers)}
	for _, session := range sessions {
		program, err := session.Filter.Compile()
		if err != nil {
			return nil, err
		}
		s.programs = append(s.programs, program)
		for i := range s.workers {
			w := &s.workers[i]
			w.decided = append(w.decided, make([]tally, len(session.Filter.Rules)+2))
			w.workloads = make(map[*packet.Session]*workload)
		}
	}
	return s, nil
}

// place returns where in a session's counts those of a verdict are: behind the
// rules, those of no rule and those of Amazon DNS.
func place(f *filter.Filter, rule int) int {
	switch rule {
	case filter.NoRule:
		return len(f.Rules)
	case filter.AmazonDNS:
		return len(f.Rules) + 1
	}
	return rule
}

// See counts a decoded frame, of which session and direction are set. Calls for
// different workers may run at once.
func (s *Simulation) See(worker int, f *packet.Frame) {
	w := &s.workers[worker]
	if f.Session != w.recent {
		w.recent, w.counted = f.Session, w.workloads[f.Session]
		if w.counted == nil {
			w.counted = new(workload)
			w.workloads[f.Session] = w.counted
		}
	}
	w.counted.now.count(f)
	if f.Direction == packet.DirectionUnknown {
		w.unknown.count(f)
	}
	for i, program := range s.programs {
		v := program.Match(f)
		w.decided[i][place(s.sessions[i].Filter, v.Rule)].count(f)
		if v.Action == filter.Accept {
			w.counted.then.count(f)
			return
		}
	}
	w.unmatched.count(f)
}

// sum returns what all workers counted together, each session under what is
// known best of it.
func (s *Simulation) sum() *simulated {
	all := &simulated{workloads: make(map[*packet.Session]*workload)}
	for _, session := range s.sessions {
		all.decided = append(all.decided, make([]tally, len(session.Filter.Rules)+2))
	}
	for i := range s.workers {
		w := &s.workers[i]
		all.unmatched.add(&w.unmatched)
		all.unknown.add(&w.unknown)
		for i := range w.decided {
			for j := range w.decided[i] {
				all.decided[i][j].add(&w.decided[i][j])
			}
		}
		for session, from := range w.workloads {
			session = session.Identified()
			to := all.workloads[session]
			if to == nil {
				to = new(workload)
				all.workloads[session] = to
			}
			to.now.add(&from.now)
			to.then.add(&from.then)
		}
	}
	return all
}
