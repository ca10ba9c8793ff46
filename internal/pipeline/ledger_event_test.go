package pipeline

import (
	"encoding/json"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/periscope-collector/periscope/packet"
)

var processStart = time.Unix(1_700_000_000, 0)

// after reads the event of a ledger that was taken so long after the start.
func after(t *testing.T, e *ledgerEvents, d time.Duration, l *Ledger) (event struct {
	ledgerEvent
	Interval map[string]float64 `json:"interval"`
}) {
	t.Helper()
	if err := json.Unmarshal(e.next(l, processStart.Add(d), true), &event); err != nil {
		t.Fatal(err)
	}
	return event
}

func ledgerOf(received, delivered, lost, dropped uint64) *Ledger {
	return &Ledger{
		Received:     Volume{received, 100 * received},
		Delivered:    Volume{delivered, 100 * delivered},
		NotDelivered: map[string]uint64{"not_tunnel": 1, "vxlan_flag": received - delivered - 1},
		Lost:         Lost{Socket: lost - 3, Ring: 1, NIC: 2},
		Truncated:    4,
		Cut:          6,
		Late:         5,
		Sinks: map[string]SinkLedger{
			"pcap":   {Offered: delivered, Stored: delivered - dropped - 7, Pending: 7, Dropped: map[string]uint64{"disk_full": dropped}},
			"splunk": {Offered: 9, Dropped: map[string]uint64{"budget": 8, "refused": 1}},
			"flows":  {Offered: 70, Dropped: map[string]uint64{"policy": 70}}, // not in sink_dropped
		},
		Balanced: true,
	}
}

func TestLedgerEventGolden(t *testing.T) {
	const path = "testdata/ledger_event.json"
	e := &ledgerEvents{host: "collector-1", collector: "fra", version: "1.2.3", start: processStart}
	got := append(e.next(ledgerOf(1000, 900, 10, 20), processStart.Add(60_003_400*time.Microsecond), true), '\n')
	got = append(append(got, e.next(ledgerOf(1500, 1300, 10, 25), processStart.Add(120*time.Second), false)...), '\n')
	bare := &ledgerEvents{version: "devel", start: processStart}
	got = append(append(got, bare.next(&Ledger{NotDelivered: map[string]uint64{}, Sinks: map[string]SinkLedger{}}, processStart, false)...), '\n')
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// The page lists the event's keys.
func TestLedgerEventPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/formats.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(page), "\n### Ledger events\n")
	table, _, _ = strings.Cut(table, "\n#")
	var got []string
	for line := range strings.Lines(table) {
		if row, found := strings.CutPrefix(line, "| `"); found {
			key, _, _ := strings.Cut(row, "`")
			got = append(got, key)
		}
	}
	e := &ledgerEvents{host: "h", collector: "c", start: processStart}
	var event map[string]any
	if err := json.Unmarshal(e.next(ledgerOf(2, 1, 3, 0), processStart, true), &event); err != nil {
		t.Fatal(err)
	}
	slices.Sort(got) // the page has the event's order
	want := slices.Sorted(maps.Keys(event))
	if !slices.Equal(got, want) {
		t.Errorf("docs/formats.md has\n%q\nthe event\n%q", got, want)
	}
}

// The intervals together are the whole, however long each is.
func TestLedgerEventIntervals(t *testing.T) {
	e := &ledgerEvents{start: processStart}
	sums := make(map[string]float64)
	ledgers := []*Ledger{ledgerOf(100, 90, 5, 1), ledgerOf(100, 90, 5, 1), ledgerOf(5000, 4000, 1<<40, 80)}
	for i, l := range ledgers {
		event := after(t, e, time.Duration(1+i*i)*time.Minute, l)
		for k, n := range event.Interval {
			sums[k] += n
		}
		if i == 1 && (event.Interval["received_packets"] != 0 || event.Interval["seconds"] != 60) {
			t.Errorf("an interval without traffic: %v", event.Interval)
		}
	}
	for k, want := range map[string]float64{
		"seconds": 300, "received_packets": 5000, "delivered_packets": 4000, "not_delivered_packets": 1000,
		"lost_packets": 1 << 40, "sink_dropped": 89,
	} {
		if sums[k] != want {
			t.Errorf("%s: the intervals sum up to %v, want %v", k, sums[k], want)
		}
	}
}

// A clock that was set back and a counter that processStart again give no negative
// difference, and none of 2^64.
func TestLedgerEventNeverNegative(t *testing.T) {
	e := &ledgerEvents{start: processStart}
	after(t, e, time.Minute, ledgerOf(100, 90, 50, 1))
	event := after(t, e, -time.Minute, ledgerOf(100, 90, 4, 1))
	if event.Uptime != 0 || event.Interval["seconds"] != 0 {
		t.Errorf("uptime %v, interval %v s", event.Uptime, event.Interval["seconds"])
	}
	if event.Lost != 4 || event.Interval["lost_packets"] != 0 {
		t.Errorf("lost %d, in the interval %v", event.Lost, event.Interval["lost_packets"])
	}
}

// With every reason, eight sinks and the largest counters, the event is one of
// which Splunk finds the keys; names of any bytes are valid JSON.
func TestLedgerEventBound(t *testing.T) {
	const most = 1 << 60
	l := ledgerOf(most, most/2, most, 1)
	for r := packet.None + 1; r < packet.NumReasons; r++ {
		l.NotDelivered[r.String()] = most
	}
	for _, name := range []string{"pcap", "flowlog", "splunk", "four", "five", "six", "seven", "eight"} {
		dropped := make(map[string]uint64)
		for d := range packet.NumDrops {
			dropped[d.String()] = most
		}
		l.Sinks[name] = SinkLedger{Offered: most, Stored: most, Pending: most, Dropped: dropped}
	}
	e := &ledgerEvents{host: strings.Repeat("h", 255), collector: "\xff\"\n", version: "1.2.3", start: processStart}
	event := e.next(l, processStart.Add(1000*time.Hour), true)
	if len(event) >= 5000 || !json.Valid(event) {
		t.Errorf("%d bytes, valid %t", len(event), json.Valid(event))
	}
	if got := after(t, e, 0, l).Collector; got != "\ufffd\"\n" {
		t.Errorf("collector %q", got)
	}
}
