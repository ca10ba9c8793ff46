package splunk

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/periscope-collector/periscope/sink/spool"
)

// A kind is a type of record.
type kind uint8

const (
	ledgerKind kind = iota
	flowKind
	vpcFlowKind
	frameKind
	numKinds
)

// kinds are what there is of each kind: its name, how many sixteenths of
// Config.Size may be taken when one more event of it is kept, and what share of
// the file system then stays free.
var kinds = [numKinds]struct {
	name  string
	share int64
	free  func(configured float64) float64
}{
	ledgerKind:  {"ledger", 16, func(free float64) float64 { return free / 2 }},
	flowKind:    {"flow", 15, func(free float64) float64 { return free }},
	vpcFlowKind: {"vpcflow", 15, func(free float64) float64 { return free }},
	frameKind:   {"frame", 8, moreFree},
}

// moreFree is 5 points more than configured, unless that is no bound.
func moreFree(configured float64) float64 {
	if configured == 0 {
		return 0
	}
	return min(configured+0.05, 1)
}

// A segment of a lane takes room until all of it is committed, and every lane has
// one that is written: segmentPart of them leave most of Config.Size to what is
// not delivered.
const (
	segmentPart  = 64
	segmentLeast = 64 << 10
	segmentMost  = 64 << 20
)

// A lane is a type of record and an index. Its goroutine reads its spool, the
// encoder appends to it.
type lane struct {
	name  string // and directory: type, or type@index
	spool *spool.Spool
	id    []byte // of the spool, and a hyphen: how an event_uid begins

	full chan struct{} // there is a batch, no need to linger

	waiting int // the encoder's: bytes since full was sent

	pace pace

	mu      sync.Mutex
	refused uint64
}

func laneName(k kind, index string) string {
	if index == "" {
		return kinds[k].name
	}
	return kinds[k].name + "@" + index
}

func (s *Sink) openLane(name string, k kind) (*lane, error) {
	sp, err := spool.Open(spool.Config{
		Dir:          filepath.Join(s.cfg.Dir, name),
		Size:         s.cfg.Size,
		SegmentBytes: max(min(s.cfg.Size/segmentPart, segmentMost), segmentLeast),
		Age:          s.cfg.Age,
		Free:         kinds[k].free(s.cfg.Free),
		Log:          s.cfg.Log,
	})
	if err != nil {
		return nil, fmt.Errorf("splunk: %w", err)
	}
	l := &lane{name: name, spool: sp, id: []byte(sp.ID() + "-"), full: make(chan struct{}, 1), pace: newPace(s.cfg.batchEvents)}
	s.lanes = append(s.lanes, l)
	return l, nil
}

// openLanes opens the lane of every type that is sent, and those with events that
// an earlier configuration left.
func (s *Sink) openLanes() error {
	wanted := [numKinds]struct {
		on    bool
		index string
	}{
		ledgerKind:  {s.cfg.Ledger && s.cfg.Report != nil, s.cfg.Indexes.Ledger},
		flowKind:    {s.cfg.Flow, s.cfg.Indexes.Flow},
		vpcFlowKind: {s.cfg.VPCFlow, s.cfg.Indexes.VPCFlow},
		frameKind:   {s.cfg.Frames.Mode != FramesOff, s.cfg.Indexes.Frame},
	}
	open := make(map[string]bool)
	for k, w := range wanted {
		if !w.on {
			continue
		}
		l, err := s.openLane(laneName(kind(k), w.index), kind(k))
		if err != nil {
			return err
		}
		s.lane[k], open[l.name] = l, true
	}
	entries, err := os.ReadDir(s.cfg.Dir)
	if err != nil {
		return fmt.Errorf("splunk: %w", err)
	}
	for _, e := range entries {
		k, ok := laneKind(e.Name())
		if !e.IsDir() || !ok || open[e.Name()] {
			continue
		}
		if _, err := s.openLane(e.Name(), k); err != nil {
			return err
		}
	}
	return nil
}

// laneKind returns what is in the lane of a directory's name, if it is one. A name
// is shown in logs and metrics.
func laneKind(name string) (kind, bool) {
	head, _, _ := strings.Cut(name, "@")
	for k := range numKinds {
		if kinds[k].name == head {
			return k, utf8.ValidString(name)
		}
	}
	return 0, false
}

// runLane reads batches and starts their deliveries, until ctx is done.
func (s *Sink) runLane(ctx context.Context, l *lane) {
	defer s.running.Done()
	for {
		select {
		case <-l.spool.Ready():
		case <-ctx.Done():
			return
		}
		if !s.lingers(ctx, l) {
			return
		}
		for s.next(ctx, l) {
		}
	}
}

// lingers waits for more events, unless there are enough or the sink closes. It
// reports false when ctx is done.
func (s *Sink) lingers(ctx context.Context, l *lane) bool {
	timer := time.NewTimer(s.cfg.linger)
	defer timer.Stop()
	select {
	case <-l.full:
	case <-timer.C:
	case <-s.closing:
	case <-ctx.Done():
		return false
	}
	return true
}

// next starts the delivery of the next batch, when there is a place for it and an
// endpoint to ask. It reports whether there may be as much again.
func (s *Sink) next(ctx context.Context, l *lane) bool {
	if !l.pace.wait(ctx) {
		return false
	}
	select {
	case s.places <- struct{}{}:
	case <-ctx.Done():
		return false
	}
	slot, err := s.client.Acquire(ctx)
	if err != nil {
		<-s.places
		return false
	}
	turn, ok := l.pace.next()
	if !ok {
		slot.Release()
		<-s.places
		return true
	}
	b, err := l.spool.Read(turn.events, turn.bytes)
	if b == nil {
		if err != nil {
			s.warn("the spool cannot be read", "lane", l.name, "error", err)
			l.pace.hold(turn.epoch, s.cfg.holdLeast, "spool")
		}
		slot.Release()
		<-s.places
		return err != nil
	}
	more := !turn.trial && s.behind(l, b, turn)
	s.running.Add(1)
	go func() {
		defer s.running.Done()
		s.deliver(ctx, l, b, turn.epoch, slot)
		<-s.places
	}()
	return more
}

// behind reports whether there is likely more to read behind a batch: it is a full
// one, or small since it ends with its segment, or since it came back, when it has
// waited for longer than for others to come. Spool.Next is the encoder's, who alone
// can rely on it; here it says which segment is the last.
func (s *Sink) behind(l *lane, b *spool.Batch, t turn) bool {
	return len(b.Events) >= t.events/2 || size(b.Events) >= t.bytes/2 ||
		b.Last.Segment != l.spool.Next().Segment || time.Since(b.Oldest) > 2*s.cfg.linger
}

func size(events [][]byte) (n int) {
	for _, e := range events {
		n += len(e)
	}
	return n
}

// settle gives a batch its outcome and its share of the account.
func (l *lane) settle(b *spool.Batch, refused int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.spool.Commit(b)
	l.refused += uint64(refused)
}

// account returns the lane's side of the account as of one moment.
func (l *lane) account() (stats spool.Stats, stored, refused uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	stats = l.spool.Stats()
	return stats, stats.Committed - l.refused, l.refused
}
