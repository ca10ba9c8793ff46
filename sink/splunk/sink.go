package splunk

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/record"
	"github.com/periscope-collector/periscope/sink"
	"github.com/periscope-collector/periscope/sink/dir"
	"github.com/periscope-collector/periscope/sink/queue"
	"github.com/periscope-collector/periscope/sink/splunk/hec"
)

var _ sink.Flows = (*Sink)(nil)

// A Sink sends to Splunk. Its methods may be called from any goroutine, but for
// those of sink.Flows, whose rules that states.
type Sink struct {
	cfg        Config
	queue      *queue.Queue[packet.Flow]
	workers    []worker
	frames     *Frames // nil when none are sent
	events     *record.Events
	client     *hec.Client
	quarantine *quarantine
	lock       *dir.Lock

	lanes []*lane
	lane  [numKinds]*lane // where the encoder puts events; nil is nowhere

	places  chan struct{} // one for each batch in memory
	running sync.WaitGroup
	stop    context.CancelFunc // of lanes and deliveries
	closing chan struct{}      // nothing is appended any more
	settled chan struct{}      // a batch has come to its end
	encoded chan struct{}      // the encoder has ended

	interrupt     chan struct{} // nobody waits for room any more
	interruptOnce sync.Once
	closeOnce     sync.Once
	closeErr      error

	made    made
	warned  sync.Mutex
	lastWas map[string]time.Time
}

// A worker is one worker's side of the sink.
type worker struct {
	offered, dropped atomic.Uint64 // events
	_                [48]byte      // apart from other workers
}

// Open locks the directory and starts the sink, which begins to send what an
// earlier process left. It does not ask an endpoint whether it is there. The
// error is a *dir.LockedError if another process has the directory.
func Open(c Config) (_ *Sink, err error) {
	if err := c.setDefaults(); err != nil {
		return nil, err
	}
	buffer := c.Buffer
	if c.Frames.Mode != FramesOff {
		buffer -= c.Buffer / frameShare
	}
	s := &Sink{
		cfg: c,
		queue: queue.New[packet.Flow](queue.Config{
			Workers: c.Workers, Bytes: buffer, Replay: c.Replay,
		}),
		workers:   make([]worker, c.Workers),
		events:    record.NewEvents(c.eventConfig()),
		places:    make(chan struct{}, places),
		closing:   make(chan struct{}),
		settled:   make(chan struct{}, 1),
		encoded:   make(chan struct{}),
		interrupt: make(chan struct{}),
		lastWas:   make(map[string]time.Time),
	}
	if c.Frames.Mode != FramesOff {
		s.frames = newFrames(s)
	}
	if s.client, err = hec.New(c.HEC); err != nil {
		return nil, fmt.Errorf("splunk: %w", err)
	}
	defer func() {
		if err != nil {
			s.release()
		}
	}()
	if c.Replay { // which would wait for a token without end
		if err := s.client.Tokens(); err != nil {
			return nil, fmt.Errorf("splunk: %w", err)
		}
	}
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("splunk: make the directory of the spool: %w", err)
	}
	if s.lock, err = dir.TakeLock(c.Dir); err != nil {
		return nil, fmt.Errorf("splunk: %w", err)
	}
	s.quarantine = &quarantine{path: filepath.Join(c.Dir, QuarantineName), sink: s, named: dir.Sync}
	if err := s.openLanes(); err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	for _, l := range s.lanes {
		s.running.Add(1)
		go s.runLane(ctx, l)
	}
	go newEncoder(s).run()
	return s, nil
}

// TakesFlows reports whether Flow makes anything of a record.
func (s *Sink) TakesFlows() bool { return s.cfg.Flow || s.cfg.VPCFlow }

// Flow copies r for the encoder.
func (s *Sink) Flow(worker int, r *packet.Flow) {
	w := &s.workers[worker]
	n := s.eventsOf(r)
	w.offered.Add(n)
	if n > 0 && !s.queue.Put(worker, r.Shard, r) {
		w.dropped.Add(n)
	}
}

// eventsOf returns how many events are made of a record.
func (s *Sink) eventsOf(r *packet.Flow) (n uint64) {
	if s.cfg.Flow {
		n++
	}
	if s.cfg.VPCFlow {
		for i := range r.Side {
			if r.Side[i].Packets > 0 {
				n++
			}
		}
	}
	return n
}

// Cut does nothing: an event says when its flow was.
func (s *Sink) Cut(int, packet.Cut) {}

// Mark ends a batch of the worker's.
func (s *Sink) Mark(worker int, _, now int64) { s.queue.Mark(worker, now) }

// Settle says that the traffic has ended.
func (s *Sink) Settle(ctx context.Context) { s.queue.Settle(ctx) }

// Interrupt says that a replay is given up: what finds no room is dropped from
// now on, as it is live.
func (s *Sink) Interrupt() { s.interruptOnce.Do(func() { close(s.interrupt) }) }

// Close sends what is left until ctx is done, or live until no endpoint takes
// anything, and unlocks the directory. What is not sent then stays in the spool,
// pending, and the next Open sends it; in a replay Close says so.
func (s *Sink) Close(ctx context.Context) error {
	s.closeOnce.Do(func() { s.closeErr = s.close(ctx) })
	return s.closeErr
}

func (s *Sink) close(ctx context.Context) error {
	s.queue.Close()
	if s.frames != nil {
		s.frames.queue.Close()
	}
	select {
	case <-s.encoded:
	case <-ctx.Done():
		s.Interrupt()
		<-s.encoded
	}
	close(s.closing)
	s.empty(ctx)
	s.stop()
	s.running.Wait()
	err := s.release()
	if n := s.pending(); n > 0 && err == nil {
		if s.cfg.Replay {
			return fmt.Errorf("splunk: %d events could not be sent and stay in %s; the next start with this spool sends them", n, s.cfg.Dir)
		}
		s.cfg.Log.Info("events stay in the spool; the next start sends them", "events", n, "dir", s.cfg.Dir)
	}
	return err
}

// empty waits until everything is sent. Live it gives up when nobody takes what is
// left.
func (s *Sink) empty(ctx context.Context) {
	look := time.NewTicker(100 * time.Millisecond)
	defer look.Stop()
	told := time.Now()
	for s.pending() > 0 {
		select {
		case <-s.settled:
		case <-look.C:
		case <-ctx.Done():
			return
		}
		if !s.cfg.Replay && !s.takes() {
			return
		}
		if s.cfg.Replay && time.Since(told) >= 10*time.Second {
			told = time.Now()
			s.cfg.Log.Info("events are being sent to Splunk; interrupt to leave them in the spool", "left", s.pending())
		}
	}
}

// takes reports whether what is left may go now: a request is out, or an endpoint
// may be asked for a lane that is not held.
func (s *Sink) takes() bool {
	free := false
	for _, e := range s.client.Stats().Endpoints {
		if e.Hold == "" && e.InFlight > 0 {
			return true
		}
		free = free || e.Hold == ""
	}
	return free && slices.ContainsFunc(s.lanes, func(l *lane) bool {
		return l.pace.held() == "" && l.spool.Stats().Pending > 0
	})
}

// pending returns how many events are in the spool.
func (s *Sink) pending() (n int) {
	for _, l := range s.lanes {
		n += l.spool.Stats().Pending
	}
	return n
}

// release closes what Open opened.
func (s *Sink) release() (err error) {
	s.client.Close()
	for _, l := range s.lanes {
		if e := l.spool.Close(); e != nil && err == nil {
			err = fmt.Errorf("splunk: %w", e)
		}
	}
	if s.lock != nil {
		s.lock.Release()
	}
	return err
}

// signal says that a batch has come to its end.
func (s *Sink) signal() {
	select {
	case s.settled <- struct{}{}:
	default:
	}
}

// complainOnce is how often the same thing is said.
const complainOnce = 10 * time.Second

// warn logs what may happen again and again, each thing once in a while.
func (s *Sink) warn(msg string, args ...any) {
	s.warned.Lock()
	defer s.warned.Unlock()
	if now := s.cfg.now(); now.Sub(s.lastWas[msg]).Abs() >= complainOnce {
		s.lastWas[msg] = now
		s.cfg.Log.Warn(msg, args...)
	}
}
