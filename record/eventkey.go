package record

import (
	"slices"
	"strconv"
	"strings"

	"github.com/periscope-collector/periscope/packet"
)

// The keys of a flow as an event: those of the Common Information Model's
// dataset Network_Traffic where it has one, else those of a record in JSON.

// eventGroups are the keys of the flow. A group that does not apply costs no look
// at its keys.
var eventGroups = []struct {
	applies func(*packet.Flow, *JSON) bool
	keys    []Key
}{
	{always, slices.Concat(
		eventEnd("src", "initiator", 0),
		eventEnd("dest", "responder", 1),
		eventTraffic,
	)},
	{hasICMP, eventICMP},
	{hasTCP, eventTCP},
	{hasServices, slices.Concat(eventService("src", "initiator", 0), eventService("dest", "responder", 1))},
	{hasLoss, eventLoss},
}

var eventTraffic = slices.Concat(
	quoted(0, []Key{
		{Name: "transport", Type: "string", Meaning: "Protocol above IP, in lower case; its number if it is none of the usual ones.", append: transport},
		{Name: "protocol_version", Type: "string", Meaning: "`ipv4` or `ipv6`.", append: protocolVersion},
		{Name: "direction", Type: "string", Meaning: "Of the initiator's packets at the mirrored interface: `inbound` or `outbound`.", append: trafficDirection},
		{Name: "bytes", Type: "integer", Meaning: "Sum of IP total lengths, both ways.", append: bothBytes},
		{Name: "bytes_in", Type: "integer", Meaning: "Those from initiator to responder.", append: ipBytes},
	}),
	quoted(1, []Key{
		{Name: "bytes_out", Type: "integer", Meaning: "Those from responder to initiator.", append: ipBytes},
	}),
	quoted(0, []Key{
		{Name: "packets", Type: "integer", Meaning: "Packets, both ways.", append: bothPackets},
		{Name: "packets_in", Type: "integer", Meaning: "Those from initiator to responder.", append: packets},
	}),
	quoted(1, []Key{
		{Name: "packets_out", Type: "integer", Meaning: "Those from responder to initiator.", append: packets},
	}),
	quoted(0, []Key{
		{Name: "duration", Type: "number", Meaning: "Seconds from the first to the last packet in the interval.", append: duration},
		{Name: "reason", Type: "string", Meaning: "[Why the record was written](#reasons).", append: eventReason},
		{Name: "class", Type: "string", Meaning: "[Kind of traffic](#classes).", append: eventClass},
		{Name: "outer_source", Type: "string", Meaning: "Outer source address of the flow's first frame.", append: outerSource},
		{Name: "community_id", Type: "string", Meaning: "Community ID, version 1 with seed 0.", append: communityID},
	}),
)

var eventICMP = quoted(0, []Key{
	{Name: "icmp_type", Type: "integer", Meaning: "Type of the initiator's ICMP or ICMPv6 messages.", append: icmpType},
	{Name: "icmp_code", Type: "integer", Meaning: "Code of those.", append: icmpCode},
})

var eventTCP = quoted(0, []Key{
	{Name: "tcp_flag", Type: "array of strings", Meaning: "Those of `SYN`, `ACK`, `FIN`, `RST`, `URG`, `PSH` that any segment had, either way; TCP only.", append: tcpFlag},
	{Name: "server_rtt_us", Type: "integer", Meaning: "SYN to SYN-ACK as seen at the interface, in µs; when the handshake ended in this interval.", append: serverRTT},
	{Name: "client_rtt_us", Type: "integer", Meaning: "SYN-ACK to ACK, likewise.", append: clientRTT},
})

var eventLoss = quoted(0, []Key{
	{Name: "retransmitted_segments", Type: "integer", Meaning: "TCP segments sent again, either way; absent at 0, as all counts that follow.", append: counted(func(s *packet.FlowSide) uint64 { return s.Retransmitted })},
	{Name: "out_of_order_segments", Type: "integer", Meaning: "TCP segments that came late, into a gap.", append: counted(func(s *packet.FlowSide) uint64 { return s.OutOfOrder })},
	{Name: "lost_bytes", Type: "integer", Meaning: "What an end acknowledged and the mirror never showed.", append: counted(func(s *packet.FlowSide) uint64 { return s.Lost })},
	{Name: "truncated_packets", Type: "integer", Meaning: "Packets of which bytes are missing.", append: counted(func(s *packet.FlowSide) uint64 { return s.Truncated })},
	{Name: "duplicate_packets", Type: "integer", Meaning: "Packets that came through another session before.", append: counted(func(s *packet.FlowSide) uint64 { return s.Duplicates })},
	{Name: "truncated_length_bytes", Type: "integer", Meaning: "How much arrived of the first frame of which bytes are missing.", append: truncatedLength},
	{Name: "truncation_cause", Type: "string", Meaning: "What likely cut it.", append: truncationCause},
})

func always(*packet.Flow, *JSON) bool          { return true }
func hasTCP(r *packet.Flow, _ *JSON) bool      { return r.Protocol == packet.ProtocolTCP }
func hasServices(_ *packet.Flow, o *JSON) bool { return o.Ranges != nil }

func hasICMP(r *packet.Flow, _ *JSON) bool { return isICMP(r.Protocol) }

func hasLoss(r *packet.Flow, _ *JSON) bool {
	a, b := &r.Side[0], &r.Side[1]
	return a.Retransmitted|a.OutOfOrder|a.Lost|a.Truncated|a.Duplicates|
		b.Retransmitted|b.OutOfOrder|b.Lost|b.Truncated|b.Duplicates|uint64(r.TruncatedLength) != 0
}

// eventProtocol and eventUID are written by themselves: every flow has the one,
// and no flow tells the other.
var eventProtocol = Key{Name: "protocol", Type: "string", Meaning: "Always `ip`."}

var eventUID = quoted(0, []Key{
	{Name: "event_uid", Type: "string", Meaning: "Of this event alone, the same when it is sent again."},
})[0]

// eventCommonKeys are the same for all events of a collector, which knows their
// values.
var eventCommonKeys = quoted(0, []Key{
	{Name: "action", Type: "string", Meaning: "Always `allowed`: what is rejected is not mirrored."},
	{Name: "vendor_product", Type: "string", Meaning: "Always `Periscope`."},
	{Name: "dvc", Type: "string", Meaning: "Host of the collector, as the event's `host`."},
	{Name: "collector", Type: "string", Meaning: "Name of the collector, if it has one."},
})

// eventSessionKeys are the same for all events of a session.
var eventSessionKeys = slices.DeleteFunc(slices.Clone(sessionKeys), func(k Key) bool { return k.Name == "outer_source" })

// eventEndKeys are those that flows and frames end with.
var eventEndKeys = slices.Concat([]Key{eventUID}, eventCommonKeys, eventSessionKeys)

// eventEnd are the keys of who an end is.
func eventEnd(name, end string, side int) []Key {
	return quoted(side, []Key{
		{Name: name, Type: "string", Meaning: "IP address of the " + end + ".", append: address},
		{Name: name + "_ip", Type: "string", Meaning: "The same."},
		{Name: name + "_port", Type: "integer", Meaning: "Its port; for TCP, UDP and SCTP.", append: port},
	})
}

func eventService(name, end string, side int) []Key {
	return quoted(side, []Key{
		{Name: name + "_aws_service", Type: "string", Meaning: "AWS service the " + end + "'s address belongs to, with `flows.ip_ranges`.", append: awsService},
	})
}

var transports = func() (quoted [256]string) {
	for n := range quoted {
		name := protocolNames[n]
		if name == "" {
			name = strconv.Itoa(n)
		}
		quoted[n] = strconv.Quote(name)
	}
	return quoted
}()

func transport(dst []byte, r *packet.Flow, _ int, _ *JSON) []byte {
	return append(dst, transports[r.Protocol]...)
}

func protocolVersion(dst []byte, r *packet.Flow, _ int, _ *JSON) []byte {
	if r.Addr[0].Is4() && r.Addr[1].Is4() {
		return append(dst, `"ipv4"`...)
	}
	return append(dst, `"ipv6"`...)
}

// trafficDirection is that of the initiator's packets, also when only the
// responder sent some in the interval.
func trafficDirection(dst []byte, r *packet.Flow, _ int, _ *JSON) []byte {
	inbound, outbound := packet.Ingress, packet.Egress
	d := r.Side[0].Direction
	if r.Side[0].Packets == 0 {
		d = r.Side[1].Direction
		inbound, outbound = outbound, inbound
	}
	switch d {
	case inbound:
		return append(dst, `"inbound"`...)
	case outbound:
		return append(dst, `"outbound"`...)
	}
	return dst
}

func duration(dst []byte, r *packet.Flow, _ int, _ *JSON) []byte {
	first, last := packetSpan(r)
	return appendEpoch(dst, last-first)
}

// tcpFlagLists has the array for each set of flags, SYN first as CIM lists them.
var tcpFlagLists = func() (lists [64]string) {
	for flags := range lists {
		var names []string
		for _, f := range []struct {
			bit  int
			name string
		}{{1, "SYN"}, {4, "ACK"}, {0, "FIN"}, {2, "RST"}, {5, "URG"}, {3, "PSH"}} {
			if flags&(1<<f.bit) != 0 {
				names = append(names, strconv.Quote(f.name))
			}
		}
		lists[flags] = "[" + strings.Join(names, ",") + "]"
	}
	return lists
}()

func tcpFlag(dst []byte, r *packet.Flow, _ int, _ *JSON) []byte {
	if r.Protocol != packet.ProtocolTCP {
		return dst
	}
	return append(dst, tcpFlagLists[(r.Side[0].TCPFlags|r.Side[1].TCPFlags)%64]...)
}

func eventReason(dst []byte, r *packet.Flow, _ int, _ *JSON) []byte {
	return append(append(append(dst, '"'), r.Reason.String()...), '"')
}

func eventClass(dst []byte, r *packet.Flow, _ int, _ *JSON) []byte {
	return append(append(append(dst, '"'), r.Class.String()...), '"')
}

// counted returns the value of a key that sums up both ends.
func counted(of func(*packet.FlowSide) uint64) func([]byte, *packet.Flow, int, *JSON) []byte {
	return func(dst []byte, r *packet.Flow, _ int, _ *JSON) []byte {
		n := of(&r.Side[0]) + of(&r.Side[1])
		if n == 0 {
			return dst
		}
		return appendUint(dst, n)
	}
}
