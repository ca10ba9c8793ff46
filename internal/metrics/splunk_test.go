package metrics

import (
	"maps"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/periscope-collector/periscope/sink/splunk"
	"github.com/periscope-collector/periscope/sink/splunk/hec"
	"github.com/periscope-collector/periscope/sink/spool"
)

// splunkFromStart are series with label values that are not those of what
// started returns.
var splunkFromStart = []string{
	`periscope_splunk_requests_total{code="0",endpoint="https://b:8088",http="200"}`,
	`periscope_splunk_endpoint_hold{endpoint="https://a:8088",reason="backoff"}`,
	`periscope_splunk_endpoint_hold{endpoint="https://a:8088",reason="breaker"}`,
	`periscope_splunk_endpoint_hold{endpoint="https://a:8088",reason="token"}`,
	`periscope_splunk_endpoint_hold{endpoint="https://b:8088",reason="config"}`,
	`periscope_splunk_lane_hold{lane="ledger@ops",reason="index"}`,
	`periscope_splunk_lane_hold{lane="ledger@ops",reason="refused"}`,
	`periscope_splunk_lane_hold{lane="flow",reason="spool"}`,
	`periscope_splunk_events_total{lane="flow",result="delivered"}`,
	`periscope_splunk_events_total{lane="flow",result="refused"}`,
	`periscope_splunk_token_reads_total{result="changed"}`,
	`periscope_splunk_token_reads_total{result="failed"}`,
}

// TestSplunkValues holds the value of every series of a snapshot in which no two
// counts are the same.
func TestSplunkValues(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got := scrape(t, Snapshot{Splunk: &splunk.Stats{
			HEC: hec.Stats{
				Endpoints: []hec.EndpointStats{{
					URL: "https://a:8088", Up: true, InFlight: 101, Limit: 102, Seconds: 103.5, WireBytes: 104, RawBytes: 105,
					Requests:    map[hec.Answer]uint64{{HTTP: 200, Code: 0}: 106, {HTTP: 0, Code: -1}: 107, {HTTP: 400, Code: hec.OtherCode}: 108, {HTTP: 503, Code: 9}: 109},
					LastSuccess: time.Unix(110, 500_000_000), AcksPending: 111, AckSeconds: 112, Acks: 113, AckTimeouts: 114, AckDowngrades: 115, DupRisk: 116,
				}, {
					URL: "https://b:8088", Hold: "token",
				}},
				TokenReloads: 117, TokenFailures: 118,
			},
			Lanes: []splunk.LaneStats{{
				Name: "flow@net", Stored: 119, Refused: 120, Held: "index",
				Spool: spool.Stats{Bytes: 121, Pending: 122, Oldest: time.Now().Add(-123 * time.Second), Syncs: 124, SyncErrors: 125, SyncTime: 126 * time.Second, CutBytes: 127},
			}, {
				Name: "ledger", Spool: spool.Stats{Oldest: time.Now().Add(time.Second)}, // the clock was set back
			}},
			Size: 128, Unkept: 129,
		}})
		maps.DeleteFunc(got, func(name string, value float64) bool {
			return value == 0 || !strings.HasPrefix(name, "periscope_splunk_")
		})
		const a, flow = `{endpoint="https://a:8088"}`, `{lane="flow@net"}`
		want := map[string]float64{
			`periscope_splunk_endpoint_up` + a:                                                   1,
			`periscope_splunk_requests_in_flight` + a:                                            101,
			`periscope_splunk_requests_limit` + a:                                                102,
			`periscope_splunk_request_seconds_total` + a:                                         103.5,
			`periscope_splunk_wire_bytes_total` + a:                                              104,
			`periscope_splunk_raw_bytes_total` + a:                                               105,
			`periscope_splunk_requests_total{code="0",endpoint="https://a:8088",http="200"}`:     106,
			`periscope_splunk_requests_total{code="none",endpoint="https://a:8088",http="none"}`: 107,
			`periscope_splunk_requests_total{code="other",endpoint="https://a:8088",http="400"}`: 108,
			`periscope_splunk_requests_total{code="9",endpoint="https://a:8088",http="503"}`:     109,
			`periscope_splunk_last_success_timestamp_seconds` + a:                                110.5,
			`periscope_splunk_acks_pending` + a:                                                  111,
			`periscope_splunk_ack_seconds_total` + a:                                             112,
			`periscope_splunk_acks_total` + a:                                                    113,
			`periscope_splunk_ack_timeouts_total` + a:                                            114,
			`periscope_splunk_ack_downgrades_total` + a:                                          115,
			`periscope_splunk_duplicate_risk_events_total` + a:                                   116,
			`periscope_splunk_endpoint_hold{endpoint="https://b:8088",reason="token"}`:           1,
			`periscope_splunk_token_reads_total{result="changed"}`:                               117,
			`periscope_splunk_token_reads_total{result="failed"}`:                                118,
			`periscope_splunk_events_total{lane="flow@net",result="delivered"}`:                  119,
			`periscope_splunk_events_total{lane="flow@net",result="refused"}`:                    120,
			`periscope_splunk_lane_hold{lane="flow@net",reason="index"}`:                         1,
			`periscope_splunk_spool_bytes` + flow:                                                121,
			`periscope_splunk_spool_events` + flow:                                               122,
			`periscope_splunk_spool_oldest_seconds` + flow:                                       123,
			`periscope_splunk_spool_syncs_total` + flow:                                          124,
			`periscope_splunk_spool_sync_errors_total` + flow:                                    125,
			`periscope_splunk_spool_sync_seconds_total` + flow:                                   126,
			`periscope_splunk_spool_cut_bytes_total` + flow:                                      127,
			`periscope_splunk_spool_limit_bytes`:                                                 128,
			`periscope_splunk_unkept_events_total`:                                               129,
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
	})
}
