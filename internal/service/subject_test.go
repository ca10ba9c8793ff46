package service

import (
	"bytes"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/periscope-collector/periscope/internal/config"
	"github.com/periscope-collector/periscope/tunnel"
)

// patience is how long something that must happen may take on a busy machine.
const patience = time.Minute

func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); !done(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not after %s", what, patience)
		}
	}
}

// A journal is a log that may be read while it is written.
type journal struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.buf.Write(b)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.buf.String()
}

// testConfig is a collector on ports of loopback that the kernel chooses.
func testConfig(t *testing.T) config.Config {
	cfg := config.Default()
	cfg.Capture.Listen = []string{"127.0.0.1:0"}
	cfg.Capture.Geneve = nil
	cfg.Capture.Workers = 2
	cfg.Capture.ReceiveBuffer = 1 << 20
	pcap := config.DefaultPCAP()
	pcap.Dir = filepath.Join(t.TempDir(), "captures")
	pcap.Buffer = 4 << 20
	cfg.Sinks.PCAP = &pcap
	cfg.Admin.Listen = "127.0.0.1:0"
	cfg.Health.Listen = "127.0.0.1:0"
	return cfg
}

// A subject is a service under test, its log, and what Run returned.
type subject struct {
	*Service
	t   *testing.T
	log *journal
	ran chan error

	returned chan struct{} // closed when Run has
}

func newSubject(t *testing.T, cfg config.Config) *subject {
	t.Helper()
	log := new(journal)
	s, err := New(cfg, "1.2.3", slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	return &subject{s, t, log, make(chan error, 1), make(chan struct{})}
}

// start runs the service. It is stopped at the end of the test, if not before.
func start(t *testing.T, cfg config.Config) *subject {
	t.Helper()
	s := newSubject(t, cfg)
	s.run()
	t.Cleanup(func() { s.Stop(0, patience); <-s.returned })
	return s
}

func (s *subject) run() {
	go func() {
		defer close(s.returned)
		s.ran <- s.Run()
	}()
	eventually(s.t, "running", s.running.Load)
}

// end returns what Run returned.
func (s *subject) end() error {
	s.t.Helper()
	select {
	case err := <-s.ran:
		return err
	case <-time.After(patience):
		s.t.Fatal("Run does not return")
		return nil
	}
}

// send sends n frames of a VNI from loopback.
func (s *subject) send(vni uint32, n int) {
	s.t.Helper()
	c, err := net.Dial("udp", s.live.Groups()[0].Address.String())
	if err != nil {
		s.t.Fatal(err)
	}
	defer c.Close()
	for range n {
		if _, err := c.Write(append(tunnel.AppendVXLAN(nil, vni), make([]byte, 60)...)); err != nil {
			s.t.Fatal(err)
		}
	}
}

// received waits until so many datagrams were taken.
func (s *subject) received(n uint64) {
	s.t.Helper()
	eventually(s.t, "received", func() bool {
		l := s.Ledger()
		return l.Received.Packets == n && l.InFlight == 0
	})
}

// get asks one of the two listeners.
func get(t *testing.T, address, path string) (int, string) {
	t.Helper()
	client := http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	r, err := client.Get("http://" + address + path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, string(text)
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
