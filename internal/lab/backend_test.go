package lab_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/periscope-collector/periscope/internal/lab"
)

// A station is a collector on the underlay of a lab, as the service would run
// it: as nobody, with the rights of a drop-in alone.
type station struct {
	t       *testing.T
	lab     *lab.Lab
	program string
	dir     string
	args    []string // of setpriv
	sent    int      // to the collector that runs, in datagrams
}

// newStation makes the lab, and a configuration that takes the interface of the
// underlay. The rights are those of the drop-in, of what is commented out in it
// as well if all is set. The buffers of XDP are in the memory that anyone may lock.
func newStation(t *testing.T, backend, dropIn string, all bool) *station {
	t.Helper()
	lab.Need(t, "go", "ss", "curl", "ping", "setpriv")
	t.Setenv("GORACE", "atexit_sleep_ms=0") // else each program takes a second to end
	s := &station{t: t, lab: lab.New(t), program: build(t), dir: t.TempDir()}
	ring := "64MiB"
	if backend == "xdp" {
		ring = "4MiB"
	}
	write(t, filepath.Join(s.dir, "periscope.yaml"), `
capture: {workers: 2, interface: u0, ring: `+ring+`, backend: `+backend+`}
sinks: {pcap: {dir: captures}}
health: {listen: ":9478"}
`)
	for _, name := range []string{filepath.Dir(s.dir), s.dir, filepath.Dir(filepath.Dir(s.program)), filepath.Dir(s.program)} {
		if err := os.Chmod(name, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(filepath.Join(s.dir, "periscope.yaml"), 0o644); err != nil {
		t.Fatal(err)
	}
	rights := "-all"
	for _, name := range capabilities(t, dropIn, all) {
		rights += ",+" + name
	}
	s.args = []string{"--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs",
		"--inh-caps=" + rights, "--ambient-caps=" + rights, "--bounding-set=" + rights,
		s.program, "run", "--config", filepath.Join(s.dir, "periscope.yaml"), "--summary", filepath.Join(s.dir, "summary.json")}
	return s
}

// capabilities returns those of a drop-in, as setpriv names them.
func capabilities(t *testing.T, dropIn string, all bool) (names []string) {
	t.Helper()
	if dropIn == "" {
		return nil
	}
	b, err := os.ReadFile(filepath.Join("../../deploy", dropIn))
	if err != nil {
		t.Fatal(err)
	}
	pattern := `(?m)^AmbientCapabilities=(.+)$`
	if all {
		pattern = `(?m)^#?AmbientCapabilities=(.+)$`
	}
	for _, found := range regexp.MustCompile(pattern).FindAllSubmatch(b, -1) {
		for name := range strings.FieldsSeq(strings.ToLower(string(found[1]))) {
			names = append(names, strings.TrimPrefix(name, "cap_"))
		}
	}
	if names == nil {
		t.Fatalf("no capabilities in\n%s", b)
	}
	return names
}

func (s *station) start(flags ...string) *lab.Program {
	s.t.Helper()
	s.sent = 0
	p := s.lab.Collector.Start("msg=collecting", "setpriv", append(slices.Clone(s.args), flags...)...)
	s.t.Cleanup(func() {
		if s.t.Failed() {
			s.t.Logf("the collector said:\n%s", p.Output())
		}
	})
	lab.Eventually(s.t, "the collector is ready", func() bool {
		return s.lab.Collector.Command("curl", "-sf", "http://127.0.0.1:9477/readyz").Run() == nil
	})
	return p
}

// send sends through the interface, over both families, and through the
// loopback. It returns how many datagrams that were.
//
// They are sent in parts that have room in 4 MiB, of which one of two workers may
// hold half, and each when the collector has taken the one before: it may be late.
func (s *station) send() int {
	s.t.Helper()
	before := s.sent
	for _, to := range []struct {
		from    *lab.Namespace
		address string
	}{{s.lab.Host, "10.9.0.1:4789"}, {s.lab.Host, "[fd00:9::1]:4789"}, {s.lab.Collector, "127.0.0.1:4789"}} {
		for range 2 {
			const part = 400
			to.from.Run(s.program, "send", "--to", to.address, "--count", strconv.Itoa(part), "--rate", "10000")
			s.sent += part
			taken := fmt.Sprintf("\nperiscope_received_packets_total %d\n", s.sent)
			lab.Eventually(s.t, "the collector has taken what was sent", func() bool {
				return strings.Contains(s.lab.Collector.Run("curl", "-sf", "http://127.0.0.1:9477/metrics"), taken)
			})
		}
	}
	return s.sent - before
}

// undisturbed says that what is no mirrored traffic goes through the interface.
func (s *station) undisturbed() {
	s.t.Helper()
	s.ping()
	s.lab.Host.Run("curl", "-sf", "http://10.9.0.1:9478/readyz")
}

func (s *station) ping() {
	s.t.Helper()
	for _, address := range []string{"10.9.0.1", "fd00:9::1"} {
		lab.Eventually(s.t, address+" answers", func() bool { // a busy machine may drop one
			return s.lab.Host.Command("ping", "-c", "1", "-W", "1", address).Run() == nil
		})
	}
}

// check holds the summary against what was sent.
func (s *station) check(sent int) {
	s.t.Helper()
	got := readSummary(s.t, filepath.Join(s.dir, "summary.json"))
	pcap := got.Sinks["pcap"]
	if !got.Balanced || got.Received.Packets != sent || got.Delivered.Packets != sent || pcap.Stored != sent || sum(got.LostBeforeUs) != 0 {
		s.t.Errorf("sent %d, ledger %+v", sent, got)
	}
}

// nothingLeft says that the machine is as if there had never been a collector.
func (s *station) nothingLeft() {
	s.t.Helper()
	for _, look := range []struct {
		what  string
		args  []string
		trace string
	}{
		{"a program on the interface", []string{"ip", "-d", "link", "show", "u0"}, "xdp"},
		{"a rule on the interface", []string{"tc", "filter", "show", "dev", "u0", "ingress"}, "filter"},
		{"a UDP socket", []string{"ss", "-H", "-u", "-a", "-n"}, "4789"},
		{"a packet socket", []string{"ss", "-H", "-0", "-a", "-n"}, "u0"},
		{"an XDP socket", []string{"ss", "-H", "--xdp", "-a", "-n"}, "u0"},
	} {
		lab.Eventually(s.t, look.what+" has gone", func() bool {
			return !strings.Contains(s.lab.Collector.Run(look.args[0], look.args[1:]...), look.trace)
		})
	}
}

// TestBackends runs the program with each backend that takes an interface over:
// every datagram arrives once, whichever way it came, a reload and other traffic
// work, and after a kill nothing is left, so that the next start finds all free
// and its sockets get everything.
func TestBackends(t *testing.T) {
	for _, tt := range []struct {
		name, backend string
		all           bool
		says          string
	}{
		{"afpacket", "afpacket", false, "dropped_behind=false"},
		{"afpacket with a program", "afpacket", true, "dropped_behind=true"},
		{"xdp", "xdp", false, "listening on XDP sockets"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newStation(t, tt.backend, tt.backend+".conf", tt.all)
			p := s.start()
			for _, want := range []string{"backend " + tt.backend + " on u0", tt.says} {
				if !strings.Contains(p.Output(), want) {
					t.Errorf("the log does not say %q", want)
				}
			}
			sent := s.send()
			if err := p.Signal(syscall.SIGHUP); err != nil {
				t.Fatal(err)
			}
			lab.Eventually(t, "reloaded", func() bool { return strings.Contains(p.Output(), "configuration reloaded") })
			s.undisturbed()
			sent += s.send()
			if err := p.Stop(syscall.SIGTERM); err != nil {
				t.Errorf("ended with %v, want 0", err)
			}
			s.check(sent)
			s.nothingLeft()

			p = s.start()
			s.send()
			if err := p.Stop(syscall.SIGKILL); err == nil {
				t.Error("killed, and ended with 0")
			}
			s.nothingLeft()
			s.ping()

			p = s.start("--backend", "udp") // whose sockets get nothing if anything still drops
			sent = s.send()
			if err := p.Stop(syscall.SIGTERM); err != nil {
				t.Errorf("ended with %v, want 0", err)
			}
			s.check(sent)
		})
	}
}

// TestAutoWithoutRights is the unit without a drop-in.
func TestAutoWithoutRights(t *testing.T) {
	s := newStation(t, "auto", "", false)
	p := s.start()
	if !strings.Contains(p.Output(), "backend udp: ") || !strings.Contains(p.Output(), "CAP_NET_RAW") {
		t.Error("the log does not say what is missing for packet rings")
	}
	sent := s.send()
	if err := p.Stop(syscall.SIGTERM); err != nil {
		t.Errorf("ended with %v, want 0", err)
	}
	s.check(sent)
}

// TestAutoTakesAFPacket is the unit with the drop-in, and a default route.
func TestAutoTakesAFPacket(t *testing.T) {
	s := newStation(t, "auto", "afpacket.conf", false)
	write(t, filepath.Join(s.dir, "periscope.yaml"), "sinks: {pcap: {dir: captures}}\n")
	s.lab.Collector.Run("ip", "route", "add", "default", "via", "10.9.0.2")
	p := s.start()
	if !strings.Contains(p.Output(), "backend afpacket on u0") {
		t.Error("the log does not say that it took afpacket")
	}
	sent := s.send()
	if err := p.Stop(syscall.SIGTERM); err != nil {
		t.Errorf("ended with %v, want 0", err)
	}
	s.check(sent)
}
