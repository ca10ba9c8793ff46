package service

import (
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/periscope-collector/periscope/internal/config"
	"github.com/periscope-collector/periscope/sink/splunk/hec/hectest"
	"github.com/periscope-collector/periscope/sink/spool"
)

// A start that fails does not wait until what an earlier process left for Splunk
// is acknowledged, whether the sockets or HTTP cannot be opened.
func TestStartThatFailsLeavesBacklog(t *testing.T) {
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	for name, take := range map[string]func(*config.Config){
		"tunnel port": func(c *config.Config) { c.Capture.Listen = []string{udp.LocalAddr().String()} },
		"admin port":  func(c *config.Config) { c.Admin.Listen = tcp.Addr().String() },
	} {
		t.Run(name, func(t *testing.T) {
			cfg := withBacklog(t)
			take(&cfg)
			failed := make(chan error, 1)
			go func() {
				_, err := New(cfg, "test", slog.New(slog.DiscardHandler))
				failed <- err
			}()
			select {
			case err := <-failed:
				if err == nil {
					t.Error("no error, though the port is taken")
				}
			case <-time.After(patience):
				t.Fatal("the start does not come to its end")
			}
			c, err := spool.Look(filepath.Join(cfg.Sinks.Splunk.Spool.Dir, "flow"))
			if err != nil || c.Pending == 0 {
				t.Errorf("%+v, %v: want what was left to be there still", c, err)
			}
		})
	}
}

// withBacklog returns a configuration with an event in the spool, for a server
// that takes it and never acknowledges it.
func withBacklog(t *testing.T) config.Config {
	const token = "11111111-2222-4333-8444-555555555555"
	server := hectest.New(t, token)
	server.SetAcks(hectest.Acks{On: true, After: -1})
	dir := t.TempDir()
	left, err := spool.Open(spool.Config{Dir: filepath.Join(dir, "spool", "flow"), Size: 64 << 20})
	if err == nil {
		err = left.Append([]byte(`{"event":{"bytes":1}}`))
	}
	if err == nil {
		err = left.Close()
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "token"), []byte(token), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	cfg := config.Default()
	cfg.Capture.Listen, cfg.Capture.Geneve, cfg.Admin.Listen = []string{"127.0.0.1:0"}, nil, "127.0.0.1:0"
	cfg.Sinks.PCAP = nil
	splunk := config.DefaultSplunk()
	splunk.Endpoints = []config.Endpoint{{URL: server.URL}}
	splunk.TokenFile = filepath.Join(dir, "token")
	splunk.Spool.Dir, splunk.Spool.Size, splunk.Spool.Free = filepath.Join(dir, "spool"), 64<<20, 0
	cfg.Sinks.Splunk = &splunk
	return cfg
}
