package metrics

import (
	"strconv"
	"time"

	"github.com/periscope-collector/periscope/sink/splunk"
	"github.com/periscope-collector/periscope/sink/splunk/hec"
)

// splunkRows are the metrics of the splunk sink. An endpoint is its URL, which
// holds no secret; there are at most 16. A lane is a type of record and an index,
// as configured or as found on disk at start.
var splunkRows = []metric{
	{"periscope_splunk_requests_total", counter, []string{"endpoint", "http", "code"},
		"Requests to an endpoint that are over, by status and code of the answer.", "Grows for 200 and 0 alone.",
		eachAnswer},
	{"periscope_splunk_request_seconds_total", counter, []string{"endpoint"},
		"Time that those requests took, together.", "Tenths of a second for each.",
		eachEndpoint(func(e *hec.EndpointStats) float64 { return e.Seconds })},
	{"periscope_splunk_wire_bytes_total", counter, []string{"endpoint"},
		"Bytes of their bodies as sent, compressed.", "",
		eachEndpoint(func(e *hec.EndpointStats) float64 { return float64(e.WireBytes) })},
	{"periscope_splunk_raw_bytes_total", counter, []string{"endpoint"},
		"Bytes of their bodies before compression.", "",
		eachEndpoint(func(e *hec.EndpointStats) float64 { return float64(e.RawBytes) })},
	{"periscope_splunk_requests_in_flight", gauge, []string{"endpoint"},
		"Requests that are out.", "Mostly below the limit.",
		eachEndpoint(func(e *hec.EndpointStats) float64 { return float64(e.InFlight) })},
	{"periscope_splunk_requests_limit", gauge, []string{"endpoint"},
		"How many requests may be out, as the endpoint's answers allow; 1 to 8.", "",
		eachEndpoint(func(e *hec.EndpointStats) float64 { return float64(e.Limit) })},
	{"periscope_splunk_endpoint_up", gauge, []string{"endpoint"},
		"1 while an endpoint may be asked, 0 while it is on hold.", "1.",
		eachEndpoint(func(e *hec.EndpointStats) float64 { return float(e.Up) })},
	{"periscope_splunk_endpoint_hold", gauge, []string{"endpoint", "reason"},
		"1 while an endpoint is on hold for this reason.", "0.",
		func(s *Snapshot, emit emit) {
			for _, e := range endpoints(s) {
				for _, why := range endpointHolds {
					emit(float(e.Hold == why), e.URL, why)
				}
			}
		}},
	{"periscope_splunk_last_success_timestamp_seconds", gauge, []string{"endpoint"},
		"When an endpoint last took events, in seconds since 1970 UTC; 0 for never.", "Seconds ago.",
		eachEndpoint(func(e *hec.EndpointStats) float64 { return seconds(e.LastSuccess) })},
	{"periscope_splunk_duplicate_risk_events_total", counter, []string{"endpoint"},
		"Events sent again that may be there already, since an answer was lost.", "Near 0; the copies have the same event_uid.",
		eachEndpoint(func(e *hec.EndpointStats) float64 { return float64(e.DupRisk) })},
	{"periscope_splunk_acks_total", counter, []string{"endpoint"},
		"Requests that were acknowledged as indexed.", "",
		eachEndpoint(func(e *hec.EndpointStats) float64 { return float64(e.Acks) })},
	{"periscope_splunk_ack_seconds_total", counter, []string{"endpoint"},
		"Time from being taken to being acknowledged, of those requests together.", "Up to two minutes for each.",
		eachEndpoint(func(e *hec.EndpointStats) float64 { return e.AckSeconds })},
	{"periscope_splunk_acks_pending", gauge, []string{"endpoint"},
		"Requests that wait for their acknowledgement; at 10,000 the endpoint takes no more.", "Far below 10,000.",
		eachEndpoint(func(e *hec.EndpointStats) float64 { return float64(e.AcksPending) })},
	{"periscope_splunk_ack_timeouts_total", counter, []string{"endpoint"},
		"Requests sent again since no acknowledgement came in 5 minutes.", stays0,
		eachEndpoint(func(e *hec.EndpointStats) float64 { return float64(e.AckTimeouts) })},
	{"periscope_splunk_ack_downgrades_total", counter, []string{"endpoint"},
		"1 once an endpoint promised acknowledgements and gave none, so that they are not awaited any more.", stays0,
		eachEndpoint(func(e *hec.EndpointStats) float64 { return float64(e.AckDowngrades) })},

	{"periscope_splunk_token_reads_total", counter, []string{"result"},
		"Reads of the token file that brought other tokens, or failed.", "Stays 0 for failed.",
		func(s *Snapshot, emit emit) {
			if s.Splunk != nil {
				emit(float64(s.Splunk.HEC.TokenReloads), "changed")
				emit(float64(s.Splunk.HEC.TokenFailures), "failed")
			}
		}},

	{"periscope_splunk_events_total", counter, []string{"lane", "result"},
		"Events of a lane that came to their end at Splunk: delivered, or refused for good.", "Stays 0 for refused.",
		func(s *Snapshot, emit emit) {
			for _, l := range lanes(s) {
				emit(float64(l.Stored), l.Name, "delivered")
				emit(float64(l.Refused), l.Name, "refused")
			}
		}},
	{"periscope_splunk_unkept_events_total", counter, nil,
		"Refused events that could not be put aside in quarantine.jsonl, and are gone.", stays0,
		ofSplunk(func(s *splunk.Stats) float64 { return float64(s.Unkept) })},
	{"periscope_splunk_lane_hold", gauge, []string{"lane", "reason"},
		"1 while nothing of a lane is sent, for this reason.", "0.",
		func(s *Snapshot, emit emit) {
			for _, l := range lanes(s) {
				for _, why := range laneHolds {
					emit(float(l.Held == why), l.Name, why)
				}
			}
		}},
	{"periscope_splunk_spool_events", gauge, []string{"lane"},
		"Events in the spool that are not delivered.", "What a second or two bring; more while acknowledgements are awaited.",
		eachLane(func(l *splunk.LaneStats) float64 { return float64(l.Spool.Pending) })},
	{"periscope_splunk_spool_bytes", gauge, []string{"lane"},
		"Bytes of a lane's spool.", "Far below the limit.",
		eachLane(func(l *splunk.LaneStats) float64 { return float64(l.Spool.Bytes) })},
	{"periscope_splunk_spool_limit_bytes", gauge, nil,
		"The most bytes that the spools of all lanes take together.", "sinks.splunk.spool.size.",
		ofSplunk(func(s *splunk.Stats) float64 { return float64(s.Size) })},
	{"periscope_splunk_spool_oldest_seconds", gauge, []string{"lane"},
		"Age of the oldest event that is not delivered; 0 if there is none.", "Seconds; minutes while acknowledgements are awaited.",
		eachLane(func(l *splunk.LaneStats) float64 {
			if l.Spool.Oldest.IsZero() {
				return 0
			}
			return max(time.Since(l.Spool.Oldest).Seconds(), 0)
		})},
	{"periscope_splunk_spool_syncs_total", counter, []string{"lane"},
		"Times that a spool was synced to the disk.", "At most 5 a second, and one for each MiB.",
		eachLane(func(l *splunk.LaneStats) float64 { return float64(l.Spool.Syncs) })},
	{"periscope_splunk_spool_sync_seconds_total", counter, []string{"lane"},
		"Time that those took, together.", "Hundredths of a second for each.",
		eachLane(func(l *splunk.LaneStats) float64 { return l.Spool.SyncTime.Seconds() })},
	{"periscope_splunk_spool_sync_errors_total", counter, []string{"lane"},
		"Syncs that failed.", stays0,
		eachLane(func(l *splunk.LaneStats) float64 { return float64(l.Spool.SyncErrors) })},
	{"periscope_splunk_spool_cut_bytes_total", counter, []string{"lane"},
		"Bytes of incomplete or corrupt ends of the spool, cut off at start.", "Part of one event after a crash.",
		eachLane(func(l *splunk.LaneStats) float64 { return float64(l.Spool.CutBytes) })},
}

// Why endpoints and lanes are on hold.
var (
	endpointHolds = []string{"backoff", "breaker", "token", "config"}
	laneHolds     = []string{"index", "refused", "spool"}
)

// endpoints returns those of the splunk sink, none when it is off.
func endpoints(s *Snapshot) []hec.EndpointStats {
	if s.Splunk == nil {
		return nil
	}
	return s.Splunk.HEC.Endpoints
}

// lanes returns those of the splunk sink, none when it is off.
func lanes(s *Snapshot) []splunk.LaneStats {
	if s.Splunk == nil {
		return nil
	}
	return s.Splunk.Lanes
}

// ofSplunk emits a single value while the splunk sink is on.
func ofSplunk(value func(s *splunk.Stats) float64) func(*Snapshot, emit) {
	return func(s *Snapshot, emit emit) {
		if s.Splunk != nil {
			emit(value(s.Splunk))
		}
	}
}

// eachEndpoint emits one value for each endpoint.
func eachEndpoint(value func(e *hec.EndpointStats) float64) func(*Snapshot, emit) {
	return func(s *Snapshot, emit emit) {
		for _, e := range endpoints(s) {
			emit(value(&e), e.URL)
		}
	}
}

// eachLane emits one value for each lane.
func eachLane(value func(l *splunk.LaneStats) float64) func(*Snapshot, emit) {
	return func(s *Snapshot, emit emit) {
		for _, l := range lanes(s) {
			emit(value(&l), l.Name)
		}
	}
}

// success is the answer that every endpoint has a series of from the start.
var success = hec.Answer{HTTP: 200, Code: 0}

func eachAnswer(s *Snapshot, emit emit) {
	for _, e := range endpoints(s) {
		emit(float64(e.Requests[success]), e.URL, "200", "0")
		for a, n := range e.Requests {
			if a != success {
				emit(float64(n), e.URL, orNone(a.HTTP, 0), orNone(a.Code, -1))
			}
		}
	}
}

// orNone is how a status or code is shown.
func orNone(n, none int) string {
	switch n {
	case none:
		return "none"
	case hec.OtherCode:
		return "other"
	}
	return strconv.Itoa(n)
}

// seconds is t in seconds since 1970, 0 for the zero time.
func seconds(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixNano()) / 1e9
}
