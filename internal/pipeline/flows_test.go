package pipeline

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/periscope-collector/periscope/bench/traffic"
	"github.com/periscope-collector/periscope/internal/config"
	"github.com/periscope-collector/periscope/tunnel"
)

// conversations is a capture of many flows through three sessions, mirrored at
// both ends for a part, 70 s and so two intervals long.
func conversations(t testing.TB, flows int) string {
	t.Helper()
	g := traffic.NewConversations(traffic.ConversationsConfig{Seed: 3, Flows: flows})
	_, mirrored, _ := traffic.Interface()
	b := traffic.AppendPcapHeader(nil, traffic.LinkEthernet)
	frames := flows * 40
	n := 0
	add := func(vni uint32, frame []byte) {
		payload := append(tunnel.AppendVXLAN(nil, vni), frame...)
		packet := traffic.AppendOuter(nil, netip.AddrPortFrom(mirrored.Netip(), 65500), netip.AddrPortFrom(mirrored.Netip(), 4789), payload)
		b = traffic.AppendPcapRecord(b, 1_700_000_000_000_000_000+int64(n)*70_000_000_000/int64(frames), packet, len(packet))
	}
	for frame := g.Next(); frame != nil; frame = g.Next() {
		n++
		add(uint32(1+n%3), frame)
		if n%5 == 0 {
			add(9, frame)
		}
	}
	name := filepath.Join(t.TempDir(), "conversations.pcap")
	if err := os.WriteFile(name, b, 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

// replayFlows replays a file with flow logs into dir, and a report.
func replayFlows(t testing.TB, file, dir, format string, workers, table int) (Ledger, string) {
	t.Helper()
	cfg := config.Default()
	cfg.Sinks.PCAP = nil
	log := config.DefaultFlowLog()
	log.Dir, log.Format = dir, format
	cfg.Sinks.FlowLog = &log
	cfg.Flows.Table = table
	cfg.Capture.Workers = workers
	r, err := NewReplay(cfg, ReplayConfig{Paths: []string{file}, BareVNI: -1, Report: true}, discard)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	var report bytes.Buffer
	if err := r.WriteReport(&report); err != nil {
		t.Fatal(err)
	}
	return r.Ledger(), report.String()
}

// tree returns the hash of every file below dir but the lock.
func tree(t testing.TB, dir string) map[string]string {
	t.Helper()
	hashes := make(map[string]string)
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || e.Name() == ".lock" {
			return err
		}
		data, err := os.ReadFile(path)
		hashes[path[len(dir):]] = fmt.Sprintf("%x", sha256.Sum256(data))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return hashes
}

// The same capture gives the same flow logs, byte for byte, and the same report,
// whatever the number of workers: with room for all flows, and with so little
// that most records are of evicted ones.
func TestFlowLogsDoNotDependOnWorkers(t *testing.T) {
	file := conversations(t, 300)
	for _, c := range []struct {
		format string
		table  int
	}{{"text", 10_000}, {"json", 10_000}, {"json", 128}} {
		t.Run(fmt.Sprint(c.format, "/", c.table), func(t *testing.T) {
			var first map[string]string
			var firstReport string
			for _, workers := range []int{1, 2, 3, 8} {
				dir := filepath.Join(t.TempDir(), "flows")
				l, report := replayFlows(t, file, dir, c.format, workers, c.table)
				if !l.Balanced || l.Flows.Live != 0 || l.Flows.Packets+l.Flows.NotIP != l.Delivered.Packets {
					t.Fatalf("%d workers: %+v", workers, l)
				}
				if evicted := l.Flows.Records["evicted"]; (evicted > 0) != (c.table == 128) {
					t.Errorf("%d flows evicted", evicted)
				}
				got := tree(t, dir)
				if first == nil {
					first, firstReport = got, report
				}
				if !maps.Equal(got, first) {
					t.Errorf("%d workers give other files than one: %v, %v", workers, got, first)
				}
				if report != firstReport {
					t.Errorf("%d workers give another report than one:\n%s\n%s", workers, report, firstReport)
				}
			}
			if len(first) == 0 {
				t.Error("no files")
			}
		})
	}
}

// Every packet is in exactly one record, and none covers two intervals.
func TestEveryPacketIsInOneRecord(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "flows")
	l, _ := replayFlows(t, conversations(t, 200), dir, "json", 2, 10_000)
	packets, records := uint64(0), uint64(0)
	for name := range tree(t, dir) {
		f, err := os.Open(dir + name)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		z, err := gzip.NewReader(f)
		if err != nil {
			t.Fatal(err)
		}
		for lines := bufio.NewScanner(z); lines.Scan(); {
			var r struct {
				Status  string `json:"log_status"`
				Begin   string `json:"interval_begin"`
				End     string `json:"interval_end"`
				First   string `json:"first_packet_at"`
				Last    string `json:"last_packet_at"`
				Packets uint64 `json:"packets"`
			}
			if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
				t.Fatalf("%s: %v", lines.Bytes(), err)
			}
			if r.Status != "" {
				continue
			}
			packets += r.Packets
			records++
			if r.First < r.Begin || r.Last >= r.End || r.First > r.Last {
				t.Errorf("a record beyond its interval: %s", lines.Bytes())
			}
		}
	}
	if l.Flows.Duplicates == 0 {
		t.Error("no packet is found to have come through two sessions")
	}
	if packets != l.Flows.Packets || packets == 0 {
		t.Errorf("%d packets in records, %d in flows", packets, l.Flows.Packets)
	}
	if sink := l.Sinks["flowlog"]; sink.Stored != records || sink.Offered != records {
		t.Errorf("%d records in files, the ledger says %+v", records, sink)
	}
}
