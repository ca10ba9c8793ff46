package main

import (
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/periscope-collector/periscope/internal/awsfake"
	"github.com/periscope-collector/periscope/internal/pipeline"
)

// A site is a collector with an AWS of its own, that may be away.
type site struct {
	*fleet
	*collector
	setup setup
	kind  string // of the error while AWS is away
	fault awsfake.Fault
	back  func() // nil while AWS answers
}

// leave has AWS not answer, or not as it should.
func (s *site) leave() {
	if s.kind == "unreachable" {
		s.aws.Down()
		s.back = s.aws.Up
	} else {
		s.back = s.aws.Fail(s.fault)
	}
}

func (s *site) comeBack() {
	s.back()
	s.back = nil
}

func (s *site) start() {
	s.collector = collect(s.t, s.setup)
	s.to = net.UDPAddrFromAddrPort(s.vxlan)
}

// row waits for the session of a name that has had so many frames.
func (s *site) row(name string, packets uint64, flags ...string) {
	t := s.t
	t.Helper()
	var last []pipeline.SessionRow
	defer func() {
		if t.Failed() {
			t.Logf("%s: the sessions then: %+v", s.kind, last)
		}
	}()
	eventually(t, s.kind+": a session "+name, func() bool {
		last = s.sessions().Sessions
		return slices.ContainsFunc(last, func(r pipeline.SessionRow) bool {
			return r.Name == name && r.Packets == packets && slices.Equal(r.Flags, flags) && r.Stale.IsZero() == !slices.Contains(flags, pipeline.FlagStale)
		})
	})
}

// says checks how often the log has a text since the collector started.
func (s *site) says(text string, want int) {
	s.t.Helper()
	if n := strings.Count(s.log.String(), text); n != want {
		s.t.Errorf("%s: %d lines say %q, want %d", s.kind, n, text, want)
	}
}

const (
	awayText  = `msg="AWS does not answer all; what is known stays in use"`
	againText = `msg="AWS answers again"`
)

// While AWS is away, or does not take the credentials, frames are kept as
// before, under the names that were known last, also of a start meanwhile; one
// line says so, and the sessions are marked. When it is back nobody has to do
// anything.
func TestRunWithoutAWS(t *testing.T) {
	var sites []*site
	for _, away := range []site{
		{kind: "unreachable"},
		{kind: "expired", fault: awsfake.Fault{Kind: awsfake.Expired}},
	} {
		s := &away
		s.fleet = newFleet(t)
		s.setup = setup{
			dir: t.TempDir(), env: s.aws.Environ(), capture: `allow: ["127.0.0.0/8"]`,
			sinks: "flowlog: {dir: flows, format: json, interval: 1m}", more: "aws: {poll: 5s}",
		}
		s.run(1)
		s.run(2)
		s.leave()
		s.start()
		sites = append(sites, s)
	}
	static, load := startStatic(t)

	for _, s := range sites { // AWS was never there
		s.send(s.all[0], 10)
		s.row(s.all[0].stranger, 10, pipeline.FlagUnknown)
		s.waitLog(awayText+`.* kind=`+s.kind, 1)
		s.comeBack()
	}
	for _, s := range sites { // it is there, and tells whose they were
		s.row(s.all[0].name, 10)
		s.row(s.all[1].name, 0)
		s.waitLog(againText, 1)
		s.leave()
	}
	for _, s := range sites { // it is away for some polls
		s.run(3)
		eventually(t, s.kind+": what is known is stale", func() bool { return s.metrics()[ofHome("up")] == 0 })
		s.send(s.all[0], 10)
		s.send(s.all[1], 10)
		s.row(s.all[0].name, 20, pipeline.FlagStale)
		s.row(s.all[1].name, 10, pipeline.FlagStale)
		s.waitLog(awayText, 2)
		if d := s.sessions().Discovery; len(d.Scopes) != 1 || d.Scopes[0].Kind != s.kind || d.Scopes[0].StaleSince.IsZero() {
			t.Errorf("%s: %+v", s.kind, d)
		}
		if n := s.metrics()[`periscope_discovery_errors_total{kind="`+s.kind+`"}`]; n < 2 {
			t.Errorf("%s: %v errors", s.kind, n)
		}
		s.says(awayText, 2)
		s.says(againText, 1)
	}
	for _, s := range sites { // the collector starts again without it
		s.stopCleanly()
		s.start()
		s.waitLog(`msg="sessions of the journal are in use until AWS says otherwise" sessions=2`, 1)
		s.send(s.all[0], 5)
		s.send(s.all[2], 5)
		s.row(s.all[0].name, 5, pipeline.FlagStale)
		s.row(s.all[2].stranger, 5, pipeline.FlagUnknown)
		s.waitLog(awayText, 1)
		s.comeBack()
	}
	for _, s := range sites { // it is back
		s.row(s.all[2].name, 5)
		s.send(s.all[2], 5)
		s.row(s.all[2].name, 10)
		eventually(t, s.kind+": nothing is stale", func() bool { return s.metrics()[ofHome("up")] == 1 })
		s.waitLog(againText, 1)
		s.says(awayText, 1)
		s.says(againText, 1)
		s.stopCleanly()
		s.checkFiles(readTree(t, s.out))
	}

	load.send(0, 10)
	static.waitReceived(20)
	static.waitLog(`level=WARN msg="AWS cannot be asked: sessions are those of the session file and the journal"`, 1)
	if n := strings.Count(static.log.String(), "AWS "); n != 1 {
		t.Errorf("%d lines about AWS, which cannot be asked:\n%s", n, static.log.String())
	}
	static.stop()
	once(t, sequences(t, readTree(t, static.out), "by-hand"), 0, 20)
}

// startStatic starts a collector that has neither credentials nor metadata, and
// is sent something.
func startStatic(t *testing.T) (*collector, *load) {
	t.Helper()
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "sessions.yaml"), []byte("sessions:\n  - {name: by-hand, vni: 9}\n"))
	c := collect(t, setup{
		dir: dir, session: "file: sessions.yaml", more: "aws: {poll: 5s}",
		env: []string{"AWS_ACCESS_KEY_ID=", "AWS_SECRET_ACCESS_KEY=", "AWS_EC2_METADATA_SERVICE_ENDPOINT=http://" + freeAddress(t)},
	})
	l := newLoad(t, c.vxlan, 9, 0)
	l.send(0, 10)
	c.waitReceived(10)
	return c, l
}

// stopCleanly ends the collector and holds its ledger against what was sent
// since it started.
func (s *site) stopCleanly() {
	t := s.t
	t.Helper()
	l := s.collector.stop()
	if n := uint64(s.sent); l.Received.Packets != n || l.Sinks["pcap"].Stored != n || len(l.NotDelivered) != 0 || l.Lost.Socket != 0 {
		t.Errorf("%s: %d frames sent: %+v", s.kind, n, l)
	}
	s.sent = 0
}
