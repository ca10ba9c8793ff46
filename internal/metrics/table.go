package metrics

import (
	"strconv"

	"github.com/periscope-collector/periscope/internal/pipeline"
	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/sink/pcap"
)

// table is every metric of the collector, in the order of docs/metrics.md.
var table = []metric{
	{"periscope_build_info", "Constant 1, with the version of the program.", gauge, []string{"version"},
		func(s *Snapshot, emit emit) { emit(1, s.Version) }},
	{"periscope_ready", "1 while traffic should be sent here, 0 from the start of a stop, or when a worker or the writer is stuck.", gauge, nil,
		one(func(s *Snapshot) float64 { return float(s.Ready) })},

	{"periscope_received_packets_total", "Datagrams taken from the sockets.", counter, nil,
		one(func(s *Snapshot) float64 { return float64(s.Ledger.Received.Packets) })},
	{"periscope_received_bytes_total", "Real lengths of the frames received; of the UDP payload where no frame was found.", counter, nil,
		one(func(s *Snapshot) float64 { return float64(s.Ledger.Received.Bytes) })},
	{"periscope_delivered_packets_total", "Frames that reached the end of the path and were offered to every sink.", counter, nil,
		one(func(s *Snapshot) float64 { return float64(s.Ledger.Delivered.Packets) })},
	{"periscope_delivered_bytes_total", "Real lengths of the frames delivered.", counter, nil,
		one(func(s *Snapshot) float64 { return float64(s.Ledger.Delivered.Bytes) })},
	{"periscope_not_delivered_packets_total", "Frames not delivered, by reason. Reasons queue_full and panic should stay 0.", counter, []string{"reason"}, eachReason},
	{"periscope_in_flight_packets", "Frames in batches that are being processed.", gauge, nil,
		one(func(s *Snapshot) float64 { return float64(s.Ledger.InFlight) })},
	{"periscope_ledger_imbalance_packets", "By how many frames the account does not balance. Always 0; anything else is a bug.", gauge, nil,
		one(func(s *Snapshot) float64 { return float64(s.Ledger.Imbalance) })},
	{"periscope_lost_before_us_packets_total", "Datagrams lost before they reached the program, as the kernel counts them, by place: socket, ring or nic. Should stay 0.", counter, []string{"where"},
		func(s *Snapshot, emit emit) {
			emit(float64(s.Ledger.Lost.Socket), "socket")
			emit(float64(s.Ledger.Lost.Ring), "ring")
			emit(float64(s.Ledger.Lost.NIC), "nic")
		}},

	{"periscope_truncated_packets_total", "Frames delivered of which bytes are missing: cut at the source, by the target's MTU or by a packet length.", counter, nil,
		one(func(s *Snapshot) float64 { return float64(s.Ledger.Truncated) })},
	{"periscope_late_packets_total", "Frames written out of order because they came more than 100 ms late.", counter, nil,
		one(func(s *Snapshot) float64 { return float64(s.Ledger.Late) })},
	{"periscope_reserved_bits_packets_total", "Frames whose tunnel header had reserved bits set. AWS sets none.", counter, nil,
		one(func(s *Snapshot) float64 { return float64(s.Ledger.Reserved) })},
	{"periscope_anomalies_packets_total", "Frames delivered that could not be decoded to the end, by what stopped it.", counter, []string{"kind"}, eachAnomaly},
	{"periscope_worker_packets_total", "Frames finished by each worker. Workers far apart mean few or fat flows.", counter, []string{"worker"},
		func(s *Snapshot, emit emit) {
			for i, n := range s.Ledger.Workers {
				emit(float64(n), strconv.Itoa(i))
			}
		}},
	{"periscope_socket_receive_buffer_bytes", "Receive buffer the kernel granted each socket on an address.", gauge, []string{"address"},
		func(s *Snapshot, emit emit) {
			for _, g := range s.Groups {
				emit(float64(g.Granted), g.Address.String())
			}
		}},
	{"periscope_socket_steered", "1 if the kernel chooses the worker by the inner flow, 0 if by the outer addresses and ports, or if there is one worker.", gauge, []string{"address"},
		func(s *Snapshot, emit emit) {
			for _, g := range s.Groups {
				emit(float(g.Steered), g.Address.String())
			}
		}},

	{"periscope_sessions", "Sessions seen or configured, by whether the session file explains them.", gauge, []string{"known"},
		func(s *Snapshot, emit emit) {
			var n [2]int
			for _, l := range s.Ledger.Sessions {
				if l.Name != otherSessions {
					n[int(float(l.Known))]++
				}
			}
			emit(float64(n[1]), "true")
			emit(float64(n[0]), "false")
		}},
	{"periscope_session_packets_total", "Frames delivered, by session and direction. Sessions beyond 1,000 are summed up as \"other\".", counter, []string{"session", "vni", "direction"}, eachDirection},
	{"periscope_session_bytes_total", "Real lengths of the frames delivered, by session.", counter, []string{"session", "vni"},
		eachSession(func(l *pipeline.SessionLedger) float64 { return float64(l.Bytes) })},
	{"periscope_session_not_delivered_packets_total", "Frames of a session not delivered.", counter, []string{"session", "vni"},
		eachSession(func(l *pipeline.SessionLedger) float64 { return float64(l.NotDelivered) })},
	{"periscope_session_truncated_packets_total", "Frames of a session of which bytes are missing.", counter, []string{"session", "vni"},
		eachSession(func(l *pipeline.SessionLedger) float64 { return float64(l.Truncated) })},
	{"periscope_session_last_seen_timestamp_seconds", "Time of a session's latest frame, in seconds since 1970 UTC; 0 if there was none.", gauge, []string{"session", "vni"},
		eachSession(func(l *pipeline.SessionLedger) float64 { return float64(l.LastSeen) / 1e9 })},

	{"periscope_sink_offered_total", "Frames or records offered to a sink.", counter, []string{"sink"},
		eachSink(func(l pipeline.SinkLedger) float64 { return float64(l.Offered) })},
	{"periscope_sink_stored_total", "Frames or records a sink has stored.", counter, []string{"sink"},
		eachSink(func(l pipeline.SinkLedger) float64 { return float64(l.Stored) })},
	{"periscope_sink_pending", "Frames or records on their way through a sink.", gauge, []string{"sink"},
		eachSink(func(l pipeline.SinkLedger) float64 { return float64(l.Pending) })},
	{"periscope_sink_dropped_total", "Frames or records a sink dropped, by reason. Should stay 0.", counter, []string{"sink", "reason"}, eachDrop},

	{"periscope_pcap_files_completed_total", "Capture files completed and renamed.", counter, nil,
		ofPCAP(func(s *pcap.Stats) float64 { return float64(s.FilesCompleted) })},
	{"periscope_pcap_files_incomplete_total", "Capture files given up: removed by others while they were written, or beyond repair. Should stay 0.", counter, nil,
		ofPCAP(func(s *pcap.Stats) float64 { return float64(s.FilesIncomplete) })},
	{"periscope_pcap_files_open", "Capture files open for writing.", gauge, nil,
		ofPCAP(func(s *pcap.Stats) float64 { return float64(s.FilesOpen) })},
	{"periscope_pcap_rotations_total", "Capture files ended, by cause: size, time, packets, or end of the session.", counter, []string{"cause"},
		func(s *Snapshot, emit emit) {
			if s.PCAP == nil {
				return
			}
			for _, c := range []pcap.Cause{pcap.BySize, pcap.ByTime, pcap.ByPackets, pcap.ByEnd} {
				emit(float64(s.PCAP.Rotations[c]), c.String())
			}
		}},
	{"periscope_pcap_written_bytes_total", "Bytes written to capture files, headers included.", counter, nil,
		ofPCAP(func(s *pcap.Stats) float64 { return float64(s.BytesWritten) })},
	{"periscope_pcap_write_errors_total", "Failed attempts to write, by reason. Should stay 0.", counter, []string{"reason"},
		func(s *Snapshot, emit emit) {
			if s.PCAP == nil {
				return
			}
			for _, d := range []packet.Drop{packet.DropDiskFull, packet.DropIO} {
				emit(float64(s.PCAP.WriteErrors[d]), d.String())
			}
		}},
	{"periscope_pcap_failing_sessions", "Sessions whose last write failed. Should be 0.", gauge, nil,
		ofPCAP(func(s *pcap.Stats) float64 { return float64(s.Failing) })},
	{"periscope_pcap_buffer_bytes", "Memory held by frames on their way to files.", gauge, nil,
		ofPCAP(func(s *pcap.Stats) float64 { return float64(s.BufferBytes) })},
	{"periscope_pcap_buffer_limit_bytes", "Most memory that frames on their way to files may hold.", gauge, nil,
		ofPCAP(func(s *pcap.Stats) float64 { return float64(s.BufferLimitBytes) })},
	{"periscope_pcap_retained_files", "Complete capture files in the directory.", gauge, nil,
		ofPCAP(func(s *pcap.Stats) float64 { return float64(s.RetainedFiles) })},
	{"periscope_pcap_retained_bytes", "Bytes of the complete capture files.", gauge, nil,
		ofPCAP(func(s *pcap.Stats) float64 { return float64(s.RetainedBytes) })},
	{"periscope_pcap_retained_seconds", "How far back the captures reach at the present rate of writing.", gauge, nil,
		func(s *Snapshot, emit emit) {
			if s.PCAP != nil {
				emit(s.RetainedSeconds)
			}
		}},
	{"periscope_pcap_removed_files_total", "Capture files removed by retention, by cause: size, age or free.", counter, []string{"cause"},
		func(s *Snapshot, emit emit) {
			if s.PCAP == nil {
				return
			}
			for _, c := range []pcap.Cause{pcap.BySize, pcap.ByAge, pcap.ByFree} {
				emit(float64(s.PCAP.RemovedFiles[c]), c.String())
			}
		}},
	{"periscope_pcap_removed_bytes_total", "Bytes of the capture files removed by retention, by cause.", counter, []string{"cause"},
		func(s *Snapshot, emit emit) {
			if s.PCAP == nil {
				return
			}
			for _, c := range []pcap.Cause{pcap.BySize, pcap.ByAge, pcap.ByFree} {
				emit(float64(s.PCAP.RemovedBytes[c]), c.String())
			}
		}},
}

func float(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
