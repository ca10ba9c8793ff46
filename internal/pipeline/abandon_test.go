package pipeline

import (
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/periscope-collector/periscope/internal/config"
	"github.com/periscope-collector/periscope/sink/splunk/hec/hectest"
	"github.com/periscope-collector/periscope/sink/spool"
)

// TestAbandonedSplunk says that a start that fails does not wait until what an
// earlier process left is sent.
func TestAbandonedSplunk(t *testing.T) {
	taken, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	const token = "11111111-2222-4333-8444-555555555555"
	server := hectest.New(t, token)
	server.SetAcks(hectest.Acks{On: true, After: -1})
	dir := t.TempDir()
	lane := spool.Config{Dir: filepath.Join(dir, "spool", "flow"), Size: 64 << 20}
	left, err := spool.Open(lane)
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
	cfg.Capture.Listen, cfg.Capture.Geneve = []string{taken.LocalAddr().String()}, nil
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
		_, err := NewLive(cfg, "test", discard)
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
	c, err := spool.Look(lane.Dir)
	if err != nil || c.Pending == 0 {
		t.Errorf("%+v, %v: want what was left to be there still", c, err)
	}
}
