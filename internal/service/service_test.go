package service

import (
	"errors"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/periscope-collector/periscope/internal/config"
	"github.com/periscope-collector/periscope/internal/leak"
)

func TestMain(m *testing.M) { leak.Check(m) }

func TestReady(t *testing.T) {
	s := newSubject(t, testConfig(t))
	health := s.servers[1].Addr()
	var beats atomic.Uint64
	patient := len(s.pulse.parts)
	s.pulse.parts = append(s.pulse.parts, part{"the patient", beats.Load})
	s.pulse.seen = append(s.pulse.seen, beat{})
	expect := func(state, want string) {
		t.Helper()
		got := ""
		if err := s.Ready(); err != nil {
			got = err.Error()
		}
		if got, _, _ := strings.Cut(got, " for "); got != want {
			t.Errorf("%s: not ready because %q, want %q", state, got, want)
		}
		if ready := s.snapshot().Ready; ready != (want == "") {
			t.Errorf("%s: metric says %v", state, ready)
		}
	}
	serves := func(state string, want int) {
		t.Helper()
		if code, _ := get(t, health, "/readyz"); code != want {
			t.Errorf("%s: /readyz of health.listen is %d, want %d", state, code, want)
		}
	}
	expect("before Run", "not running")
	s.run()
	expect("running", "")
	serves("running", 200)

	s.pulse.mu.Lock()
	s.pulse.seen[patient].at = time.Now().Add(-time.Hour)
	s.pulse.mu.Unlock()
	eventually(t, "stuck", func() bool { return s.Ready() != nil })
	expect("stuck", "the patient has not moved")
	serves("stuck", 503)
	beats.Add(1)
	eventually(t, "moving again", func() bool { return s.Ready() == nil })
	expect("moving again", "")

	go s.Stop(time.Hour, patience)
	eventually(t, "draining", s.draining.Load)
	expect("draining", "stopping")
	serves("draining", 503)
	if code, _ := get(t, health, "/healthz"); code != 200 {
		t.Errorf("draining: /healthz is %d", code)
	}
	s.send(7, 3) // still read
	s.received(3)

	s.live.Stop() // as if the hour were over
	if err := s.end(); err != nil {
		t.Error(err)
	}
	expect("at the end", "stopping")
}

// TestPulseOfCollector says that every worker and the writer are watched, and
// move although nothing is received.
func TestPulseOfCollector(t *testing.T) {
	s := start(t, testConfig(t))
	var names []string
	for _, p := range s.pulse.parts {
		names = append(names, p.name)
		first := p.read()
		eventually(t, p.name+" moves", func() bool { return p.read() != first })
	}
	if got, want := strings.Join(names, ", "), "worker 0, worker 1, the writer of capture files"; got != want {
		t.Errorf("watched are %s, want %s", got, want)
	}
}

// TestStop says that what was sent before is read and written, that HTTP
// answers until then, and that nothing is left open.
func TestStop(t *testing.T) {
	cfg := testConfig(t)
	s := start(t, cfg)
	udp, at, health := s.live.Groups()[0].Address.String(), s.AdminAddr(), s.servers[1].Addr()
	if code, text := get(t, at, "/metrics"); code != 200 || !strings.Contains(text, `periscope_build_info{version="1.2.3"} 1`) {
		t.Errorf("/metrics: %d\n%s", code, text)
	}
	if code, text := get(t, at, "/api/v1/ledger"); code != 200 || !strings.Contains(text, `"balanced": true`) {
		t.Errorf("/api/v1/ledger: %d\n%s", code, text)
	}
	s.send(7, 500)
	s.Stop(0, patience)
	s.Stop(time.Hour, 0) // no effect
	if err := s.end(); err != nil {
		t.Fatal(err)
	}
	l := s.Ledger()
	sink := l.Sinks["pcap"]
	if l.Received.Packets != 500 || l.Delivered.Packets != 500 || l.InFlight != 0 || sink.Stored != 500 || sink.Pending != 0 || !l.Balanced {
		t.Errorf("ledger %+v", l)
	}
	whole, err := filepath.Glob(filepath.Join(cfg.Sinks.PCAP.Dir, "*", "*.pcap"))
	if err != nil || len(whole) != 1 {
		t.Errorf("complete files: %v, %v", whole, err)
	}
	for _, address := range []string{at, health} {
		l, err := net.Listen("tcp", address)
		if err != nil {
			t.Errorf("still open: %v", err)
			continue
		}
		l.Close()
	}
	again, err := net.ListenPacket("udp", udp)
	if err != nil {
		t.Fatal(err)
	}
	again.Close()
}

// TestStopBeforeRun says that a signal that comes early is not lost.
func TestStopBeforeRun(t *testing.T) {
	s := newSubject(t, testConfig(t))
	s.send(7, 10)
	s.Stop(0, patience)
	go func() { s.ran <- s.Run() }()
	if err := s.end(); err != nil {
		t.Error(err)
	}
	if n := s.Ledger().Sinks["pcap"].Stored; n != 10 {
		t.Errorf("%d of 10 frames stored", n)
	}
}

// TestStopRunsOutOfTime says that a worker that does not end does not keep the
// process: what can be closed is, and Run says what happened.
func TestStopRunsOutOfTime(t *testing.T) {
	s := newSubject(t, testConfig(t))
	release := make(chan struct{})
	s.collect = func() error { <-release; return s.live.Run() }
	s.run()
	at := s.AdminAddr()
	s.Stop(0, time.Millisecond)
	if err := s.end(); !errors.Is(err, errStuck) {
		t.Errorf("Run returned %v", err)
	}
	if l, err := net.Listen("tcp", at); err != nil {
		t.Error(err)
	} else {
		l.Close()
	}
	close(release)
	<-s.ended
	if err := s.live.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestSocketThatFails says that everything is flushed and closed without Stop,
// and that a drain does not go on.
func TestSocketThatFails(t *testing.T) {
	s := newSubject(t, testConfig(t))
	failure, fail := errors.New("capture: no such socket"), make(chan struct{})
	s.collect = func() error {
		<-fail
		s.live.Stop()
		return errors.Join(failure, s.live.Run())
	}
	s.run()
	s.send(7, 10)
	stopped := make(chan struct{})
	go func() {
		s.Stop(time.Hour, patience)
		close(stopped)
	}()
	eventually(t, "draining", s.draining.Load)
	close(fail)
	if err := s.end(); !errors.Is(err, failure) {
		t.Errorf("Run returned %v", err)
	}
	<-stopped
	if n := s.Ledger().Sinks["pcap"].Stored; n != 10 {
		t.Errorf("%d of 10 frames stored", n)
	}
}

// TestNewFails says that an address in use is an error that names the key, and
// that what was opened before is given back.
func TestNewFails(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for key, set := range map[string]func(*config.Config, string){
		"admin.listen":  func(c *config.Config, a string) { c.Admin.Listen = a },
		"health.listen": func(c *config.Config, a string) { c.Health.Listen = a },
	} {
		t.Run(key, func(t *testing.T) {
			cfg := testConfig(t)
			set(&cfg, taken.Addr().String())
			_, err := New(cfg, "", slog.New(slog.DiscardHandler))
			if !errors.Is(err, syscall.EADDRINUSE) || !strings.HasPrefix(err.Error(), key+": ") {
				t.Fatalf("error %v", err)
			}
			set(&cfg, "127.0.0.1:0")
			s := newSubject(t, cfg) // the directory is not locked
			s.Stop(0, patience)
			if err := s.Run(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestHTTPOff says that both listeners may be off.
func TestHTTPOff(t *testing.T) {
	cfg := testConfig(t)
	cfg.Admin.Listen, cfg.Health.Listen = "", ""
	s := start(t, cfg)
	if at := s.AdminAddr(); at != "" || len(s.servers) != 0 {
		t.Errorf("admin at %q, %d listeners", at, len(s.servers))
	}
	s.Stop(0, patience)
	if err := s.end(); err != nil {
		t.Error(err)
	}
}

// TestManagerIsTold says what a service manager hears, and in which order.
func TestManagerIsTold(t *testing.T) {
	m := newManager(t, "")
	s := start(t, testConfig(t))
	s.Reloading()
	s.Reloaded()
	s.Stop(0, patience)
	if err := s.end(); err != nil {
		t.Error(err)
	}
	var states []string
	for _, state := range m.told() {
		first, rest, _ := strings.Cut(state, "\n")
		if first == "RELOADING=1" && !strings.HasPrefix(rest, "MONOTONIC_USEC=") {
			t.Errorf("told %q", state)
		}
		states = append(states, first)
	}
	if got, want := strings.Join(states, " "), "READY=1 RELOADING=1 READY=1 STOPPING=1"; got != want {
		t.Errorf("told %s, want %s", got, want)
	}
}

// TestManagerIsGone says that a service manager that does not listen is
// logged, and not more.
func TestManagerIsGone(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", filepath.Join(t.TempDir(), "nobody"))
	s := start(t, testConfig(t))
	s.Stop(0, patience)
	if err := s.end(); err != nil {
		t.Error(err)
	}
	if !strings.Contains(s.log.String(), "the service manager could not be told") {
		t.Errorf("logged\n%s", s.log)
	}
}
