package service

import (
	"net/netip"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/periscope-collector/periscope/internal/config"
)

// names returns the names of the configured sessions.
func (s *subject) names() string {
	var list []string
	for _, l := range s.Ledger().Sessions {
		if l.Known {
			list = append(list, l.Name)
		}
	}
	slices.Sort(list)
	return strings.Join(list, " ")
}

func (s *subject) expectNames(want string) {
	s.t.Helper()
	eventually(s.t, "sessions are "+want, func() bool { return s.names() == want })
}

func TestReloadRefusesWhatNeedsRestart(t *testing.T) {
	s := start(t, testConfig(t))
	for key, change := range map[string]func(*config.Config){
		"capture.listen":            func(c *config.Config) { c.Capture.Listen = []string{":4789"} },
		"capture.geneve":            func(c *config.Config) { c.Capture.Geneve = []string{":6081"} },
		"capture.backend":           func(c *config.Config) { c.Capture.Backend = "udp" },
		"capture.interface":         func(c *config.Config) { c.Capture.Interface = "lo" },
		"capture.ring":              func(c *config.Config) { c.Capture.Ring *= 2 },
		"capture.workers":           func(c *config.Config) { c.Capture.Workers = 3 },
		"capture.receive_buffer":    func(c *config.Config) { c.Capture.ReceiveBuffer *= 2 },
		"sessions.unknown_max":      func(c *config.Config) { c.Sessions.UnknownMax = 7 },
		"sinks.pcap":                func(c *config.Config) { c.Sinks.PCAP = nil },
		"sinks.pcap.dir":            func(c *config.Config) { c.Sinks.PCAP.Dir += "2" },
		"sinks.pcap.snap_length":    func(c *config.Config) { c.Sinks.PCAP.SnapLength = 64 },
		"sinks.pcap.open_files":     func(c *config.Config) { c.Sinks.PCAP.OpenFiles = 1 },
		"sinks.pcap.buffer":         func(c *config.Config) { c.Sinks.PCAP.Buffer *= 2 },
		"sinks.pcap.sync":           func(c *config.Config) { c.Sinks.PCAP.Sync = config.Duration(time.Second) },
		"admin.listen":              func(c *config.Config) { c.Admin.Listen = "" },
		"admin.token_file":          func(c *config.Config) { c.Admin.TokenFile = "token" },
		"health.listen":             func(c *config.Config) { c.Health.Listen = "" },
		"log.format":                func(c *config.Config) { c.Log.Format = "json" },
		"health.listen, log.format": func(c *config.Config) { c.Health.Listen, c.Log.Format = "", "json" },
	} {
		t.Run(key, func(t *testing.T) {
			before := s.Config()
			next := copied(before)
			change(&next)
			next.Drain = config.Duration(time.Minute) // could be taken over alone
			err := s.Reload(next)
			if want := "a restart is needed to change " + key; err == nil || err.Error() != want {
				t.Errorf("error %v, want %s", err, want)
			}
			if !reflect.DeepEqual(s.Config(), before) {
				t.Errorf("in force is %+v", s.Config())
			}
		})
	}
}

// copied returns a configuration that can be changed.
func copied(cfg config.Config) config.Config {
	if cfg.Sinks.PCAP != nil {
		pcap := *cfg.Sinks.PCAP
		cfg.Sinks.PCAP = &pcap
	}
	return cfg
}

// TestReloadTakesOver says that each key that needs no restart has its effect.
func TestReloadTakesOver(t *testing.T) {
	s := start(t, testConfig(t))
	s.send(7, 10)
	s.received(10)

	next := copied(s.Config())
	next.Drain, next.StopTimeout = config.Duration(time.Minute), config.Duration(time.Hour)
	next.Sinks.PCAP.Rotate.Packets = 5
	next.Sinks.PCAP.Retain.Age = config.Duration(time.Hour)
	next.Sessions.Unknown = "drop"
	next.Log.Level = "warn"
	if err := s.Reload(next); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(s.Config(), next) {
		t.Errorf("in force is %+v, want %+v", s.Config(), next)
	}
	s.send(8, 10) // unknown, and new
	s.received(20)
	if n := s.Ledger().NotDelivered["unknown_session"]; n != 10 {
		t.Errorf("%d of 10 frames dropped as unknown", n)
	}

	next = copied(next)
	next.Capture.Allow = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	if err := s.Reload(next); err != nil {
		t.Fatal(err)
	}
	s.send(7, 10)
	s.received(30)
	if n := s.Ledger().NotDelivered["not_allowed"]; n != 10 {
		t.Errorf("%d of 10 frames not allowed", n)
	}

	next = copied(next)
	next.Capture.Allow = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	next.Sessions.Unknown = "keep"
	if err := s.Reload(next); err != nil {
		t.Fatal(err)
	}
	s.send(9, 10)
	s.received(40)
	s.Stop(0, patience)
	if err := s.end(); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(next.Sinks.PCAP.Dir, "vni-9", "*.pcap"))
	if err != nil || len(files) != 2 {
		t.Errorf("10 frames in files of 5: %v, %v", files, err)
	}
}

// TestReloadKeepsAllWhenSessionsAreBad says that a session file with a mistake
// leaves everything as it was, and that the error says where it is.
func TestReloadKeepsAllWhenSessionsAreBad(t *testing.T) {
	cfg := testConfig(t)
	dir := t.TempDir()
	cfg.Sessions.File = filepath.Join(dir, "good.yaml")
	writeFile(t, cfg.Sessions.File, "sessions: [{name: web, vni: 7}]\n")
	bad := filepath.Join(dir, "bad.yaml")
	writeFile(t, bad, "sessions:\n  - {name: db, vin: 8}\n")
	s := start(t, cfg)
	s.expectNames("web")
	before := s.Config()
	for path, want := range map[string]string{bad: "bad.yaml:2:", filepath.Join(dir, "none.yaml"): "no such file"} {
		next := copied(before)
		next.Sessions.File = path
		next.Sessions.Unknown = "drop"
		next.Capture.Allow = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
		next.Sinks.PCAP.Rotate.Packets = 5
		err := s.Reload(next)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v", err)
		}
		if !reflect.DeepEqual(s.Config(), before) {
			t.Errorf("in force is %+v", s.Config())
		}
	}
	s.expectNames("web")
	s.send(7, 10)
	s.send(8, 10)
	s.received(20)
	l := s.Ledger()
	if l.Delivered.Packets != 20 || len(l.Sessions) != 2 {
		t.Errorf("allow, sessions or unknown have changed: %+v", l)
	}
	// The old file is still watched.
	writeFile(t, cfg.Sessions.File, "sessions: [{name: web, vni: 7}, {name: cache, vni: 9}]\n")
	s.expectNames("cache web")
}

// TestReloadMovesTheWatch says that another session file is read at once and
// watched from then on, and the former one not any more.
func TestReloadMovesTheWatch(t *testing.T) {
	cfg := testConfig(t)
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a.yaml"), filepath.Join(dir, "b.yaml")
	writeFile(t, a, "sessions: [{name: a1, vni: 1}]\n")
	writeFile(t, b, "sessions: [{name: b1, vni: 1}]\n")
	cfg.Sessions.File = a
	s := start(t, cfg)
	s.expectNames("a1")

	next := copied(s.Config())
	next.Sessions.File = b
	if err := s.Reload(next); err != nil {
		t.Fatal(err)
	}
	if got := s.names(); got != "b1" {
		t.Errorf("after the reload sessions are %s", got)
	}
	writeFile(t, a, "sessions: [{name: a2, vni: 1}]\n")
	// Two looks at b, an interval apart: one at a would have come meanwhile.
	writeFile(t, b, "sessions: [{name: b2, vni: 1}]\n")
	s.expectNames("b2")
	writeFile(t, b, "sessions: [{name: b3, vni: 1}]\n")
	s.expectNames("b3")
	if n := strings.Count(s.log.String(), a); n != 1 {
		t.Errorf("the former file was read %d times:\n%s", n, s.log)
	}

	next = copied(next)
	next.Sessions.File = ""
	if err := s.Reload(next); err != nil {
		t.Fatal(err)
	}
	if got := s.names(); got != "" {
		t.Errorf("without a file sessions are %s", got)
	}
	next = copied(next)
	next.Sessions.File = a
	if err := s.Reload(next); err != nil {
		t.Fatal(err)
	}
	if got := s.names(); got != "a2" {
		t.Errorf("with a file again sessions are %s", got)
	}
	writeFile(t, a, "sessions: [{name: a3, vni: 1}]\n")
	s.expectNames("a3")
}

// TestReloadBeforeAndAfterRun says that a signal may come at any time.
func TestReloadBeforeAndAfterRun(t *testing.T) {
	cfg := testConfig(t)
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a.yaml"), filepath.Join(dir, "b.yaml")
	writeFile(t, a, "sessions: [{name: a1, vni: 1}]\n")
	writeFile(t, b, "sessions: [{name: b1, vni: 1}]\n")
	s := newSubject(t, cfg)
	for i, path := range []string{a, b} {
		next := copied(s.Config())
		next.Sessions.File = path
		if err := s.Reload(next); err != nil {
			t.Fatal(err)
		}
		if got, want := s.names(), []string{"a1", "b1"}[i]; got != want {
			t.Errorf("sessions are %s, want %s", got, want)
		}
		if i == 0 {
			s.Stop(0, patience)
			if err := s.Run(); err != nil {
				t.Fatal(err)
			}
		}
	}
}
