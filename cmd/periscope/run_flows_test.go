package main

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/periscope-collector/periscope/bench/traffic"
)

// A flowRecord is what the tests read of a flow record in JSON.
type flowRecord struct {
	Status  string    `json:"log_status"`
	Session string    `json:"session"`
	End     time.Time `json:"interval_end"`
	Packets uint64    `json:"packets"`

	Interface     string `json:"interface_id"`
	InitiatorPort uint16 `json:"initiator_port"`
	ResponderPort uint16 `json:"responder_port"`
}

// readFlows calls f for every record below dir, in complete files and in those
// being written.
func readFlows(t testing.TB, dir string, f func(flowRecord)) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || !strings.Contains(path, ".json.gz") {
			return err
		}
		file, err := os.Open(path)
		if err != nil {
			return nil // it was completed since
		}
		defer file.Close()
		z, err := gzip.NewReader(file)
		if err != nil {
			return nil // nothing is in it yet
		}
		for lines := bufio.NewScanner(z); lines.Scan(); {
			var r flowRecord
			if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
				t.Fatalf("%s: %v in %s", path, err, lines.Bytes())
			}
			f(r)
		}
		return nil
	})
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
}

// Live, every packet that was delivered is in a flow record at the end, or is no
// IP packet, and the collector shows in its metrics what became of them.
func TestRunWritesFlowRecords(t *testing.T) {
	c := collect(t, setup{sinks: "flowlog: {dir: records, format: json, interval: 10s}"})
	l := newLoad(t, c.vxlan, 7, 0)
	l.send(20_000, 5000)
	stacks := &load{t: t, to: c.vxlan, vni: 8, frames: traffic.NewFrames(traffic.FramesConfig{Seed: 2, Flows: 2000})}
	stacks.send(20_000, 5000)
	c.waitReceived(10_000)
	series := c.metrics()
	if series["periscope_flow_packets_total"] != 10_000 || series["periscope_flows"] == 0 {
		t.Errorf("%v packets in flows, %v flows", series["periscope_flow_packets_total"], series["periscope_flows"])
	}
	led := c.stop()
	packets, records := make(map[string]uint64), uint64(0)
	readFlows(t, filepath.Join(c.dir, "records"), func(r flowRecord) {
		packets[r.Session] += r.Packets
		records++
	})
	if packets["vni-7"] != 5000 || packets["vni-8"] != 5000 || led.Flows.Packets != 10_000 {
		t.Errorf("%v packets in records, the ledger says %+v", packets, led.Flows)
	}
	if sink := led.Sinks["flowlog"]; sink.Stored != records || sink.Offered != records || led.Flows.Live != 0 {
		t.Errorf("%d records in files, the ledger says %+v, %+v", records, sink, led.Flows)
	}
}
