package pipeline

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/periscope-collector/periscope/bench/traffic"
	"github.com/periscope-collector/periscope/internal/config"
	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/tunnel"
)

// began is the time of a capture's first frame: 40 s before an interval ends.
const began = 1_700_000_000 * int64(time.Second)

// appendMirrored appends a mirrored frame to a capture.
func appendMirrored(b []byte, after time.Duration, vni uint32, frame []byte) []byte {
	_, mirrored, _ := traffic.Interface()
	payload := append(tunnel.AppendVXLAN(nil, vni), frame...)
	data := traffic.AppendOuter(nil, netip.AddrPortFrom(mirrored.Netip(), 65500), netip.AddrPortFrom(mirrored.Netip(), 4789), payload)
	return traffic.AppendPcapRecord(b, began+int64(after), data, len(data))
}

func writeCapture(t testing.TB, b []byte) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "mirror.pcap")
	if err := os.WriteFile(name, b, 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

// conversations is a capture of many flows through three sessions, mirrored at
// both ends for a part. It takes some time, of two intervals.
func conversations(t testing.TB, flows int, takes time.Duration) string {
	t.Helper()
	g := traffic.NewConversations(traffic.ConversationsConfig{Seed: 3, Flows: flows})
	b := traffic.AppendPcapHeader(nil, traffic.LinkEthernet)
	frames := flows * 40
	n := 0
	for frame := g.Next(); frame != nil; frame = g.Next() {
		n++
		after := takes * time.Duration(n) / time.Duration(frames)
		b = appendMirrored(b, after, uint32(1+n%3), frame)
		if n%5 == 0 {
			b = appendMirrored(b, after, 9, frame)
		}
	}
	return writeCapture(t, b)
}

// replayFlows replays a file with flow logs into dir, and a report. One session
// of its session file has no traffic.
func replayFlows(t testing.TB, file, dir, format string, workers, table int) (Ledger, string) {
	t.Helper()
	cfg := config.Default()
	cfg.Sinks.PCAP = nil
	cfg.Sessions.File = filepath.Join(t.TempDir(), "sessions.yaml")
	if err := os.WriteFile(cfg.Sessions.File, []byte("sessions: [{name: quiet, vni: 77}]"), 0o644); err != nil {
		t.Fatal(err)
	}
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
// whatever the number of workers: with room for all flows, with so little that
// most records are of evicted ones, and if it ends when the records of the
// interval before are still being written.
func TestFlowLogsDoNotDependOnWorkers(t *testing.T) {
	for _, c := range []struct {
		format string
		table  int
		takes  time.Duration
	}{
		{"text", 10_000, 70 * time.Second},
		{"json", 10_000, 70 * time.Second},
		{"json", 128, 70 * time.Second},
		{"text", 10_000, 41 * time.Second},
	} {
		t.Run(fmt.Sprint(c.format, "/", c.table, "/", c.takes), func(t *testing.T) {
			file := conversations(t, 300, c.takes)
			var first map[string]string
			var firstReport string
			for _, workers := range []int{1, 2, 3, 8, packet.Shards + 1} {
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
	l, _ := replayFlows(t, conversations(t, 200, 70*time.Second), dir, "json", 2, 10_000)
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

// A worker that waits for room for a record keeps no other one from its frames.
// Here one worker's frames of a batch are more than the pcap sink has room for,
// 59 where 58 fit, while the others write the records of an interval that the
// same batch ends.
func TestReplayIntoSmallBuffersEnds(t *testing.T) {
	const batch = 256
	b := traffic.AppendPcapHeader(nil, traffic.LinkEthernet)
	many := traffic.NewFrames(traffic.FramesConfig{Flows: 100 * batch, Size: traffic.MinSize})
	for range 100 * batch {
		b = appendMirrored(b, 0, 1, many.Next())
	}
	long := traffic.NewFrames(traffic.FramesConfig{Flows: 1, Size: 8842})
	for range batch {
		b = appendMirrored(b, 10*time.Minute, 1, long.Next())
	}
	cfg := config.Default()
	cfg.Capture.Workers = 8
	cfg.Sinks.PCAP.Dir, cfg.Sinks.PCAP.Buffer = filepath.Join(t.TempDir(), "captures"), 4*config.MiB
	log := config.DefaultFlowLog()
	log.Dir, log.Buffer = filepath.Join(t.TempDir(), "flows"), config.MiB
	cfg.Sinks.FlowLog = &log
	r, err := NewReplay(cfg, ReplayConfig{Paths: []string{writeCapture(t, b)}, BareVNI: -1}, discard)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(r.Run(t.Context()), r.Close(t.Context())); err != nil {
		t.Fatal(err)
	}
	if l := r.Ledger(); !l.Balanced || l.Sinks["pcap"].Stored != 101*batch || l.Sinks["flowlog"].Stored < 100*batch {
		t.Errorf("%+v", l)
	}
}
