package pipeline

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/periscope-collector/periscope/internal/awsfake"
	"github.com/periscope-collector/periscope/internal/config"
	"github.com/periscope-collector/periscope/session/journal"
)

// A journal's disk that hangs holds up no identity, no status and no stop, which
// flushes the sinks. What was being written is in the journal when it goes on.
func TestJournalHangs(t *testing.T) {
	aws := awsfake.Start(t)
	task, err := aws.RunTask(awsfake.Run{Account: awsfake.HomeAccount, Region: awsfake.HomeRegion, Service: "web"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := aws.Mirror(awsfake.HomeAccount, awsfake.HomeRegion, task.Interface(), 7); err != nil {
		t.Fatal(err)
	}
	cfg := config.Default()
	cfg.Capture.Listen, cfg.Capture.Geneve = []string{"127.0.0.1:0"}, nil
	cfg.Capture.Workers = 1
	cfg.Sinks.PCAP.Dir = t.TempDir()
	asked := config.DefaultAWS()
	asked.Journal = ""
	cfg.AWS = &asked
	l, err := NewLive(cfg, "test", discard)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.finder.close(t.Context()); err != nil {
		t.Fatal(err)
	}
	asked.Journal = filepath.Join(t.TempDir(), "sessions.journal")
	hangs, free := make(chan struct{}, 8), make(chan struct{})
	written := false // the header is, when it is opened
	cfg.AWS = &asked
	l.finder = openFinder(&cfg, l.table, journal.Config{Log: discard, Sync: func(*os.File) error {
		if written {
			hangs <- struct{}{}
			<-free
		}
		written = true
		return nil
	}})
	if err := l.finder.broken; err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- l.Run() }()
	<-hangs
	if d := l.Discovery(); d.Scopes[0].Sessions != 1 || l.table.Sessions()[0].Workload.TaskARN != task.ARN {
		t.Errorf("%+v, %v", d, l.table.Sessions())
	}
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(l.Groups()[0].Address))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, p := range vxlanPayloads(64, 7) {
		if _, err := c.Write(p); err != nil {
			t.Fatal(err)
		}
	}

	l.Stop()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		defer cancel() // the time is over once the captures are there
		for l.Ledger().Sinks["pcap"].Stored != 64 {
			time.Sleep(time.Millisecond)
		}
	}()
	if err := l.Close(ctx); err == nil || !strings.Contains(err.Error(), "the session journal may lack what was found last") {
		t.Errorf("closed with error %v", err)
	}
	if led := l.Ledger(); !led.Balanced || led.Sinks["pcap"].Pending != 0 {
		t.Errorf("%+v", led)
	}

	close(free)
	<-l.finder.ended
	if err := l.PCAP().Close(t.Context()); err != nil { // had no time for it before
		t.Error(err)
	}
	entries, damaged, err := journal.Load(asked.Journal)
	if err != nil || damaged != 0 || len(entries) != 1 || entries[0].Workload.TaskARN != task.ARN {
		t.Errorf("the journal has %+v, %d damaged, %v", entries, damaged, err)
	}
}
