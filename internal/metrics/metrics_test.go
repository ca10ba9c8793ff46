package metrics

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"

	"github.com/periscope-collector/periscope/capture"
	"github.com/periscope-collector/periscope/internal/discovery"
	"github.com/periscope-collector/periscope/internal/nic"
	"github.com/periscope-collector/periscope/internal/pipeline"
	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/sink/flowlog"
	"github.com/periscope-collector/periscope/sink/pcap"
	"github.com/periscope-collector/periscope/sink/splunk"
	"github.com/periscope-collector/periscope/sink/splunk/hec"
)

// scrape returns every series as name{label="value",...}, and its value, of a
// collector's first scrape.
func scrape(t *testing.T, s Snapshot) map[string]float64 {
	t.Helper()
	return collect(t, newCollector(func() Snapshot { return s }))
}

func collect(t *testing.T, c *collector) map[string]float64 {
	t.Helper()
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(c)
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	series := make(map[string]float64)
	for _, family := range families {
		for _, m := range family.Metric {
			var labels []string
			for _, l := range m.Label {
				labels = append(labels, fmt.Sprintf("%s=%q", l.GetName(), l.GetValue()))
			}
			name := family.GetName()
			if labels != nil {
				name += "{" + strings.Join(labels, ",") + "}"
			}
			series[name] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return series
}

// started is what a collector shows that has just started.
func started() Snapshot {
	return Snapshot{
		Ledger: pipeline.Ledger{
			Sinks:   map[string]pipeline.SinkLedger{"pcap": {}, "flowlog": {}},
			Flows:   new(pipeline.FlowLedger),
			Workers: make([]uint64, 2),
		},
		Announcements: map[string]uint64{"heard": 0, "malformed": 0},

		Groups: []capture.Group{{Address: netip.MustParseAddrPort("[::]:4789")}},
		PCAP:   new(pcap.Stats),

		FlowLog: new(flowlog.Stats),
		Discovery: &pipeline.Discovery{
			Scopes: []pipeline.Scope{{Region: "eu-central-1"}, {Region: "eu-central-1"}, {Region: "us-east-1"}},
			Calls:  map[string]uint64{"DescribeInstances": 0}, Errors: map[string]uint64{"denied": 0, "other": 0},
			Skipped: map[string]int{"odd": 0}, Changes: &pipeline.Changes{LeftOut: map[string]uint64{"damaged": 0}},
		},
		Splunk: &splunk.Stats{
			HEC:   hec.Stats{Endpoints: []hec.EndpointStats{{URL: "https://a:8088"}, {URL: "https://b:8088"}}},
			Lanes: []splunk.LaneStats{{Name: "flow"}, {Name: "ledger@ops"}},
		},
	}
}

// TestFromStart says that every series but those of sessions is there, at 0,
// before the first packet.
func TestFromStart(t *testing.T) {
	got := scrape(t, started())
	var want []string
	add := func(name, label string, values ...string) {
		for _, v := range values {
			want = append(want, fmt.Sprintf("%s{%s=%q}", name, label, v))
		}
	}
	for r := packet.None + 1; r < packet.NumReasons; r++ {
		add("periscope_not_delivered_packets_total", "reason", r.String())
	}
	for a := packet.NoAnomaly + 1; a < packet.NumAnomalies; a++ {
		add("periscope_anomalies_packets_total", "kind", a.String())
	}
	for d := range packet.NumDrops {
		want = append(want, fmt.Sprintf("periscope_sink_dropped_total{reason=%q,sink=\"pcap\"}", d))
	}
	for r := range packet.NumFlowReasons {
		add("periscope_flow_records_total", "reason", r.String())
	}
	for c := range packet.NumClasses {
		add("periscope_flow_class_packets_total", "class", c.String())
	}
	add("periscope_flowlog_status_lines_total", "status", "NODATA", "SKIPDATA")
	add("periscope_lost_packets_total", "where", "socket", "ring", "nic")
	for _, name := range nic.Names() {
		want = append(want, fmt.Sprintf("periscope_nic_lost_packets_total{counter=%q,interface=\"\"}", name))
	}
	add("periscope_worker_packets_total", "worker", "0", "1")
	add("periscope_announcements_total", "outcome", "heard", "malformed")
	add("periscope_sessions", "known", "true", "false")
	for _, name := range []string{"up", "last_success_timestamp_seconds", "sessions"} {
		for _, region := range []string{"eu-central-1", "us-east-1"} {
			want = append(want, fmt.Sprintf("periscope_discovery_%s{account=\"\",region=%q}", name, region))
		}
	}
	add("periscope_discovery_calls_total", "operation", "DescribeInstances")
	add("periscope_discovery_errors_total", "kind", "denied", "other")
	add("periscope_discovery_skipped_sessions", "reason", "odd")
	add("periscope_changes_left_out_total", "reason", "damaged")
	add("periscope_mirror_refused_interfaces", "code", "other")
	add("periscope_pcap_rotations_total", "cause", "size", "time", "packets", "end")
	add("periscope_pcap_write_errors_total", "reason", "disk_full", "io_error")
	add("periscope_pcap_removed_files_total", "cause", "size", "age", "free")
	add("periscope_pcap_removed_bytes_total", "cause", "size", "age", "free")
	want = append(want, splunkFromStart...)
	for _, name := range want {
		if _, ok := got[name]; !ok {
			t.Errorf("no series %s", name)
		}
	}
	for _, m := range table {
		found := slices.ContainsFunc(slices.Collect(maps.Keys(got)), func(series string) bool {
			return series == m.name || strings.HasPrefix(series, m.name+"{")
		})
		if ofSession := slices.Contains(m.labels, "session"); found == ofSession {
			t.Errorf("%s: there from the start: %v", m.name, found)
		}
	}
	for _, name := range []string{`periscope_build_info{version=""}`, `periscope_backend_info{backend="",interface=""}`, "periscope_session_file_in_force", "periscope_journal_up", "periscope_changes_up"} {
		if got[name] != 1 {
			t.Errorf("%s is %v, want 1", name, got[name])
		}
		delete(got, name)
	}
	for name, value := range got {
		if value != 0 {
			t.Errorf("%s is %v", name, value)
		}
	}
}

// TestSinkOff says that a sink that is off has no series.
func TestSinkOff(t *testing.T) {
	for name := range scrape(t, Snapshot{}) {
		if strings.HasPrefix(name, "periscope_pcap_") || strings.HasPrefix(name, "periscope_splunk_") || strings.HasPrefix(name, "periscope_sink_") ||
			strings.HasPrefix(name, "periscope_discovery_") || strings.HasPrefix(name, "periscope_journal_") || strings.HasPrefix(name, "periscope_announcements_") {
			t.Errorf("there is %s", name)
		}
	}
}

// TestLint holds names, types and help texts to Prometheus's conventions, in
// what NewRegistry serves: with the metrics of process and runtime.
func TestLint(t *testing.T) {
	s := started()
	s.Ledger.Sessions = []pipeline.SessionLedger{{Name: "web", VNI: 7, ID: 1, Known: true}}
	families, err := NewRegistry(func() Snapshot { return s }).Gather()
	if err != nil {
		t.Fatal(err)
	}
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if strings.HasPrefix(p.Metric, "periscope_") {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
	for _, name := range []string{"go_goroutines", "process_open_fds"} {
		if !slices.ContainsFunc(families, func(f *dto.MetricFamily) bool { return f.GetName() == name }) {
			t.Errorf("no %s", name)
		}
	}
	for _, m := range table {
		if !strings.HasPrefix(m.name, "periscope_") {
			t.Errorf("%s does not begin with periscope_", m.name)
		}
		for _, text := range []string{m.help, m.normal} {
			if text != "" && (!strings.HasSuffix(text, ".") || strings.ContainsAny(text, "|\n")) {
				t.Errorf("%s: %q is not a sentence that fits the page", m.name, text)
			}
		}
	}
}

// TestValues holds the value of every series of a snapshot in which no two
// counts are the same.
func TestValues(t *testing.T) {
	got := scrape(t, Snapshot{
		Now:     time.Unix(130, 600_000_000),
		Version: "1.2.3",
		Ready:   true,

		SessionFile: errors.New("sessions.yaml:2:17: a mistake"),
		Ledger: pipeline.Ledger{
			Received:     pipeline.Volume{Packets: 101, Bytes: 102},
			Delivered:    pipeline.Volume{Packets: 103, Bytes: 104},
			NotDelivered: map[string]uint64{"vxlan_flag": 105, "panic": 106},
			InFlight:     107,
			Lost:         pipeline.Lost{Socket: 108, Ring: 109, NIC: 110},
			Truncated:    111,
			Cut:          169,
			Late:         112,
			Reserved:     113,
			Anomalies:    map[string]uint64{"sctp_short": 114},
			Imbalance:    115,
			Workers:      []uint64{116, 117},
			Sinks: map[string]pipeline.SinkLedger{
				"pcap": {Offered: 118, Stored: 119, Pending: 120, Dropped: map[string]uint64{"disk_full": 121}, Late: 122},
			},
			Sessions: []pipeline.SessionLedger{
				{Name: "web", VNI: 7, ID: 1, Known: true, Packets: 123, Bytes: 124, Ingress: 125, Egress: 126,
					Undirected: 127, Truncated: 128, NotDelivered: 129, Mismatched: 162, LastSeen: 130_500_000_000},
				{Name: "vni-8", VNI: 8, ID: 2},
				{Name: "mail", VNI: 9, ID: 3, Known: true, Since: -469_400_000_000}, // 10 minutes ago
				{Name: "db", VNI: 10, ID: 4, Known: true, Since: -469_399_999_999},
			},
		},
		Groups: []capture.Group{
			{Address: netip.MustParseAddrPort("[::]:4789"), Asked: 131, Granted: 132, Steered: true},
			{Address: netip.MustParseAddrPort("[::]:6081"), Granted: 133},
		},
		PCAP: &pcap.Stats{
			Late: 134, FilesCompleted: 135, FilesIncomplete: 136, FilesOpen: 137, FilesCompleting: 139,
			Rotations:    [pcap.NumCauses]uint64{pcap.BySize: 140, pcap.ByTime: 141, pcap.ByPackets: 142, pcap.ByEnd: 143},
			BytesWritten: 144, BufferBytes: 145, BufferLimitBytes: 146, Failing: 147, RetainedFiles: 148, RetainedBytes: 149,
			WriteErrors:  [packet.NumDrops]uint64{packet.DropDiskFull: 150, packet.DropIO: 151},
			RemovedFiles: [pcap.NumCauses]uint64{pcap.BySize: 152, pcap.ByAge: 153, pcap.ByFree: 154},
			RemovedBytes: [pcap.NumCauses]uint64{pcap.BySize: 155, pcap.ByAge: 156, pcap.ByFree: 157},
		},
		RetainedSeconds: 158,

		Backend: "afpacket", Interface: "ens5", Skew: 1.59,
		NIC: nic.Loss{Packets: 160, Counters: map[string]uint64{"rx_drops": 161}},

		Discovery: &pipeline.Discovery{
			Scopes: []pipeline.Scope{
				{Account: "111122223333", Region: "eu-central-1", Sessions: 163, LastSuccess: time.Unix(164, 0)},
				{Account: "111122223333", Region: "us-east-1", LastSuccess: time.Unix(165, 0), StaleSince: time.Unix(165, 0)},
				{Region: "us-east-1"},
			},
			Calls:        map[string]uint64{"DescribeInstances": 166},
			Errors:       map[string]uint64{"denied": 167},
			JournalBytes: 168,
			Skipped:      map[string]int{"no_vni": 170},
			Changes:      &pipeline.Changes{Read: 171, LeftOut: map[string]uint64{"damaged": 172}, StaleSince: time.Unix(165, 0)},
			Refused:      []discovery.Refusal{{Code: "UnsupportedOperation"}, {Code: "UnsupportedOperation"}},
		},
	})
	maps.DeleteFunc(got, func(_ string, value float64) bool { return value == 0 })
	want := map[string]float64{
		`periscope_build_info{version="1.2.3"}`:                                      1,
		`periscope_ready`:                                                            1,
		`periscope_session_file_in_force`:                                            0,
		`periscope_received_packets_total`:                                           101,
		`periscope_received_bytes_total`:                                             102,
		`periscope_delivered_packets_total`:                                          103,
		`periscope_delivered_bytes_total`:                                            104,
		`periscope_not_delivered_packets_total{reason="vxlan_flag"}`:                 105,
		`periscope_not_delivered_packets_total{reason="panic"}`:                      106,
		`periscope_in_flight_packets`:                                                107,
		`periscope_lost_packets_total{where="socket"}`:                               108,
		`periscope_lost_packets_total{where="ring"}`:                                 109,
		`periscope_lost_packets_total{where="nic"}`:                                  110,
		`periscope_truncated_packets_total`:                                          111,
		`periscope_cut_packets_total`:                                                169,
		`periscope_late_packets_total`:                                               112,
		`periscope_reserved_packets_total`:                                           113,
		`periscope_anomalies_packets_total{kind="sctp_short"}`:                       114,
		`periscope_ledger_imbalance_packets`:                                         115,
		`periscope_worker_skew_ratio`:                                                1.59,
		`periscope_backend_info{backend="afpacket",interface="ens5"}`:                1,
		`periscope_nic_lost_packets_total{counter="rx_drops",interface="ens5"}`:      161,
		`periscope_worker_packets_total{worker="0"}`:                                 116,
		`periscope_worker_packets_total{worker="1"}`:                                 117,
		`periscope_sink_offered_total{sink="pcap"}`:                                  118,
		`periscope_sink_stored_total{sink="pcap"}`:                                   119,
		`periscope_sink_pending{sink="pcap"}`:                                        120,
		`periscope_sink_dropped_total{reason="disk_full",sink="pcap"}`:               121,
		`periscope_sessions{known="true"}`:                                           3,
		`periscope_sessions{known="false"}`:                                          1,
		`periscope_sessions_silent`:                                                  1,
		`periscope_session_source_mismatch_packets_total{session="web",vni="7"}`:     162,
		`periscope_session_bytes_total{session="web",vni="7"}`:                       124,
		`periscope_session_packets_total{direction="ingress",session="web",vni="7"}`: 125,
		`periscope_session_packets_total{direction="egress",session="web",vni="7"}`:  126,
		`periscope_session_packets_total{direction="unknown",session="web",vni="7"}`: 127,
		`periscope_session_truncated_packets_total{session="web",vni="7"}`:           128,
		`periscope_session_not_delivered_packets_total{session="web",vni="7"}`:       129,
		`periscope_session_last_seen_timestamp_seconds{session="web",vni="7"}`:       130.5,
		`periscope_socket_receive_buffer_bytes{address="[::]:4789"}`:                 132,
		`periscope_socket_receive_buffer_bytes{address="[::]:6081"}`:                 133,
		`periscope_socket_steered{address="[::]:4789"}`:                              1,
		`periscope_pcap_files_completed_total`:                                       135,
		`periscope_pcap_files_incomplete_total`:                                      136,
		`periscope_pcap_files_open`:                                                  137,
		`periscope_pcap_files_completing`:                                            139,
		`periscope_pcap_rotations_total{cause="size"}`:                               140,
		`periscope_pcap_rotations_total{cause="time"}`:                               141,
		`periscope_pcap_rotations_total{cause="packets"}`:                            142,
		`periscope_pcap_rotations_total{cause="end"}`:                                143,
		`periscope_pcap_written_bytes_total`:                                         144,
		`periscope_pcap_buffer_bytes`:                                                145,
		`periscope_pcap_buffer_limit_bytes`:                                          146,
		`periscope_pcap_failing_sessions`:                                            147,
		`periscope_pcap_retained_files`:                                              148,
		`periscope_pcap_retained_bytes`:                                              149,
		`periscope_pcap_write_errors_total{reason="disk_full"}`:                      150,
		`periscope_pcap_write_errors_total{reason="io_error"}`:                       151,
		`periscope_pcap_removed_files_total{cause="size"}`:                           152,
		`periscope_pcap_removed_files_total{cause="age"}`:                            153,
		`periscope_pcap_removed_files_total{cause="free"}`:                           154,
		`periscope_pcap_removed_bytes_total{cause="size"}`:                           155,
		`periscope_pcap_removed_bytes_total{cause="age"}`:                            156,
		`periscope_pcap_removed_bytes_total{cause="free"}`:                           157,
		`periscope_pcap_retained_seconds`:                                            158,

		`periscope_discovery_up{account="111122223333",region="eu-central-1"}`:                             1,
		`periscope_discovery_sessions{account="111122223333",region="eu-central-1"}`:                       163,
		`periscope_discovery_last_success_timestamp_seconds{account="111122223333",region="eu-central-1"}`: 164,
		`periscope_discovery_last_success_timestamp_seconds{account="111122223333",region="us-east-1"}`:    165,
		`periscope_discovery_calls_total{operation="DescribeInstances"}`:                                   166,
		`periscope_discovery_skipped_sessions{reason="no_vni"}`:                                            170,
		`periscope_changes_read_total`:                                                                     171,
		`periscope_changes_left_out_total{reason="damaged"}`:                                               172,
		`periscope_mirror_refused_interfaces{code="UnsupportedOperation"}`:                                 2,
		`periscope_discovery_errors_total{kind="denied"}`:                                                  167,
		`periscope_journal_bytes`:                                                                          168,
		`periscope_journal_up`:                                                                             1,
	}
	for name, value := range want {
		if got[name] != value {
			t.Errorf("%s is %v, want %v", name, got[name], value)
		}
		delete(got, name)
	}
	for name, value := range got {
		t.Errorf("unexpected: %s is %v", name, value)
	}
}
