package metrics

import (
	"slices"
	"strconv"

	"github.com/periscope-collector/periscope/capture"
	"github.com/periscope-collector/periscope/flow"
	"github.com/periscope-collector/periscope/internal/nic"
	"github.com/periscope-collector/periscope/internal/pipeline"
	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/sink/flowlog"
	"github.com/periscope-collector/periscope/sink/pcap"
)

const stays0 = "Stays 0."

// table is every metric of the collector, in the order of docs/metrics.md.
var table = slices.Concat(rows, discoveryRows, announcementRows, splunkRows)

var rows = []metric{
	{"periscope_build_info", gauge, []string{"version"},
		"Constant 1, with the version of the program.", "",
		func(s *Snapshot, emit emit) { emit(1, s.Version) }},
	{"periscope_ready", gauge, nil,
		"1 if traffic should come here, 0 before and after that, and while a worker or the writer of captures is stuck.", "1.",
		one(func(s *Snapshot) float64 { return float(s.Ready) })},

	{"periscope_received_packets_total", counter, nil,
		"Datagrams taken from sockets and rings.", "Grows with the traffic.",
		one(func(s *Snapshot) float64 { return float64(s.Ledger.Received.Packets) })},
	{"periscope_received_bytes_total", counter, nil,
		"Real lengths of the frames received; of the UDP payload where no frame was found.", "",
		one(func(s *Snapshot) float64 { return float64(s.Ledger.Received.Bytes) })},
	{"periscope_delivered_packets_total", counter, nil,
		"Frames that reached the end of the path and were offered to every sink.", "As many as received.",
		one(func(s *Snapshot) float64 { return float64(s.Ledger.Delivered.Packets) })},
	{"periscope_delivered_bytes_total", counter, nil,
		"Real lengths of the frames delivered.", "",
		one(func(s *Snapshot) float64 { return float64(s.Ledger.Delivered.Bytes) })},
	{"periscope_not_delivered_packets_total", counter, []string{"reason"},
		"Frames not delivered, by reason.", "Stays 0 for queue_full and panic, and for the others unless someone sends what is not mirrored traffic.",
		eachReason},
	{"periscope_in_flight_packets", gauge, nil,
		"Frames in batches that are being processed.", "At most 64 a worker.",
		one(func(s *Snapshot) float64 { return float64(s.Ledger.InFlight) })},
	{"periscope_ledger_imbalance_packets", gauge, nil,
		"By how many frames the account does not balance.", "0, always; anything else is a bug.",
		one(func(s *Snapshot) float64 { return float64(s.Ledger.Imbalance) })},
	{"periscope_lost_packets_total", counter, []string{"where"},
		"Datagrams lost before they reached the program, as the kernel counts them.", stays0,
		func(s *Snapshot, emit emit) {
			emit(float64(s.Ledger.Lost.Socket), "socket")
			emit(float64(s.Ledger.Lost.Ring), "ring")
			emit(float64(s.Ledger.Lost.NIC), "nic")
		}},

	{"periscope_truncated_packets_total", counter, nil,
		"Frames delivered of which bytes are missing: cut by an MTU on the way, or by the session's packet length.", "Stays 0 unless sessions have a packet length.",
		one(func(s *Snapshot) float64 { return float64(s.Ledger.Truncated) })},
	{"periscope_cut_packets_total", counter, nil,
		"Frames delivered of which sinks were offered the headers alone, since keep says so.", "Stays 0 unless keep has headers.",
		one(func(s *Snapshot) float64 { return float64(s.Ledger.Cut) })},
	{"periscope_late_packets_total", counter, nil,
		"Frames that came to the writer more than 100 ms late, and so out of order.", "Stays near 0.",
		one(func(s *Snapshot) float64 { return float64(s.Ledger.Late) })},
	{"periscope_reserved_packets_total", counter, nil,
		"Frames delivered whose tunnel header had reserved bits set.", "Stays 0: AWS sets none.",
		one(func(s *Snapshot) float64 { return float64(s.Ledger.Reserved) })},
	{"periscope_anomalies_packets_total", counter, []string{"kind"},
		"Frames delivered that could not be decoded to the end, by what stopped it.", "A small part of the traffic.",
		eachAnomaly},

	{"periscope_worker_packets_total", counter, []string{"worker"},
		"Frames finished, by worker.", "Much alike, unless the traffic is few, fat flows.",
		func(s *Snapshot, emit emit) {
			for i, n := range s.Ledger.Workers {
				emit(float64(n), strconv.Itoa(i))
			}
		}},
	{"periscope_worker_skew_ratio", gauge, nil,
		"Frames of the busiest worker in 10 s against an equal share, looked at every 10 s: 1 is even, the number of workers is one for all, 0 is not looked at yet, or too few frames to tell.", "Below 1.5, unless the traffic is few, fat flows.",
		one(func(s *Snapshot) float64 { return s.Skew })},
	{"periscope_backend_info", gauge, []string{"backend", "interface"},
		"Constant 1, with how datagrams are taken, and the interface whose losses count; udp from when the interface of a ring is gone.", "",
		func(s *Snapshot, emit emit) { emit(1, s.Backend, s.Interface) }},
	{"periscope_nic_lost_packets_total", counter, []string{"interface", "counter"},
		"Packets of all kinds that the interface, or the host in front of it, counts as lost since the program started, by the name of the counter.", stays0,
		func(s *Snapshot, emit emit) {
			for _, name := range nic.Names() {
				emit(float64(s.NIC.Counters[name]), s.Interface, name)
			}
		}},
	{"periscope_socket_receive_buffer_bytes", gauge, []string{"address"},
		"Receive buffer that the kernel granted each socket on an address.", "At least capture.receive_buffer.",
		eachGroup(func(g capture.Group) float64 { return float64(g.Granted) })},
	{"periscope_socket_steered", gauge, []string{"address"},
		"1 if the kernel chooses the worker by the inner flow, 0 if by outer addresses and ports, or if there is one worker.", "1 with several workers.",
		eachGroup(func(g capture.Group) float64 { return float(g.Steered) })},

	{"periscope_sessions", gauge, []string{"known"},
		"Sessions that are not over, by whether the session file or AWS explains them.", "",
		func(s *Snapshot, emit emit) {
			emit(float64(s.known), "true")
			emit(float64(s.unknown), "false")
		}},
	{"periscope_sessions_silent", gauge, nil,
		"Known sessions of these without a frame in 10 minutes; one without any counts 10 minutes after it was learnt.", "0.",
		one(func(s *Snapshot) float64 { return float64(s.silent) })},
	{"periscope_session_file_in_force", gauge, nil,
		"1 while the sessions are as the session file says, or there is none; 0 while it is missing or has errors, and an earlier content is in force.", "1.",
		one(func(s *Snapshot) float64 { return float(s.SessionFile == nil) })},
	{"periscope_session_packets_total", counter, []string{"session", "vni", "direction"},
		"Frames delivered, by session and direction.", "",
		eachDirection},
	{"periscope_session_bytes_total", counter, []string{"session", "vni"},
		"Real lengths of the frames delivered, by session.", "",
		eachSession(func(l *session) float64 { return float64(l.Bytes) })},
	{"periscope_session_not_delivered_packets_total", counter, []string{"session", "vni"},
		"Frames of a session that were not delivered.", stays0,
		eachSession(func(l *session) float64 { return float64(l.NotDelivered) })},
	{"periscope_session_truncated_packets_total", counter, []string{"session", "vni"},
		"Frames of a session of which bytes are missing.", "Stays 0 unless the session has a packet length.",
		eachSession(func(l *session) float64 { return float64(l.Truncated) })},
	{"periscope_session_source_mismatch_packets_total", counter, []string{"session", "vni"},
		"Frames of a session from an address that its interface does not have, where the addresses are known.", stays0,
		eachSession(func(l *session) float64 { return float64(l.Mismatched) })},
	{"periscope_session_last_seen_timestamp_seconds", gauge, []string{"session", "vni"},
		"Time of a session's latest frame, in seconds since 1970 UTC; 0 if there was none.", "Seconds ago.",
		eachSession(func(l *session) float64 { return float64(l.LastSeen) / 1e9 })},

	{"periscope_session_tcp_bytes_total", counter, []string{"session", "vni"},
		"TCP payload seen for the first time, by session, as flow records are written.", "",
		eachSession(func(l *session) float64 { return float64(l.TCPBytes) })},
	{"periscope_session_upstream_lost_bytes_total", counter, []string{"session", "vni"},
		"TCP payload that a receiver acknowledged and the mirror never showed, by session, as flow records are written.", "Stays 0; it is lost before it gets here.",
		eachSession(func(l *session) float64 { return float64(l.LostBytes) })},
	{"periscope_session_tcp_retransmitted_total", counter, []string{"session", "vni"},
		"TCP segments seen again, by session, as flow records are written.", "A small part of the traffic.",
		eachSession(func(l *session) float64 { return float64(l.Retransmitted) })},
	{"periscope_session_tcp_out_of_order_total", counter, []string{"session", "vni"},
		"TCP segments that came after later ones, by session, as flow records are written.", "Near 0; more behind a load balancer.",
		eachSession(func(l *session) float64 { return float64(l.OutOfOrder) })},
	{"periscope_session_duplicate_packets_total", counter, []string{"session", "vni"},
		"Packets of a session that another session had shown before, as flow records are written.", "Stays 0 unless both ends of a flow are mirrored.",
		eachSession(func(l *session) float64 { return float64(l.Duplicates) })},

	{"periscope_flows", gauge, nil,
		"Flows in the table.", "Below the limit.",
		ofFlows(func(s *flow.Stats) float64 { return float64(s.Live) })},
	{"periscope_flows_limit", gauge, nil,
		"The most flows that the table holds.", "flows.table.",
		ofFlows(func(s *flow.Stats) float64 { return float64(s.Capacity) })},
	{"periscope_flow_records_total", counter, []string{"reason"},
		"Flow records, by why they were written.", "Stays 0 for evicted, which is for want of room in the table.",
		eachFlowReason},
	{"periscope_flow_packets_total", counter, nil,
		"Packets accounted for in flows, those in the table included.", "Delivered frames that are IP.",
		ofFlows(func(s *flow.Stats) float64 { return float64(s.Packets) })},
	{"periscope_flow_fragments_unresolved_total", counter, nil,
		"Later fragments whose first one was not seen before; their flow has no ports.", stays0,
		ofFlows(func(s *flow.Stats) float64 { return float64(s.Unresolved) })},
	{"periscope_flow_class_packets_total", counter, []string{"class"},
		"Packets in flow records, by class of traffic; those that flow logs leave out are in docs/formats.md.", "",
		eachClass(func(c *flow.ClassStats) uint64 { return c.Packets })},
	{"periscope_flow_class_bytes_total", counter, []string{"class"},
		"IP bytes in flow records, by class of traffic.", "",
		eachClass(func(c *flow.ClassStats) uint64 { return c.Bytes })},

	{"periscope_sink_offered_total", counter, []string{"sink"},
		"Frames, records or events offered to a sink.", "",
		eachSink(func(l pipeline.SinkLedger) float64 { return float64(l.Offered) })},
	{"periscope_sink_stored_total", counter, []string{"sink"},
		"Frames, records or events that a sink has stored.", "As many as offered, but for those pending.",
		eachSink(func(l pipeline.SinkLedger) float64 { return float64(l.Stored) })},
	{"periscope_sink_pending", gauge, []string{"sink"},
		"Frames, records or events on their way through a sink.", "What half a second brings; of splunk until Splunk has them.",
		eachSink(func(l pipeline.SinkLedger) float64 { return float64(l.Pending) })},
	{"periscope_sink_dropped_total", counter, []string{"sink", "reason"},
		"Frames, records or events that a sink dropped, by reason.", stays0,
		eachDrop},

	{"periscope_pcap_files_completed_total", counter, nil,
		"Capture files completed and renamed.", "",
		ofPCAP(func(s *pcap.Stats) float64 { return float64(s.FilesCompleted) })},
	{"periscope_pcap_files_incomplete_total", counter, nil,
		"Capture files given up: removed by others while they were written, or beyond repair.", stays0,
		ofPCAP(func(s *pcap.Stats) float64 { return float64(s.FilesIncomplete) })},
	{"periscope_pcap_files_open", gauge, nil,
		"Capture files open for writing.", "One a session with traffic, at most sinks.pcap.open_files.",
		ofPCAP(func(s *pcap.Stats) float64 { return float64(s.FilesOpen) })},
	{"periscope_pcap_files_completing", gauge, nil,
		"Capture files that wait to be synced and renamed.", "Falls back to 0 after rotations.",
		ofPCAP(func(s *pcap.Stats) float64 { return float64(s.FilesCompleting) })},
	{"periscope_pcap_rotations_total", counter, []string{"cause"},
		"Capture files ended, by cause.", "",
		eachCause(func(s *pcap.Stats, c pcap.Cause) float64 { return float64(s.Rotations[c]) },
			pcap.BySize, pcap.ByTime, pcap.ByPackets, pcap.ByEnd)},
	{"periscope_pcap_written_bytes_total", counter, nil,
		"Bytes written to capture files, headers included.", "",
		ofPCAP(func(s *pcap.Stats) float64 { return float64(s.BytesWritten) })},
	{"periscope_pcap_write_errors_total", counter, []string{"reason"},
		"Failed attempts to write, by reason.", stays0,
		func(s *Snapshot, emit emit) {
			if s.PCAP != nil {
				for _, d := range writeErrors {
					emit(float64(s.PCAP.WriteErrors[d]), d.String())
				}
			}
		}},
	{"periscope_pcap_failing_sessions", gauge, nil,
		"Sessions whose last write failed.", "0.",
		ofPCAP(func(s *pcap.Stats) float64 { return float64(s.Failing) })},
	{"periscope_pcap_buffer_bytes", gauge, nil,
		"Memory held by frames on their way to files.", "Far below the limit.",
		ofPCAP(func(s *pcap.Stats) float64 { return float64(s.BufferBytes) })},
	{"periscope_pcap_buffer_limit_bytes", gauge, nil,
		"The most memory that frames on their way to files may hold.", "sinks.pcap.buffer.",
		ofPCAP(func(s *pcap.Stats) float64 { return float64(s.BufferLimitBytes) })},
	{"periscope_pcap_retained_files", gauge, nil,
		"Complete capture files in the directory.", "",
		ofPCAP(func(s *pcap.Stats) float64 { return float64(s.RetainedFiles) })},
	{"periscope_pcap_retained_bytes", gauge, nil,
		"Bytes of the complete capture files.", "",
		ofPCAP(func(s *pcap.Stats) float64 { return float64(s.RetainedBytes) })},
	{"periscope_pcap_retained_seconds", gauge, nil,
		"How far back the captures reach at the present rate of writing.", "As long as you need them, and more.",
		func(s *Snapshot, emit emit) {
			if s.PCAP != nil {
				emit(s.RetainedSeconds)
			}
		}},
	{"periscope_pcap_removed_files_total", counter, []string{"cause"},
		"Capture files removed by retention, by cause.", "",
		eachCause(func(s *pcap.Stats, c pcap.Cause) float64 { return float64(s.RemovedFiles[c]) },
			pcap.BySize, pcap.ByAge, pcap.ByFree)},
	{"periscope_pcap_removed_bytes_total", counter, []string{"cause"},
		"Bytes of the capture files removed by retention, by cause.", "",
		eachCause(func(s *pcap.Stats, c pcap.Cause) float64 { return float64(s.RemovedBytes[c]) },
			pcap.BySize, pcap.ByAge, pcap.ByFree)},

	{"periscope_flowlog_lines_total", counter, nil,
		"Lines written to flow-log files, NODATA and SKIPDATA included, headers not.", "",
		ofFlowLog(func(s *flowlog.Stats) float64 { return float64(s.Lines) })},
	{"periscope_flowlog_status_lines_total", counter, []string{"status"},
		"Lines that say that an interface had no traffic in an interval, or that frames or records of it were lost.", "Stays 0 for SKIPDATA.",
		func(s *Snapshot, emit emit) {
			if s.FlowLog != nil {
				emit(float64(s.FlowLog.NoDataLines), "NODATA")
				emit(float64(s.FlowLog.SkipDataLines), "SKIPDATA")
			}
		}},
	{"periscope_flowlog_status_lines_lost_total", counter, nil,
		"Such lines that could not be written, or were left out for lack of room.", stays0,
		ofFlowLog(func(s *flowlog.Stats) float64 { return float64(s.LostLines) })},
	{"periscope_flowlog_written_bytes_total", counter, nil,
		"Bytes written to flow-log files, compressed.", "",
		ofFlowLog(func(s *flowlog.Stats) float64 { return float64(s.BytesWritten) })},
	{"periscope_flowlog_files_completed_total", counter, nil,
		"Flow-log files completed and renamed.", "One for each account, region and 5 minutes.",
		ofFlowLog(func(s *flowlog.Stats) float64 { return float64(s.FilesCompleted) })},
	{"periscope_flowlog_files_incomplete_total", counter, nil,
		"Flow-log files given up: removed by others while they were written, or beyond repair.", stays0,
		ofFlowLog(func(s *flowlog.Stats) float64 { return float64(s.FilesIncomplete) })},
	{"periscope_flowlog_files_open", gauge, nil,
		"Flow-log files being written.", "One or two for each account and region.",
		ofFlowLog(func(s *flowlog.Stats) float64 { return float64(s.FilesOpen) })},
	{"periscope_flowlog_write_errors_total", counter, []string{"reason"},
		"Failed attempts to write, by reason.", stays0,
		func(s *Snapshot, emit emit) {
			if s.FlowLog != nil {
				for _, d := range writeErrors {
					emit(float64(s.FlowLog.WriteErrors[d]), d.String())
				}
			}
		}},
	{"periscope_flowlog_failing_files", gauge, nil,
		"Flow-log files whose last write failed, and those waiting to be completed again.", "0.",
		ofFlowLog(func(s *flowlog.Stats) float64 { return float64(s.Failing) })},
}

// writeErrors are the reasons for which a write fails.
var writeErrors = []packet.Drop{packet.DropDiskFull, packet.DropIO}
