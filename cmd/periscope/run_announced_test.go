package main

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/ipv4"

	"github.com/periscope-collector/periscope/bench/traffic"
	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/session"
	"github.com/periscope-collector/periscope/session/announce"
	"github.com/periscope-collector/periscope/session/journal"
)

// newSenders returns a fleet that AWS does not know, with nobody in it.
func newSenders(t testing.TB) *fleet {
	conn, err := net.ListenPacket("udp4", ":0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &fleet{t: t, from: ipv4.NewPacketConn(conn)}
}

// sender adds one with a VNI, an address and the name that its frames are to be
// found by.
func (f *fleet) sender(vni uint32, address, name string) *mirrored {
	n := len(f.all)
	m := &mirrored{
		number: n, port: firstPort + uint16(n), vni: vni, address: netip.MustParseAddr(address),
		mac: net.HardwareAddr{0x0a, 1, 2, 3, byte(n >> 8), byte(n)}, name: name, stranger: fmt.Sprintf("vni-%d", vni),
		task: fmt.Sprintf("arn:aws:ecs:eu-central-1:111122223333:task/prod/%08d", n),
	}
	f.all = append(f.all, m)
	return m
}

// announce sends what a sender says of itself.
func (f *fleet) announce(m *mirrored, e session.Entry) {
	f.t.Helper()
	e.Workload.TaskARN, e.Workload.Service = m.task, "web"
	e.From = time.Now().Add(-time.Minute).UnixNano() // as far back as it is believed
	frame, err := announce.Append(nil, [6]byte(m.mac), &e)
	if err != nil {
		f.t.Fatal(err)
	}
	f.raw(m, frame)
}

// raw sends a frame of a sender's that has no number.
func (f *fleet) raw(m *mirrored, frame []byte) {
	f.t.Helper()
	if _, err := f.from.WriteTo(vxlan(m.vni, frame), &ipv4.ControlMessage{Src: m.address.AsSlice()}, f.to); err != nil {
		f.t.Fatal(err)
	}
	f.sent++
}

// checkWhose checks that each frame of everybody is in files of its name, once, and
// returns how many frames are no such.
func (f *fleet) checkWhose(files []captureFile) (others int) {
	f.t.Helper()
	noPartial(f.t, files)
	frames := make([]int, len(f.all))
	for _, file := range files {
		for _, r := range file.records {
			n, ok := traffic.Sequence(r.data)
			if !ok {
				others++
				continue
			}
			m := f.all[n>>32]
			if frames[m.number]++; file.session != m.name {
				f.t.Errorf("%s has a frame of %s", file.path, m.name)
			}
		}
	}
	for _, m := range f.all {
		if frames[m.number] != m.sent {
			f.t.Errorf("%s sent %d frames, %d are in files", m.name, m.sent, frames[m.number])
		}
	}
	return others
}

// Senders that say who they are after their first frames have all of them, in files
// and flow records, without any AWS. They name themselves, and nobody else.
func TestRunAnnounced(t *testing.T) {
	f, began := newSenders(t), time.Now()
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "sessions.yaml"), []byte("sessions: [{name: db, vni: 50}, {name: api, vni: 51, source: 127.9.0.1}]\n"))
	c := collect(t, setup{
		dir: dir, capture: `allow: ["127.0.0.0/8"]`, session: "file: sessions.yaml, announced: true", rotate: "every: 1h",
		sinks: "flowlog: {dir: flows, format: json, interval: 10m}",
	})
	f.to = net.UDPAddrFromAddrPort(c.vxlan)

	f.sender(100, "127.1.0.1", "web-00000000")
	f.sender(101, "127.1.0.2", "mine")
	f.sender(102, "127.1.0.3", "mine-02030002")         // calls itself as the one before
	f.sender(103, "127.1.0.4", "db-02030003")           // calls itself as the session file does
	f.sender(100, "127.1.0.5", "web-00000000-02030004") // has the first one's VNI, and calls itself like it
	listed := f.sender(50, "127.1.0.6", "db")           // the session file explains its VNI
	f.sender(104, "127.1.0.7", "vni-104")               // says nothing
	f.sender(51, "127.1.0.8", "pretender")              // the session file explains another source
	f.sender(105, "127.1.0.9", "web-00000008")          // calls itself as the unknown are
	says := []string{"web-00000000", "mine", "mine", "db", "web-00000000", "listed", "", "pretender", "vni-105-x"}
	for _, m := range f.all {
		if m.number != 4 { // else whose the first ones of this VNI are is open for good
			f.send(m, 20)
		}
	}
	c.waitReceived(f.sent)
	known := func() (n int) {
		for _, s := range c.sessions().Sessions {
			if s.Announced {
				n++
			}
		}
		return n
	}
	heard := 0
	for i, m := range f.all {
		if says[i] == "" {
			continue
		}
		f.announce(m, session.Entry{Name: says[i], VNI: 100})
		if m != listed {
			heard++
		}
		eventually(t, "it is known", func() bool { return known() == heard }) // who comes first has a name
	}
	c.waitReceived(f.sent)
	for range 3 {
		for _, m := range f.all {
			f.send(m, 20)
		}
	}
	c.waitReceived(f.sent)
	_, page := c.get("/metrics")
	if want := "periscope_announcements_total{outcome=\"heard\"} 7\n"; !strings.Contains(page, want) {
		t.Error("no", want)
	}
	if r := runHere("sessions", "--admin", c.url); !strings.Contains(r.stdout, "announced") {
		t.Error(r.stdout)
	}
	if l := c.stop(); l.Delivered.Packets != uint64(f.sent) {
		t.Errorf("%d sent: %+v", f.sent, l)
	}
	if others := f.checkWhose(readTree(t, c.out)); others != 8 {
		t.Errorf("%d announcements are kept, of 8", others)
	}
	interval := func(t time.Time) time.Time { return t.Truncate(10 * time.Minute) }
	if _, before := f.checkFlows(filepath.Join(dir, "flows")); before != 0 && interval(began).Equal(interval(time.Now())) {
		t.Errorf("%d flow records of strangers", before)
	}
}

// Unless senders are to be heard, what they say is a frame like any other.
func TestRunAnnouncedOff(t *testing.T) {
	f := newSenders(t)
	c := collect(t, setup{capture: `allow: ["127.0.0.0/8"]`, rotate: "every: 1h"})
	f.to = net.UDPAddrFromAddrPort(c.vxlan)
	m := f.sender(100, "127.1.0.1", "vni-100")
	for range 3 {
		f.send(m, 5)
		f.announce(m, session.Entry{Name: "web", VNI: 100})
	}
	c.waitReceived(f.sent)
	if _, page := c.get("/metrics"); strings.Contains(page, "periscope_announcements") {
		t.Error("there are metrics of it")
	}
	c.stop()
	if others := f.checkWhose(readTree(t, c.out)); others != 3 {
		t.Errorf("%d announcements are kept, of 3", others)
	}
}

// An announcement is heard also where frames of strangers are not delivered, which
// it is then.
func TestRunAnnouncedWhereUnknownAreDropped(t *testing.T) {
	f := newSenders(t)
	c := collect(t, setup{capture: `allow: ["127.0.0.0/8"]`, session: "unknown: drop, announced: true", rotate: "every: 1h"})
	f.to = net.UDPAddrFromAddrPort(c.vxlan)
	m := f.sender(100, "127.1.0.1", "web")
	f.announce(m, session.Entry{Name: "web", VNI: 100})
	eventually(t, "it is known", func() bool { return len(c.sessions().Sessions) == 1 })
	f.send(m, 10)
	c.waitReceived(f.sent)
	if l := c.stop(); l.Delivered.Packets != 10 || l.NotDelivered["unknown_session"] != 1 {
		t.Errorf("%+v", l)
	}
	f.checkWhose(readTree(t, c.out))
}

// With AWS, which does not know the sender, it is the same; the journal has it, so
// that the next start and a replay know it before it says anything.
func TestRunAnnouncedBesideAWS(t *testing.T) {
	aws := newFleet(t)
	mirroredByAWS := aws.run(1)
	f := newSenders(t)
	dir := t.TempDir()
	s := setup{dir: dir, capture: `allow: ["127.0.0.0/8"]`, session: "announced: true", rotate: "every: 1h", more: "aws: {poll: 5s, journal: journal}"}
	m := f.sender(100, "127.1.200.1", "web")
	impostor := f.sender(101, "127.1.200.2", mirroredByAWS.name+"-02030001")
	for i := range 2 {
		c := collect(t, s)
		to := net.UDPAddrFromAddrPort(c.vxlan)
		f.to, aws.to = to, to
		before := f.sent + aws.sent
		f.send(m, 10)
		if i == 0 {
			aws.send(mirroredByAWS, 10)
			f.send(impostor, 10)
			c.waitReceived(f.sent + aws.sent)
			eventually(t, "AWS's is known", func() bool { return c.series(ofHome("sessions")) == 1 })
			f.announce(m, session.Entry{Name: "web"})
			f.announce(impostor, session.Entry{Name: mirroredByAWS.name})
			eventually(t, "they are known", func() bool { return c.series(`periscope_sessions{known="true"}`) == 3 })
		}
		f.send(m, 10)
		c.waitReceived(f.sent + aws.sent - before)
		c.stop()
	}
	files := readTree(t, filepath.Join(dir, "captures"))
	for _, file := range files {
		if file.session != m.name && file.session != impostor.name && file.session != mirroredByAWS.name {
			t.Error(file.path)
		}
	}
	entries, damaged, err := journal.Load(filepath.Join(dir, "journal"))
	said := slices.DeleteFunc(entries, func(e session.Entry) bool { return !e.Announced })
	if err != nil || damaged != 0 || len(said) != 2 || said[0].Source != packet.AddrFrom(m.address) || said[0].Workload.TaskARN != m.task {
		t.Fatalf("%+v, %d damaged, %v", said, damaged, err)
	}
	if r := runHere("sessions", "--journal", filepath.Join(dir, "journal")); strings.Count(r.stdout, "announced") != 2 {
		t.Error(r)
	}
	// Its capture files, given to whom the journal says.
	captures, _ := filepath.Glob(filepath.Join(dir, "captures", "web", "*.pcap"))
	out := filepath.Join(t.TempDir(), "out")
	r := runHere(append([]string{"replay", "--bare-vni", "100", "--sessions", filepath.Join(dir, "journal"), "--out", out}, captures...)...)
	if found, _ := os.ReadDir(out); r.code != exitOK || len(captures) != 2 || !slices.ContainsFunc(found, func(d os.DirEntry) bool { return d.Name() == "web" }) {
		t.Error(r, captures, found)
	}
}

// Any number of announcements, of anybody, leave who was known known, are counted
// each, and cost no frame.
func TestRunAnnouncedFlood(t *testing.T) {
	f := newSenders(t)
	c := collect(t, setup{capture: `allow: ["127.0.0.0/8"]`, session: "announced: true", rotate: "every: 1h"})
	f.to = net.UDPAddrFromAddrPort(c.vxlan)
	m := f.sender(1<<20, "127.1.0.1", "web")
	f.announce(m, session.Entry{Name: "web"})
	eventually(t, "it is known", func() bool { return c.series(`periscope_sessions{known="true"}`) == 1 })

	flood := f.sender(0, "127.2.0.1", "web")
	frame, err := announce.Append(nil, [6]byte(flood.mac), &session.Entry{Name: "web", Workload: packet.Workload{TaskARN: flood.task}})
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	const n = 3_000 // 64 may wait; package discovery fills the room of all
	for i := range n {
		flood.vni = uint32(i)
		flood.address = netip.AddrFrom4([4]byte{127, 2, byte(i >> 6), 1})
		f.raw(flood, frame)
		if i%1000 == 0 {
			f.send(m, 1)
			c.waitReceived(f.sent) // no faster than it is taken
		}
	}
	took := time.Since(began)
	c.waitReceived(f.sent)
	f.send(m, 1)
	c.waitReceived(f.sent)
	eventually(t, "each announcement is counted", func() bool {
		outcomes := 0
		for _, outcome := range []string{"heard", "too_often", "malformed", "surplus", "queue_full"} {
			outcomes += c.series(fmt.Sprintf("periscope_announcements_total{outcome=%q}", outcome))
		}
		if outcomes > n+1 {
			t.Fatalf("%d of %d announcements are counted", outcomes, n+1)
		}
		return outcomes == n+1
	})
	t.Logf("%d announcements in %s", n, took)
	var own int
	for _, s := range c.sessions().Sessions {
		if s.Source == "127.1.0.1" && s.Name == "web" {
			own = int(s.Packets)
		} else if s.Name == "web" {
			t.Errorf("another is web: %+v", s)
		}
	}
	if own != m.sent+1 {
		t.Errorf("it sent %d frames, %d are its", m.sent+1, own)
	}
	c.stop()
}
