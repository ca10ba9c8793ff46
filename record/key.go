package record

import (
	"slices"

	"github.com/periscope-collector/periscope/packet"
)

// keys are those of a record in JSON: of the interval, of the flow, of what each
// end sent, and of the session.
var keys = slices.Concat(intervalKeys, flowKeys, endKeys("initiator", 0), endKeys("responder", 1), sessionKeys)

// statusKeys are those of a line that stands for no flow.
var statusKeys = slices.Concat(intervalKeys, sessionKeys)

var intervalKeys = quoted(0, []Key{
	{Name: "interval_begin", Type: "time", Meaning: "Begin of the interval the record is of.", append: intervalBegin},
	{Name: "interval_end", Type: "time", Meaning: "End of that interval, itself excluded.", append: intervalEnd},
})

var flowKeys = quoted(0, []Key{
	{Name: "first_packet_at", Type: "time", Meaning: "First packet in the interval, either way.", append: firstAt},
	{Name: "last_packet_at", Type: "time", Meaning: "Last packet in the interval, either way.", append: lastAt},
	{Name: "reason", Type: "string", Meaning: "Why the record was written, see below.", append: reason},
	{Name: "class", Type: "string", Meaning: "Kind of traffic, see below.", append: class},
	{Name: "community_id", Type: "string", Meaning: "Community ID, version 1 with seed 0.", append: communityID},
	{Name: "protocol", Type: "integer", Meaning: "IANA protocol number.", append: protocol},
	{Name: "protocol_name", Type: "string", Meaning: "Its name in lower case, for the usual ones.", append: protocolName},
	{Name: "ip_version", Type: "integer", Meaning: "4 or 6.", append: ipVersion},
	{Name: "icmp_type", Type: "integer", Meaning: "Type of the initiator's ICMP or ICMPv6 messages.", append: icmpType},
	{Name: "icmp_code", Type: "integer", Meaning: "Code of those.", append: icmpCode},
	{Name: "direction", Type: "string", Meaning: "Of the initiator's packets at the interface: `ingress` or `egress`.", append: direction},
	{Name: "packets", Type: "integer", Meaning: "Packets, both ways.", append: bothPackets},
	{Name: "bytes", Type: "integer", Meaning: "Sum of IP total lengths, both ways.", append: bothBytes},
	{Name: "server_rtt_us", Type: "integer", Meaning: "SYN to SYN-ACK as seen at the interface, in µs; when the handshake ended in this interval.", append: serverRTT},
	{Name: "client_rtt_us", Type: "integer", Meaning: "SYN-ACK to ACK, likewise.", append: clientRTT},
	{Name: "truncated_length_bytes", Type: "integer", Meaning: "How much arrived of the first frame of which bytes are missing; absent if none is.", append: truncatedLength},
	{Name: "truncation_cause", Type: "string", Meaning: "What likely cut it.", append: truncationCause},
})

// endKeys are those of what one end sent. Their names begin with what it is
// called.
func endKeys(end string, side int) []Key {
	ks := []Key{
		{Name: "address", Type: "string", Meaning: "IP address of the " + end + ".", append: address},
		{Name: "port", Type: "integer", Meaning: "Its port; for TCP, UDP and SCTP.", append: port},
		{Name: "aws_service", Type: "string", Meaning: "AWS service its address belongs to, with `flows.ip_ranges`.", append: awsService},
		{Name: "packets", Type: "integer", Meaning: "Packets it sent.", append: packets},
		{Name: "bytes", Type: "integer", Meaning: "Sum of their IP total lengths.", append: ipBytes},
		{Name: "frame_bytes", Type: "integer", Meaning: "Sum of the lengths of their Ethernet frames, without checksum.", append: frameBytes},
		{Name: "first_packet_at", Type: "time", Meaning: "First of them in the interval.", append: sideFirst},
		{Name: "last_packet_at", Type: "time", Meaning: "Last of them in the interval.", append: sideLast},
		{Name: "truncated_packets", Type: "integer", Meaning: "Those of which bytes are missing.", append: truncatedPackets},
		{Name: "duplicate_packets", Type: "integer", Meaning: "Those that came through another session before.", append: duplicatePackets},
		{Name: "tcp_flags", Type: "string", Meaning: "All flags of all its segments, of `FSRPAUEC`; TCP only, as all that follow.", append: tcpFlags},
		{Name: "retransmitted_segments", Type: "integer", Meaning: "Segments sent again.", append: retransmitted},
		{Name: "out_of_order_segments", Type: "integer", Meaning: "Segments that came late, into a gap.", append: outOfOrder},
		{Name: "lost_bytes", Type: "integer", Meaning: "What the other end acknowledged and the mirror never showed.", append: lostBytes},
	}
	for i := range ks {
		ks[i].Name = end + "_" + ks[i].Name
	}
	return quoted(side, ks)
}

var sessionKeys = quoted(0, []Key{
	{Name: "session", Type: "string", Meaning: "Name of the mirror session; `vni-<n>` if no session file names it.", append: sessionName},
	{Name: "vni", Type: "integer", Meaning: "Its VXLAN network identifier.", append: vni},
	{Name: "outer_source", Type: "string", Meaning: "Outer source address of the flow's first frame.", append: outerSource},
	{Name: "interface_id", Type: "string", Meaning: "Mirrored interface.", append: of(interfaceID)},
	{Name: "account_id", Type: "string", Meaning: "Its account.", append: of(account)},
	{Name: "region", Type: "string", Meaning: "Its region.", append: of(region)},
	{Name: "az_id", Type: "string", Meaning: "Its Availability Zone.", append: of(azID)},
	{Name: "vpc_id", Type: "string", Meaning: "Its VPC.", append: of(vpcID)},
	{Name: "subnet_id", Type: "string", Meaning: "Its subnet.", append: of(subnetID)},
	{Name: "instance_id", Type: "string", Meaning: "Its instance.", append: of(instanceID)},
	{Name: "mirror_session_id", Type: "string", Meaning: "AWS's identifier of the mirror session.", append: of(mirrorSessionID)},
	{Name: "mirror_target_id", Type: "string", Meaning: "AWS's identifier of the mirror target.", append: of(mirrorTargetID)},
	{Name: "ecs_cluster_name", Type: "string", Meaning: "ECS cluster; without a name the last part of its ARN.", append: of(clusterName)},
	{Name: "ecs_cluster_arn", Type: "string", Meaning: "Its ARN.", append: of(clusterARN)},
	{Name: "ecs_service_name", Type: "string", Meaning: "Service that started the task.", append: of(serviceName)},
	{Name: "ecs_task_id", Type: "string", Meaning: "Last part of the task's ARN.", append: of(taskID)},
	{Name: "ecs_task_arn", Type: "string", Meaning: "Task.", append: of(taskARN)},
	{Name: "ecs_task_definition_arn", Type: "string", Meaning: "Task definition.", append: of(taskDefinitionARN)},
	{Name: "ecs_container_instance_id", Type: "string", Meaning: "Last part of the container instance's ARN.", append: of(containerInstanceID)},
	{Name: "ecs_container_instance_arn", Type: "string", Meaning: "Container instance of the task; absent on Fargate.", append: of(containerInstanceARN)},
	{Name: "ecs_container_ids", Type: "array of strings", Meaning: "Runtime IDs of the task's containers.", append: containerIDs},
})

// quoted completes keys that are about one side, or about none.
func quoted(side int, ks []Key) []Key {
	for i := range ks {
		ks[i].side, ks[i].quote = side, `,"`+ks[i].Name+`":`
	}
	return ks
}

// of returns the value of a key that the session alone tells.
func of(value func(*packet.Session) string) func([]byte, *packet.Flow, int, *JSON) []byte {
	return func(dst []byte, r *packet.Flow, _ int, _ *JSON) []byte { return appendString(dst, value(r.Session)) }
}

func account(s *packet.Session) string         { return s.Workload.AccountID }
func mirrorSessionID(s *packet.Session) string { return s.Workload.SessionID }
func mirrorTargetID(s *packet.Session) string  { return s.Workload.TargetID }
