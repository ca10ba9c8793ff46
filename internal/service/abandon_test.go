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
// is acknowledged.
func TestPortTakenWithBacklog(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	const token = "11111111-2222-4333-8444-555555555555"
	server := hectest.New(t, token)
	server.SetAcks(hectest.Acks{On: true, After: -1})
	dir := t.TempDir()
	left, err := spool.Open(spool.Config{Dir: filepath.Join(dir, "spool", "flow"), Size: 64 << 20})
	if err != nil {
		t.Fatal(err)
	}
	if err := left.Append([]byte(`{"event":{"bytes":1}}`)); err != nil {
		t.Fatal(err)
	}
	if err := left.Close(); err != nil {
		t.Fatal(err)
	}
	cfg := config.Default()
	cfg.Admin.Listen = taken.Addr().String()
	cfg.Capture.Listen, cfg.Capture.Geneve = []string{"127.0.0.1:0"}, nil
	cfg.Sinks.PCAP = nil
	splunk := config.DefaultSplunk()
	splunk.Endpoints = []config.Endpoint{{URL: server.URL}}
	splunk.TokenFile = filepath.Join(dir, "token")
	splunk.Spool.Dir, splunk.Spool.Size, splunk.Spool.Free = filepath.Join(dir, "spool"), 64<<20, 0
	cfg.Sinks.Splunk = &splunk
	if err := os.WriteFile(splunk.TokenFile, []byte(token), 0o600); err != nil {
		t.Fatal(err)
	}
	failed := make(chan error, 1)
	go func() {
		_, err := New(cfg, "test", slog.New(slog.DiscardHandler))
		failed <- err
	}()
	select {
	case err := <-failed:
		if err == nil {
			t.Fatal("no error, though the port is taken")
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the start does not come to its end")
	}
}
