package main

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/periscope-collector/periscope/internal/pipeline"
	"github.com/periscope-collector/periscope/sink/splunk/hec/hectest"
)

// splunkSink is the configuration of the sink, in flow style.
func splunkSink(url, records, size string) string {
	return fmt.Sprintf("splunk: {endpoints: [%q], token_file: hec.token, records: [%s], spool: {size: %s, free: 0}}", url, records, size)
}

// writeToken replaces the file of the tokens in one step.
func writeToken(t testing.TB, dir, token string) {
	t.Helper()
	path := filepath.Join(dir, "hec.token")
	writeFile(t, path+".new", []byte(token+"\n"))
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// collectSplunk starts a collector with the sink. Whatever it writes until the
// end of the test has no token in it.
func collectSplunk(t testing.TB, s setup) *collector {
	t.Helper()
	if s.dir == "" {
		s.dir = t.TempDir()
	}
	if !isExist(filepath.Join(s.dir, "hec.token")) {
		writeToken(t, s.dir, splunkToken)
	}
	c := collect(t, s)
	t.Cleanup(func() { keepsSecret(t, s.dir, c.process) })
	return c
}

// keepsSecret searches what a process wrote, and every file below a directory but
// that of the tokens.
func keepsSecret(t testing.TB, dir string, p *process) {
	t.Helper()
	p.kill()
	keepSecret(t, "the log", p.log.String())
	keepSecret(t, "standard output", p.stdout.String())
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || d.Name() == "hec.token" {
			return err
		}
		text, err := os.ReadFile(path)
		keepSecret(t, path, string(text))
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// metricsKeepSecret searches what HTTP shows.
func (c *collector) metricsKeepSecret() {
	c.t.Helper()
	for _, path := range []string{"/metrics", "/api/v1/ledger"} {
		status, page := c.get(path)
		if status != http.StatusOK {
			c.t.Errorf("%s: %d", path, status)
		}
		keepSecret(c.t, path, page)
	}
}

func keepSecret(t testing.TB, where, text string) {
	t.Helper()
	if strings.Contains(text, splunkToken) || strings.Contains(text, anotherToken) {
		t.Errorf("a token is in %s", where)
	}
}

// splunk returns the sink's account.
func (c *collector) splunk() pipeline.SinkLedger {
	c.t.Helper()
	return c.ledger().Sinks["splunk"]
}

// An event is what the tests read of one.
type event struct {
	Sourcetype string
	Event      struct {
		UID     string `json:"event_uid"`
		Packets uint64
	}
	Fields struct {
		UID string `json:"event_uid"` // of the ledger's
	}
}

// readEvents returns how many of a server's events are of each source type, and
// the packets in those of flows. None is there twice.
func readEvents(t testing.TB, s *hectest.Server) (events map[string]uint64, packets uint64) {
	t.Helper()
	events = make(map[string]uint64)
	seen := make(map[string]bool)
	for _, raw := range s.Events() {
		var e event
		err := json.Unmarshal(raw, &e)
		uid := e.Event.UID + e.Fields.UID
		if err != nil || uid == "" || seen[uid] {
			t.Fatalf("there already, or no event: %v in %s", err, raw)
		}
		seen[uid] = true
		events[e.Sourcetype]++
		packets += e.Event.Packets
	}
	return events, packets
}

// Every packet is in the event of a flow when the collector has ended, and the
// summary, the ledger event and the metrics say so.
func TestRunSplunk(t *testing.T) {
	t.Parallel()
	server := hectest.New(t, splunkToken)
	c := collectSplunk(t, setup{sinks: splunkSink(server.URL, "flow, ledger", "64MiB")})
	newLoad(t, c.vxlan, 7, 0).send(20_000, 20_000)
	c.waitReceived(20_000)
	c.metricsKeepSecret()
	led := c.stop()
	events, packets := readEvents(t, server)
	sink := led.Sinks["splunk"]
	if packets != led.Delivered.Packets || packets != 20_000 {
		t.Errorf("%d packets in events of flows, %d delivered", packets, led.Delivered.Packets)
	}
	if events["periscope:ledger"] == 0 || events["periscope:flow"]+events["periscope:ledger"] != sink.Stored {
		t.Errorf("events %v, the summary says %+v", events, sink)
	}
	if sink.Pending != 0 || len(sink.Dropped) != 0 {
		t.Errorf("%+v", sink)
	}
}
