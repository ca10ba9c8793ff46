package service

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/periscope-collector/periscope/internal/awsfake"
	"github.com/periscope-collector/periscope/internal/config"
)

// discovering returns testConfig with AWS asked, once an hour.
func discovering(t *testing.T) config.Config {
	cfg := testConfig(t)
	aws := config.DefaultAWS()
	aws.Poll = config.Duration(time.Hour)
	aws.Journal = filepath.Join(t.TempDir(), "sessions.journal")
	cfg.AWS = &aws
	return cfg
}

// runTask runs a task of service web at 127.0.0.1, mirrored with a VNI, and
// returns the name of its session.
func runTask(t *testing.T, s *awsfake.Server, vni uint32) string {
	t.Helper()
	task, err := s.RunTask(awsfake.Run{Account: awsfake.HomeAccount, Region: awsfake.HomeRegion, Service: "web"})
	if err != nil {
		t.Fatal(err)
	}
	s.Change(func(state *awsfake.State) {
		face := state.Region(awsfake.HomeAccount, awsfake.HomeRegion).Interfaces[task.Interface()]
		face.Address = "127.0.0.1"
		face.Addresses = awsfake.Set[awsfake.IPv4]{{Address: "127.0.0.1", Primary: true}}
	})
	if _, err := s.Mirror(awsfake.HomeAccount, awsfake.HomeRegion, task.Interface(), vni); err != nil {
		t.Fatal(err)
	}
	_, id, _ := strings.Cut(task.ARN, "/default/")
	return "web-" + id[:8]
}

func (s *subject) knows(name string) bool {
	for _, known := range s.live.SessionList(time.Now(), false, "", nil).Sessions {
		if known.Name == name {
			return true
		}
	}
	return false
}

func TestSessionsOfAWS(t *testing.T) {
	aws := awsfake.Start(t)
	first := runTask(t, aws, 7)
	cfg := discovering(t)
	s := start(t, cfg)
	eventually(t, "learnt", func() bool { return s.knows(first) })
	s.send(7, 3)

	// The next one is not listed for an hour, but its frames show.
	second := runTask(t, aws, 8)
	s.send(8, 5)
	s.received(8)
	eventually(t, "asked about", func() bool { return s.knows(second) })
	if d := s.live.Discovery(); len(d.Scopes) != 1 || d.Scopes[0].Error != "" || d.Scopes[0].Sessions != 2 || d.JournalBytes == 0 ||
		d.Calls["DescribeTrafficMirrorSessions"] != 2 {
		t.Errorf("discovery %+v", d)
	}
	s.Stop(0, patience)
	if err := s.end(); err != nil {
		t.Fatal(err)
	}
	l := s.Ledger()
	if !l.Balanced || l.Delivered.Packets != 8 {
		t.Errorf("ledger %+v", l)
	}
	for name, want := range map[string]uint64{first: 3, second: 5} {
		n := uint64(0)
		for _, known := range l.Sessions {
			if known.Name == name {
				n += known.Packets
			}
		}
		if n != want {
			t.Errorf("session %s has %d frames, want %d", name, n, want)
		}
		if files, _ := filepath.Glob(filepath.Join(cfg.Sinks.PCAP.Dir, name, "*.pcap")); len(files) != 1 {
			t.Errorf("session %s has files %v", name, files)
		}
	}

	// Without AWS, the next start knows them by the journal.
	aws.Down()
	s = start(t, cfg)
	if !s.knows(first) || !s.knows(second) {
		t.Error("the journal's sessions are not known at the start")
	}
}

// AWS that does not answer holds up neither start nor stop.
func TestAWSHangs(t *testing.T) {
	aws := awsfake.Start(t)
	aws.Fail(awsfake.Fault{Kind: awsfake.Hang})
	s := start(t, discovering(t))
	s.send(7, 1)
	s.received(1)
	began := time.Now()
	s.Stop(0, patience)
	if err := s.end(); err != nil {
		t.Fatal(err)
	}
	if d := time.Since(began); d > patience/2 { // a call would hang for ever
		t.Errorf("the stop took %s", d)
	}
}

// Without its journal a collector captures all the same, and says so.
func TestJournalCannotBeOpened(t *testing.T) {
	aws := awsfake.Start(t)
	known := runTask(t, aws, 7)
	cfg := discovering(t)
	cfg.AWS.Journal = t.TempDir()
	s := start(t, cfg)
	eventually(t, "learnt", func() bool { return s.knows(known) })
	if d := s.live.Discovery(); !strings.Contains(d.JournalError, cfg.AWS.Journal) || d.JournalBytes != 0 {
		t.Errorf("discovery %+v", d)
	}
	if n := strings.Count(s.log.String(), "there is no journal until the next start"); n != 1 {
		t.Errorf("%d lines about it:\n%s", n, s.log)
	}
	s.send(7, 3)
	s.received(3)
	s.Stop(0, patience)
	if err := s.end(); err != nil {
		t.Fatal(err)
	}
}
