// Package service runs a live pipeline as a service: admin and health over
// HTTP, readiness, the watchdog of the service manager, reload, and the order
// in which all of it stops.
//
// It does not handle signals and does not exit; the command does.
package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sys/unix"

	"github.com/periscope-collector/periscope/internal/admin"
	"github.com/periscope-collector/periscope/internal/config"
	"github.com/periscope-collector/periscope/internal/metrics"
	"github.com/periscope-collector/periscope/internal/pipeline"
)

// A Service is a collector that serves and is looked after. Its methods may be
// called from any goroutine.
type Service struct {
	live     *pipeline.Live
	collect  func() error    // live.Run
	finished func() []uint64 // live.Finished
	version  string
	log      *slog.Logger
	servers  []*admin.Server
	admin    *admin.Server // nil when off

	pulse    pulse
	skew     skew
	running  atomic.Bool
	draining atomic.Bool

	stop     sync.Once
	deadline chan time.Time // one value: when the stop must be over
	ended    chan struct{}  // closed when nothing is collected any more
}

// unusedTimeout is ample to close what got nothing. A sink that sends what an
// earlier process left could take for ever.
const unusedTimeout = time.Second

// New opens everything that cfg names; datagrams arrive and HTTP answers from
// then on, but nothing is taken before Run.
func New(cfg config.Config, version string, log *slog.Logger) (*Service, error) {
	live, err := pipeline.NewLive(cfg, version, log)
	if err != nil {
		return nil, err
	}
	s := &Service{
		live: live, collect: live.Run, finished: live.Finished, version: version, log: log,
		deadline: make(chan time.Time, 1), ended: make(chan struct{}),
	}
	live.SetReady(s.Ready)
	s.pulse.init(live)
	if err := s.listen(cfg); err != nil {
		live.Stop()
		ctx, cancel := context.WithTimeout(context.Background(), unusedTimeout)
		defer cancel()
		return nil, errors.Join(err, live.Close(ctx), s.closeServers(ctx))
	}
	return s, nil
}

// listen opens the HTTP listeners that are on.
func (s *Service) listen(cfg config.Config) error {
	handler := admin.Handler(admin.Config{
		Ready:     s.Ready,
		Ledger:    func() any { return s.Ledger() },
		Sessions:  func(all bool) any { return s.live.SessionList(time.Now(), all, s.version, s.live.Discovery()) },
		Gatherer:  metrics.NewRegistry(s.snapshot),
		TokenFile: cfg.Admin.TokenFile,
		Log:       s.log,
	})
	if cfg.Admin.Listen != "" {
		server, err := admin.Listen("admin.listen", cfg.Admin.Listen, handler, s.log)
		if err != nil {
			return err
		}
		s.admin = server
		s.servers = append(s.servers, server)
	}
	if cfg.Health.Listen != "" {
		server, err := admin.Listen("health.listen", cfg.Health.Listen, admin.HealthHandler(s.Ready), s.log)
		if err != nil {
			return err
		}
		s.servers = append(s.servers, server)
	}
	return nil
}

// AdminAddr returns where admin listens, or "" when it is off.
func (s *Service) AdminAddr() string {
	if s.admin == nil {
		return ""
	}
	return s.admin.Addr()
}

// Run collects until Stop, or until a socket fails, and returns when everything
// is flushed and closed, or when the stop has run out of time. It is called
// once.
func (s *Service) Run() error {
	for _, server := range s.servers {
		go func() {
			if err := server.Serve(); err != nil {
				s.log.Error("HTTP ended", "address", server.Addr(), "error", err)
			}
		}()
	}
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() { s.lookAfter(done) })
	s.running.Store(true)
	s.notify(daemon.SdNotifyReady)

	deadline, err := s.wait()

	close(done)
	wg.Wait()
	s.running.Store(false)
	s.notify(daemon.SdNotifyStopping)
	ctx, cancel := context.WithDeadline(context.Background(), deadline)
	defer cancel()
	if !errors.Is(err, errStuck) {
		err = errors.Join(err, s.live.Close(ctx)) // else a worker may still use the sinks
	}
	return errors.Join(err, s.closeServers(ctx))
}

var errStuck = errors.New("a worker did not end in time; what it held is lost, and the next start finishes the capture files")

// wait runs the pipeline to its end and returns its error, and when the rest of
// the stop must be over. The error is errStuck when that comes first.
func (s *Service) wait() (deadline time.Time, err error) {
	result := make(chan error, 1)
	go func() {
		defer close(s.ended)
		result <- s.collect()
	}()
	select {
	case err = <-result:
		select {
		case deadline = <-s.deadline:
		default: // a socket failed
			deadline = time.Now().Add(time.Duration(s.Config().StopTimeout))
		}
		return deadline, err
	case deadline = <-s.deadline:
	}
	select {
	case err = <-result:
		return deadline, err
	case <-time.After(time.Until(deadline)):
		return deadline, errStuck
	}
}

func (s *Service) closeServers(ctx context.Context) error {
	var err error
	for _, server := range s.servers {
		err = errors.Join(err, server.Close(ctx))
	}
	return err
}

// Stop makes the service unready, lets it read on for drain, and then ends Run
// within timeout. Later calls do nothing.
func (s *Service) Stop(drain, timeout time.Duration) {
	s.stop.Do(func() {
		s.draining.Store(true)
		wait := time.NewTimer(drain)
		defer wait.Stop()
		select {
		case <-wait.C:
		case <-s.ended: // a socket failed
		}
		s.deadline <- time.Now().Add(timeout)
		s.live.Stop()
	})
}

// Ready returns nil when traffic should come here, else why not.
func (s *Service) Ready() error {
	switch {
	case s.draining.Load():
		return errors.New("stopping")
	case !s.running.Load():
		return errors.New("not running")
	}
	return s.pulse.stuck()
}

// Ledger returns the account of every frame.
func (s *Service) Ledger() pipeline.Ledger { return s.live.Ledger() }

// Backend returns how datagrams are taken now: udp, afpacket or xdp.
func (s *Service) Backend() string { return s.live.Backend() }

// Config returns the configuration in force.
func (s *Service) Config() config.Config { return s.live.Config() }

// Reload takes over a configuration, whole or not at all.
func (s *Service) Reload(cfg config.Config) error { return s.live.Reload(cfg) }

// Reloading and Reloaded tell the service manager about a reload.
func (s *Service) Reloading() {
	var now unix.Timespec
	unix.ClockGettime(unix.CLOCK_MONOTONIC, &now)
	s.notify(fmt.Sprintf("%s\nMONOTONIC_USEC=%d", daemon.SdNotifyReloading, now.Nano()/1000))
}

// Reloaded ends what Reloading began.
func (s *Service) Reloaded() { s.notify(daemon.SdNotifyReady) }

func (s *Service) snapshot() metrics.Snapshot {
	m := metrics.Snapshot{
		Now:     time.Now(),
		Version: s.version,
		Ready:   s.Ready() == nil,
		Ledger:  s.Ledger(),
		Groups:  s.live.Groups(),
		Backend: s.live.Backend(),
		Skew:    s.skew.get(),

		SessionFile: s.live.SessionFileErr(),
		Discovery:   s.live.Discovery(),

		Announcements: s.live.Announcements(),
	}
	m.Interface, m.NIC = s.live.NIC()
	if p := s.live.PCAP(); p != nil {
		stats := p.Stats()
		m.PCAP, m.RetainedSeconds = &stats, p.RetainedSeconds()
	}
	if f := s.live.FlowLog(); f != nil {
		stats := f.Stats()
		m.FlowLog = &stats
	}
	if sp := s.live.Splunk(); sp != nil {
		stats := sp.Stats()
		m.Splunk = &stats
	}
	return m
}

// notify tells the service manager, if there is one.
func (s *Service) notify(state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		s.log.Warn("the service manager could not be told", "state", state, "error", err)
	}
}

// lookAfter takes the pulse and, as long as it beats, feeds the watchdog of the
// service manager.
func (s *Service) lookAfter(done <-chan struct{}) {
	every := time.Second
	watchdog, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		s.log.Warn("the watchdog of the service manager is not fed", "error", err)
	}
	if watchdog > 0 {
		every = min(every, watchdog/4)
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	var was error
	for {
		select {
		case <-done:
			return
		case now := <-tick.C:
			s.pulse.take(now)
			s.skew.take(now, s.finished())
		}
		err := s.pulse.stuck()
		switch {
		case err != nil && was == nil:
			s.log.Error("no progress; not ready until it moves again", "error", err)
		case err == nil && was != nil:
			s.log.Info("progress again")
		}
		if was = err; err == nil && watchdog > 0 {
			s.notify(daemon.SdNotifyWatchdog)
		}
	}
}
