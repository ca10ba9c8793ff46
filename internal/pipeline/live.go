package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/periscope-collector/periscope/capture"
	"github.com/periscope-collector/periscope/internal/config"
	"github.com/periscope-collector/periscope/internal/nic"
	"github.com/periscope-collector/periscope/session"
	"github.com/periscope-collector/periscope/session/journal"
	"github.com/periscope-collector/periscope/sink/flowlog"
	"github.com/periscope-collector/periscope/sink/pcap"
	"github.com/periscope-collector/periscope/sink/splunk"
)

// A Live is a pipeline on the tunnel ports of this machine.
//
// It starts from the sinks upstream and stops from the sockets downstream, so
// that there is always somewhere for a frame to go: lock and salvage the
// capture directory, read the session file and the journal, open the rings and
// sockets, ask AWS; then, at the end, read them empty, finish the batches, ask no
// more, flush the sinks, and the journal.
type Live struct {
	*Pipeline
	log   *slog.Logger
	asked int // capture.workers as configured

	mu      sync.Mutex // guards what Reload changes
	running bool       // only then is the session file watched
	cfg     config.Config
	watcher *session.Watcher // nil without a session file
	unwatch context.CancelFunc

	table   *session.Table
	finder  *finder // nil unless AWS is asked or senders are heard
	inputs  *inputs
	outputs outputs
	made    atomic.Pointer[Pipeline] // Pipeline, once it is there
	ready   atomic.Pointer[func() error]
}

// NewLive opens everything that cfg names. Datagrams arrive from then on; Run
// takes them.
func NewLive(cfg config.Config, version string, log *slog.Logger) (_ *Live, err error) {
	l := &Live{asked: cfg.Capture.Workers, log: log, unwatch: func() {}}
	cfg.Capture.Workers = liveWorkers(&cfg.Capture)
	l.cfg = cfg
	defer func() {
		if err != nil {
			l.abandon()
		}
	}()
	l.table = newLiveTable(&cfg, log, &l.finder)
	l.outputs, err = openOutputs(&cfg, surroundings{
		version: version, sessions: l.table.Sessions, lost: l.lost, ledger: l.account, log: log,
	})
	if err != nil {
		return nil, err
	}
	l.watcher = l.newWatcher(cfg.Sessions.File)
	if l.watcher != nil {
		if err := l.watcher.Reload(); err != nil {
			return nil, &FileError{err}
		}
	}
	l.finder = openFinder(&cfg, l.table, journal.Config{Log: log})
	rules, err := loadRules(&cfg)
	if err != nil {
		return nil, err
	}
	l.inputs, err = openInputs(&cfg.Capture, log)
	if err != nil {
		return nil, err
	}
	l.Pipeline, err = New(Config{
		Workers:  cfg.Capture.Workers,
		Live:     true,
		Allow:    cfg.Capture.Allow,
		Sessions: l.table,
		Sinks:    l.outputs.list(),
		Rules:    rules,
		Flows:    flowConfig(&cfg),
		Lost:     l.inputs.lost,
		Hear:     l.finder.hear,
		Log:      log,
	})
	l.made.Store(l.Pipeline)
	return l, err
}

// abandon closes what was opened before something failed.
func (l *Live) abandon() {
	if l.inputs != nil {
		l.inputs.close()
	}
	l.finder.close(context.Background()) // it found nothing, so that nothing is to be written
	l.outputs.close()
}

// lost returns how many frames did not reach the accounting of flows. Sinks ask
// from when they are opened.
func (l *Live) lost() uint64 {
	p := l.made.Load()
	if p == nil {
		return 0
	}
	return p.lostFrames()
}

// account returns the ledger, which is empty until there is a pipeline, and
// whether traffic should come here.
func (l *Live) account() (Ledger, bool) {
	p, ready := l.made.Load(), l.ready.Load()
	if p == nil {
		return Ledger{}, false
	}
	return p.Ledger(), ready != nil && (*ready)() == nil
}

// SetReady says how to find out whether traffic should come here, for the sinks
// that tell.
func (l *Live) SetReady(ready func() error) { l.ready.Store(&ready) }

// Run takes datagrams until Stop was called and the sockets and rings are empty,
// or one of them fails.
func (l *Live) Run() error {
	l.mu.Lock()
	l.running = true
	l.watch()
	l.mu.Unlock()
	l.finder.start()
	defer l.finder.stop() // Close waits for it: a journal's disk that hangs must not keep the sinks from it
	defer func() {
		l.mu.Lock()
		l.running = false
		l.unwatch()
		l.mu.Unlock()
	}()
	return l.Pipeline.Run(context.Background(), l.inputs.sources()...)
}

// Stop ends Run once what the sockets and rings hold now is taken.
func (l *Live) Stop() { l.inputs.stop() }

// Close flushes the sinks and the journal until ctx is done, and closes the sockets
// and rings. It comes after Run.
func (l *Live) Close(ctx context.Context) error {
	return errors.Join(l.Pipeline.Close(ctx), l.inputs.close(), l.finder.close(ctx))
}

// Groups describes the sockets.
func (l *Live) Groups() []capture.Group { return l.inputs.udp.Groups() }

// Backend returns how datagrams are taken now: udp, afpacket or xdp. It is udp
// also when the interface of the rings has gone.
func (l *Live) Backend() string { return l.inputs.taking() }

// NIC returns the interface whose losses count, or "" where there is none, and
// what it has lost since the start.
func (l *Live) NIC() (name string, loss nic.Loss) {
	if l.inputs.nic == nil {
		return "", nic.Loss{}
	}
	return l.inputs.iface, l.inputs.loss()
}

// PCAP returns the pcap sink, or nil when it is off.
func (l *Live) PCAP() *pcap.Sink { return l.outputs.pcap }

// FlowLog returns the flowlog sink, or nil when it is off.
func (l *Live) FlowLog() *flowlog.Sink { return l.outputs.flowlog }

// Splunk returns the splunk sink, or nil when it is off.
func (l *Live) Splunk() *splunk.Sink { return l.outputs.splunk }

// SessionFileErr returns why the sessions are not as the session file says, or
// nil when they are or there is no such file.
func (l *Live) SessionFileErr() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.watcher == nil {
		return nil
	}
	return l.watcher.Err()
}

// Config returns the configuration in force.
func (l *Live) Config() config.Config {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cfg
}

// Reload takes over a new configuration, with its session file and its filter
// file, whole or not at all. A change that needs a restart is an error that names the keys.
func (l *Live) Reload(cfg config.Config) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if cfg.Capture.Workers == l.asked {
		cfg.Capture.Workers = l.cfg.Capture.Workers
	} else {
		cfg.Capture.Workers = liveWorkers(&cfg.Capture)
	}
	if keys := config.Restart(&l.cfg, &cfg); len(keys) > 0 {
		return fmt.Errorf("a restart is needed to change %s", strings.Join(keys, ", "))
	}
	// The files are what can still be refused, so they go first, that of the
	// sessions last: through the watcher, which knows what it read last.
	rules, err := loadRules(&cfg)
	if err != nil {
		return err
	}
	watcher := l.watcher
	moved := cfg.Sessions.File != l.cfg.Sessions.File
	if moved {
		watcher = l.newWatcher(cfg.Sessions.File)
		l.unwatch() // it may be about to apply the old file
	}
	if watcher != nil {
		if err := watcher.Reload(); err != nil {
			if moved {
				l.watch()
			}
			return &FileError{err}
		}
	} else {
		l.table.Replace(nil)
	}
	l.table.SetUnknown(policy(&cfg), cfg.Sessions.UnknownMax)
	l.Allow(cfg.Capture.Allow)
	l.SetRules(rules)
	if l.outputs.pcap != nil {
		rotate, retain := pcapLimits(cfg.Sinks.PCAP)
		if err := l.outputs.pcap.Reconfigure(rotate, retain); err != nil {
			return err // config has validated both
		}
	}
	l.cfg = cfg
	if moved {
		l.watcher = watcher
		l.watch()
	}
	return nil
}

// newWatcher returns what looks after a session file, or nil without one.
func (l *Live) newWatcher(path string) *session.Watcher {
	if path == "" {
		return nil
	}
	return &session.Watcher{Path: path, Table: l.table, Log: l.log}
}

// watch looks after the session file, if there is one. The caller holds mu.
func (l *Live) watch() {
	l.unwatch = func() {}
	if l.watcher == nil || !l.running {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	w, done := l.watcher, make(chan struct{})
	go func() {
		defer close(done)
		w.Run(ctx)
	}()
	l.unwatch = func() {
		cancel()
		<-done
	}
}
