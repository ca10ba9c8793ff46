package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/periscope-collector/periscope/internal/lab"
	"github.com/periscope-collector/periscope/internal/pipeline"
)

// A setup is a configuration of `periscope run` on loopback ports that the
// kernel chooses. Fields left empty have a plain default.
type setup struct {
	dir    string // of the configuration, and of what it names
	listen string // capture.listen
	geneve string // capture.geneve; it is off by default

	// Further keys of sections, in flow style.
	capture, session, rotate, retain, pcap, admin string

	sinks string   // further sinks, in flow style
	more  string   // further lines
	env   []string // of the process
	args  []string // of run

	within *lab.Namespace // where it runs; nil is where the test does
}

// write writes the configuration and returns its path.
func (s *setup) write(t testing.TB) string {
	t.Helper()
	if s.dir == "" {
		s.dir = t.TempDir()
	}
	listen, geneve := s.listen, ""
	if listen == "" {
		listen = "127.0.0.1:0"
	}
	if s.geneve != "" {
		geneve = fmt.Sprintf("%q", s.geneve)
	}
	text := fmt.Sprintf(`capture: {workers: 2, listen: [%q], geneve: [%s], %s}
sessions: {%s}
sinks: {pcap: {dir: captures, rotate: {%s}, retain: {free: 0, %s}, %s}, %s}
admin: {listen: "127.0.0.1:0", %s}
%s
`, listen, geneve, s.capture, s.session, s.rotate, s.retain, s.pcap, s.sinks, s.admin, s.more)
	return writeFile(t, filepath.Join(s.dir, "periscope.yaml"), []byte(text))
}

// A collector is a `periscope run` that is ready.
type collector struct {
	*process
	dir     string // of the configuration
	out     string // of the captures
	summary string
	vxlan   netip.AddrPort
	geneve  netip.AddrPort // if it is on
	url     string         // of admin
}

// startRun starts `periscope run` without waiting for it to be ready.
func startRun(t testing.TB, s setup) *collector {
	t.Helper()
	config := s.write(t)
	c := &collector{
		dir:     s.dir,
		out:     filepath.Join(s.dir, "captures"),
		summary: filepath.Join(s.dir, "summary.json"),
	}
	args := []string{"run", "--config", config, "--summary", c.summary}
	c.process = newProcess(t, append(args, s.args...)...)
	if s.within != nil { // ip(8) becomes the program
		in := s.within.Command(c.cmd.Path, c.cmd.Args[1:]...)
		c.cmd.Path, c.cmd.Args = in.Path, in.Args
	}
	c.cmd.Env = append(environment(), s.env...)
	c.start()
	return c
}

// collect starts a collector.
func collect(t testing.TB, s setup) *collector {
	t.Helper()
	c := startRun(t, s)
	c.url = c.waitLog(`metrics=(http://\S+)/metrics`, 1)[1]
	c.vxlan = netip.MustParseAddrPort(c.waitLog(`level=(?:INFO|WARN) msg="?listening.* address=(\S+)`, 1)[1])
	if s.geneve != "" {
		c.geneve = netip.MustParseAddrPort(c.waitLog(`level=(?:INFO|WARN) msg="?listening.* address=(\S+)`, 2)[1])
	}
	eventually(t, "ready", func() bool {
		status, _ := c.get("/readyz")
		return status == http.StatusOK
	})
	return c
}

// httpClient does not keep connections, so that tests can count descriptors.
var httpClient = &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}

// within has httpClient connect from within a namespace, for the rest of the
// test.
func within(t testing.TB, n *lab.Namespace) {
	before := httpClient.Transport
	httpClient.Transport = &http.Transport{DisableKeepAlives: true, DialContext: n.DialContext}
	t.Cleanup(func() { httpClient.Transport = before })
}

// get asks admin. It gives status 0 when there is no answer.
func (c *collector) get(path string) (status int, body string) {
	c.t.Helper()
	return get(c.url + path)
}

func get(url string) (status int, body string) {
	r, err := httpClient.Get(url)
	if err != nil {
		return 0, err.Error()
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return 0, err.Error()
	}
	return r.StatusCode, string(b)
}

// ledger asks for the ledger and checks that it balances.
func (c *collector) ledger() pipeline.Ledger {
	c.t.Helper()
	status, body := c.get("/api/v1/ledger")
	if status != http.StatusOK {
		c.t.Fatalf("the ledger: %d %s", status, body)
	}
	return readLedger(c.t, []byte(body))
}

// waitReceived waits until the collector has taken so many datagrams and is
// done with them.
func (c *collector) waitReceived(n int) {
	c.t.Helper()
	var l pipeline.Ledger
	defer func() {
		if c.t.Failed() {
			l.Sessions = nil // may be many
			c.t.Logf("the ledger then: %+v", l)
		}
	}()
	eventually(c.t, fmt.Sprintf("%d datagrams are received and stored", n), func() bool {
		l = c.ledger()
		return l.Received.Packets >= uint64(n) && l.InFlight == 0 && l.Sinks["pcap"].Pending == 0
	})
}

// end waits for the process, which was told to stop and exits with status 0,
// and returns its summary.
func (c *collector) end() pipeline.Ledger {
	c.t.Helper()
	if code := c.wait(); code != 0 {
		c.t.Fatalf("exit status %d", code)
	}
	data, err := os.ReadFile(c.summary)
	if err != nil {
		c.t.Fatal(err)
	}
	l := readLedger(c.t, data)
	if l.InFlight != 0 || l.Sinks["pcap"].Pending != 0 {
		c.t.Errorf("%d frames in flight and %d pending at the end", l.InFlight, l.Sinks["pcap"].Pending)
	}
	return l
}

// stop ends the collector with SIGTERM, after which it has stop_timeout.
func (c *collector) stop() pipeline.Ledger {
	c.t.Helper()
	c.signal(syscall.SIGTERM)
	return c.end()
}

// interrupt ends the collector with SIGINT, after which it has
// interruptTimeout: what cannot be sent stays in the spool.
func (c *collector) interrupt() pipeline.Ledger {
	c.t.Helper()
	c.signal(syscall.SIGINT)
	return c.end()
}

// readLedger reads a ledger and adds it up, whatever it says of itself.
func readLedger(t testing.TB, data []byte) pipeline.Ledger {
	t.Helper()
	var l pipeline.Ledger
	if err := json.Unmarshal(data, &l); err != nil {
		t.Fatalf("%v in %s", err, data)
	}
	accounted := l.Delivered.Packets + l.InFlight + sum(l.NotDelivered)
	if !l.Balanced || l.Received.Packets != accounted {
		t.Errorf("received %d, accounted for %d, balanced %t: %s", l.Received.Packets, accounted, l.Balanced, data)
	}
	for name, s := range l.Sinks {
		if accounted := s.Stored + s.Pending + sum(s.Dropped); s.Offered != accounted {
			t.Errorf("sink %s: offered %d, accounted for %d: %s", name, s.Offered, accounted, data)
		}
	}
	return l
}

func sum(m map[string]uint64) (n uint64) {
	for _, v := range m {
		n += v
	}
	return n
}

// metrics returns every series, as name{label="value",...}.
func (c *collector) metrics() map[string]float64 {
	c.t.Helper()
	status, body := c.get("/metrics")
	if status != http.StatusOK {
		c.t.Fatalf("/metrics: %d %s", status, body)
	}
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	series := make(map[string]float64)
	for name, family := range families {
		for _, m := range family.Metric {
			var labels []string
			for _, l := range m.Label {
				labels = append(labels, fmt.Sprintf("%s=%q", l.GetName(), l.GetValue()))
			}
			key := name
			slices.Sort(labels)
			if len(labels) > 0 {
				key += "{" + strings.Join(labels, ",") + "}"
			}
			series[key] = m.GetCounter().GetValue() + m.GetGauge().GetValue() + m.GetUntyped().GetValue()
		}
	}
	return series
}
