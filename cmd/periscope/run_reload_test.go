package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// reload has the collector read its configuration again, and waits until it
// said how that went.
func (c *collector) reload() {
	c.t.Helper()
	offset := c.log.len()
	c.signal(syscall.SIGHUP)
	c.waitLogFrom(offset, `msg="configuration (not )?reloaded`, 1)
}

func TestReload(t *testing.T) {
	s := setup{capture: `allow: ["127.0.0.1/32"]`}
	c := collect(t, s)
	s.dir = c.dir
	from1, from2 := dial(t, c.vxlan, "127.0.0.1"), dial(t, c.vxlan, "127.0.0.2")
	total := 0
	send := func() (delivered uint64) {
		before := c.ledger().Delivered.Packets
		for range 10 {
			write(t, from1, vxlan(1, make([]byte, 60)))
			write(t, from2, vxlan(1, make([]byte, 60)))
		}
		total += 20
		c.waitReceived(total)
		return c.ledger().Delivered.Packets - before
	}
	if n := send(); n != 10 {
		t.Fatalf("%d frames of the allowed sender delivered, want 10", n)
	}

	s.capture = `allow: ["127.0.0.0/8"]`
	s.rotate = "packets: 7"
	s.write(t)
	c.reload()
	if n := send(); n != 20 {
		t.Errorf("reloaded: %d frames delivered, want 20", n)
	}

	// What is wrong is named with its place, and nothing is taken over.
	s.capture = `allow: ["127.0.0.1/32"], wrokers: 2`
	path := s.write(t)
	c.reload()
	want := `level=ERROR msg="configuration not reloaded, the old one stays in force" error="` +
		regexp.QuoteMeta(path) + `:1:\d+: capture\.wrokers: unknown key`
	c.waitLog(want, 1)
	if n := send(); n != 20 {
		t.Errorf("after a bad reload: %d frames delivered, want 20", n)
	}

	// So it is with what needs a restart, and with a bad session file.
	s.capture = `allow: ["127.0.0.1/32"], receive_buffer: 1MiB`
	s.write(t)
	c.reload()
	c.waitLog(`msg="configuration not reloaded[^"]*" error="[^"]*a restart is needed to change [^"]*capture\.receive_buffer`, 1)
	s.capture = `allow: ["127.0.0.1/32"]`
	s.session = "file: sessions.yaml"
	sessions := writeFile(t, filepath.Join(c.dir, "sessions.yaml"), []byte("sessions:\n  - {name: a}\n"))
	s.write(t)
	c.reload()
	c.waitLog(`msg="configuration not reloaded[^"]*" error="[^"]*`+regexp.QuoteMeta(sessions)+`:2:\d+: `, 1)
	if n := send(); n != 20 {
		t.Errorf("after refused reloads: %d frames delivered, want 20", n)
	}

	l := c.stop()
	if l.NotDelivered["not_allowed"] != 10 {
		t.Errorf("%+v", l)
	}
	files := readTree(t, c.out)
	for _, f := range files[1:] {
		if n := len(f.records); n > 7 {
			t.Errorf("%s has %d records: rotation was not reloaded", f.path, n)
		}
	}
}

// sessionFile is the session file that is in force the n-th time: VNI 1 is now
// one session and now another, VNI 2 comes and goes, VNI 3 stays.
func sessionFile(n int) string {
	text := fmt.Sprintf("sessions:\n  - {name: \"generation-%d\", vni: 1}\n  - {name: stays, vni: 3}\n", n%10)
	if n%2 == 0 {
		text += "  - {name: comes and goes, vni: 2}\n"
	}
	return text
}

// remembered is how many ended sessions the ledger tells apart.
const remembered = 1024

// replaceSessions replaces the session file under load so many times. Every
// frame is in one session, and none is lost.
func replaceSessions(t *testing.T, times int) {
	dir := t.TempDir()
	path := filepath.Join(dir, "sessions.yaml")
	writeFile(t, path, []byte(sessionFile(0)))
	c := collect(t, setup{dir: dir, session: "file: sessions.yaml"})
	loads := []*load{newLoad(t, c.vxlan, 1, 0), newLoad(t, c.vxlan, 2, 0), newLoad(t, c.vxlan, 3, 0)}
	var stops []func()
	for _, l := range loads {
		stops = append(stops, l.start(3000))
	}
	for n := 1; n <= times; n++ {
		writeFile(t, path+".new", []byte(sessionFile(n)))
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
		c.reload()
	}
	var wg sync.WaitGroup
	for _, stop := range stops {
		wg.Go(stop)
	}
	wg.Wait()
	total := 0
	for _, l := range loads {
		total += l.count()
	}
	c.waitReceived(total)
	l := c.stop()
	if l.Sinks["pcap"].Stored != uint64(total) || len(l.NotDelivered) != 0 {
		t.Errorf("%d sent: %+v", total, l)
	}
	if log := c.log.String(); strings.Contains(log, "not reloaded") {
		t.Errorf("a reload failed")
	}
	files := readTree(t, c.out)
	noPartial(t, files)
	// Each reload ends a session of VNI 1 and one of VNI 2.
	ended := 2 * times
	bySession := make(map[string]uint64)
	var all uint64
	for _, s := range l.Sessions {
		bySession[s.Name] += s.Packets
		all += s.Packets
	}
	if all != l.Delivered.Packets {
		t.Errorf("%d frames delivered, %d by session", l.Delivered.Packets, all)
	}
	var generations []string
	for _, f := range files {
		if strings.HasPrefix(f.session, "generation-") {
			generations = append(generations, f.session)
		}
		bySession[unescape.Replace(f.session)] -= uint64(len(f.records))
	}
	for name, n := range bySession {
		if n != 0 && ended <= remembered {
			t.Errorf("session %s: the ledger and the files differ by %d", name, int64(n))
		}
	}
	once(t, sequences(t, files, generations...), 0, loads[0].count())
	once(t, sequences(t, files, "comes%20and%20goes", "vni-2"), 0, loads[1].count())
	once(t, sequences(t, files, "stays"), 0, loads[2].count())
	if n := len(sequences(t, files, "generation-0")); times >= 20 && (n == 0 || n == loads[0].count()) {
		t.Errorf("%d frames of VNI 1 in one of ten sessions", n)
	}
	t.Logf("%d frames, %d reloads, %d files, %d late", total, times, len(files), l.Late)
}

var unescape = strings.NewReplacer("%20", " ")

func TestReplaceSessions(t *testing.T) { replaceSessions(t, 100) }

// A session file that changes is read without being asked for.
func TestSessionFileIsWatched(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := writeFile(t, filepath.Join(dir, "sessions.yaml"), []byte("sessions:\n  - {name: before, vni: 1}\n"))
	c := collect(t, setup{dir: dir, session: "file: sessions.yaml"})
	l := newLoad(t, c.vxlan, 1, 0)
	l.send(0, 20)
	c.waitReceived(20)
	replace := func(text string) { // in one step
		t.Helper()
		if err := os.Rename(writeFile(t, path+".new", []byte(text)), path); err != nil {
			t.Fatal(err)
		}
	}
	replace("sessions:\n  - {name: after, vni: 1}\n")
	c.waitLog(`msg="sessions read" .*sessions=1`, 2) // the first time at the start
	l.send(0, 30)
	c.waitReceived(50)
	// A file with a mistake changes nothing, and the place is told.
	replace("sessions:\n  - {name: broken, vni: one}\n")
	c.waitLog(`msg="the sessions in use stay" error="[^"]*sessions\.yaml:2:\d+: `, 1)
	l.send(0, 10)
	c.waitReceived(60)
	c.stop()
	files := readTree(t, c.out)
	once(t, sequences(t, files, "before"), 0, 20)
	once(t, sequences(t, files, "after"), 20, 60)
}
