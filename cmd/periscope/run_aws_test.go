package main

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/periscope-collector/periscope/internal/awsfake"
	"github.com/periscope-collector/periscope/internal/pipeline"
)

// The table of 2,000 learnt sessions is swapped under load: with each reload of
// the session file, and with what changes at AWS, once all of it. Nothing is
// lost, and every frame and every flow is of the session that sent it.
func TestRunSwapUnderLoad(t *testing.T) {
	const (
		sessions = 2000
		moving   = 100 // of a round, of the second all
	)
	rounds := 6
	if raceEnabled {
		rounds = 3 // that take as long
	}
	f := newFleet(t)
	for place := range sessions {
		f.run(place)
	}
	dir := t.TempDir()
	file := writeFile(t, filepath.Join(dir, "sessions.yaml"), []byte("sessions: []\n"))
	c := collect(t, setup{
		dir: dir, capture: `allow: ["127.0.0.0/8"]`, session: "file: sessions.yaml, unknown_max: 4096", rotate: "every: 1h",
		sinks: "flowlog: {dir: flows, format: json, interval: 10s}", more: "aws: {poll: 5s}",
	})
	f.to = net.UDPAddrFromAddrPort(c.vxlan)
	eventually(t, "all are known", func() bool { return c.series(ofHome("sessions")) == sessions })

	dropped := machineDropped(t)
	reloads := 0
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	reload := func() {
		<-tick.C
		writeFile(t, file+".new", fmt.Appendf(nil, "sessions:\n  - {name: generation-%d, vni: 1}\n", reloads))
		if err := os.Rename(file+".new", file); err != nil {
			t.Fatal(err)
		}
		c.reload()
		reloads++
	}
	stop := f.load(20)
	for round := range rounds {
		for i := range map[bool]int{true: sessions, false: moving}[round == 1] {
			f.end((round*moving + i) % sessions)
		}
		reload() // who ended is followed by another at its place some frames later
		for _, m := range f.stop() {
			f.send(f.run(m.place), 1)
		}
		eventually(t, "those of the round are known", func() bool {
			reload()
			return f.known(c)
		})
	}
	stop()
	for _, m := range f.live {
		f.send(m, 1)
	}
	c.waitReceived(f.sent)
	if log := c.log.String(); strings.Count(log, `msg="sessions of AWS changed"`) < rounds || strings.Contains(log, "not reloaded") {
		t.Error("AWS changed the table less often than it did; or a reload failed")
	}
	f.accounts(c, dropped)
	f.checkFiles(readTree(t, c.out))
	records, before := f.checkFlows(filepath.Join(c.dir, "flows"))
	t.Logf("%d frames of %d sessions; the table was swapped %d times by reloads, %d times by AWS; %d flow records, %d of them before AWS told whose they are",
		f.sent, len(f.all), reloads, strings.Count(c.log.String(), `msg="sessions of AWS changed"`), records, before)
}

// known reports whether the collector has heard from AWS of everybody that sent
// until now.
func (f *fleet) known(c *collector) bool {
	f.mu.Lock()
	sent := f.sent
	f.mu.Unlock()
	if c.series("periscope_received_packets_total") < sent {
		return false
	}
	return c.series(`periscope_sessions{known="false"}`) == 0
}

// series returns one value of /metrics, which may have many, or -1 while it is
// not there.
func (c *collector) series(name string) (n int) {
	c.t.Helper()
	_, body := c.get("/metrics")
	_, text, ok := strings.Cut(body, "\n"+name+" ")
	if !ok {
		return -1
	}
	text, _, _ = strings.Cut(text, "\n")
	value, err := strconv.ParseFloat(text, 64)
	if err != nil {
		c.t.Fatal(err)
	}
	return int(value)
}

// sessions asks the collector for its sessions.
func (c *collector) sessions() (list pipeline.SessionList) {
	c.t.Helper()
	r := runHere("sessions", "--admin", c.url, "--json")
	if err := json.Unmarshal([]byte(r.stdout), &list); r.code != exitOK || err != nil {
		c.t.Fatal(r, err)
	}
	return list
}

// ofHome is the name of a series of the account that there is.
func ofHome(name string) string {
	return fmt.Sprintf("periscope_discovery_%s{account=%q,region=%q}", name, awsfake.HomeAccount, awsfake.HomeRegion)
}

// machineDropped returns how many packets the machine dropped on loopback,
// whoever's they were.
func machineDropped(t testing.TB) int {
	t.Helper()
	text, err := os.ReadFile("/sys/class/net/lo/statistics/rx_dropped")
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// accounts ends the collector and holds its ledger against what was sent.
func (f *fleet) accounts(c *collector, dropped int) {
	f.t.Helper()
	c.signal(syscall.SIGTERM)
	l := c.end()
	l.Sessions = nil // are many
	sent := uint64(f.sent)
	if l.Received.Packets != sent || l.Delivered.Packets != sent || len(l.NotDelivered) != 0 || l.Lost.Socket != 0 {
		f.t.Errorf("%d sent, of which the machine dropped up to %d: %+v", sent, machineDropped(f.t)-dropped, l)
	}
	if pcap, flows := l.Sinks["pcap"], l.Sinks["flowlog"]; pcap.Stored != sent || sum(flows.Dropped) != 0 {
		f.t.Errorf("%d sent: pcap %+v, flowlog %+v", sent, pcap, flows)
	}
}
