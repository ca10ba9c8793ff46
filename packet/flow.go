package packet

// Shards is the number of logical shards that a replay spreads frames over, by
// their flow. Each has limits of its own, so that what is made of them does not
// depend on the number of workers.
const Shards = 16

// A Flow is the record of one inner flow, seen through one session within one
// interval, both ways. It is a value: it aliases no frame, and holds no pointer
// but that of the session.
type Flow struct {
	// Session is the session the frames came through; not nil.
	Session *Session

	// Source is the outer source of the flow's first frame. Where the session
	// is not Known it is part of what tells flows apart.
	Source Addr

	// Shard is the logical shard that accounted for it: as in Frame.
	Shard uint8

	// Begin and End bound the interval, in nanoseconds since 1970 UTC.
	// A frame older than the interval it came in may be counted in it.
	Begin, End int64

	// Addr and Port are the ends', the initiator first: who sent the SYN, or
	// who was seen first. Ports are 0 for what is not TCP, UDP or SCTP, and
	// for fragments of which the first was not seen.
	Addr [2]Addr
	Port [2]uint16

	Protocol uint8 // IANA number

	// ICMPType and ICMPCode are those of the initiator's messages; valid iff
	// Protocol is ICMP or ICMPv6. An echo request and its reply are one flow.
	ICMPType, ICMPCode uint8

	// Class says what kind of traffic the flow is, as far as flow logs leave
	// it out.
	Class Class

	// Reason says why the record was written.
	Reason FlowReason

	// Side is what each end sent, in the order of Addr.
	Side [2]FlowSide

	// ServerRTT is the time from SYN to SYN-ACK, ClientRTT from SYN-ACK to
	// ACK, as seen at the mirrored interface, in nanoseconds with a
	// resolution of microseconds; 0 means not known. They are in the record of
	// the interval in which the handshake ended.
	ServerRTT, ClientRTT int64

	// TruncatedLength is how many bytes arrived of the first frame of which
	// some are missing; 0 if none is.
	TruncatedLength uint16
}

// A FlowSide is what one end of a flow sent within an interval.
type FlowSide struct {
	Packets    uint64
	Bytes      uint64 // of IP packets: total lengths, as flow logs count
	FrameBytes uint64 // of Ethernet frames without their checksum
	Truncated  uint64 // packets of which bytes are missing
	Duplicates uint64 // packets seen through another session too, where this copy came later

	// First and Last are the times of the first and last packet, in
	// nanoseconds since 1970 UTC with a resolution of microseconds; 0 without
	// packets.
	First, Last int64

	Direction Direction // of the first packet

	// What follows is valid iff Protocol is TCP.

	TCPFlags uint8 // all flags of all packets (RFC 9293: CWR to FIN)
	SYNACK   bool  // a packet had both SYN and ACK
	BadFlags bool  // a packet had SYN together with FIN or RST

	Retransmitted uint64 // segments all of whose bytes had been seen, or were missing for longer than reordering explains
	OutOfOrder    uint64 // segments that filled a gap shortly after it showed

	// Lost is how many bytes the other end acknowledged that were never seen
	// here: the mirror did not show them.
	Lost uint64
}

// A FlowReason says why the record of a flow was written. The set is closed.
type FlowReason uint8

// The reasons to write a record.
const (
	FlowInterval FlowReason = iota // the interval ended; the flow goes on
	FlowClosed                     // FIN both ways or RST, and the time of grace is over
	FlowIdle                       // no packet for the idle time
	FlowEvicted                    // its place in the table was needed
	FlowSession                    // its session ended
	FlowFull                       // a counter was about to overflow; the flow goes on
	FlowShutdown                   // the traffic ended
	NumFlowReasons
)

var flowReasonNames = [NumFlowReasons]string{
	FlowInterval: "interval",
	FlowClosed:   "closed",
	FlowIdle:     "idle",
	FlowEvicted:  "evicted",
	FlowSession:  "session",
	FlowFull:     "full",
	FlowShutdown: "shutdown",
}

// String returns the word that metrics and records use.
func (r FlowReason) String() string { return flowReasonNames[r] }

// A Cut says that one worker has written every record of an interval.
type Cut struct {
	Begin, End int64 // of the interval, in ns since 1970 UTC
	Last       bool  // the traffic ended, within the interval; both are 0 if there was none
}

// A Class is a kind of traffic of which VPC Flow Logs keep no record, or which
// stands beside such a kind. The set is closed: each value is a metric label.
// Sources: Amazon VPC User Guide, "Flow log limitations"; the addresses are of
// the link-local services and of the reserved ones of a subnet.
type Class uint8

// The classes.
const (
	Ordinary      Class = iota // flow logs have it
	AmazonDNS                  // the resolver at VPC base+2, 169.254.169.253, fd00:ec2::253
	OwnDNS                     // port 53 at any other address; flow logs have it
	InstanceMeta               // instance metadata, 169.254.169.254, fd00:ec2::254
	TimeSync                   // Amazon Time Sync, 169.254.169.123, fd00:ec2::123
	ExternalNTP                // UDP port 123 at any other address; flow logs have it
	Activation                 // Windows activation, 169.254.169.250 and .251, TCP port 1688
	DHCP                       // UDP ports 67 and 68, 546 and 547
	ARP                        // EtherType 0x0806
	VPCRouter                  // subnet base+1, fe80:ec2::1
	TaskMeta                   // ECS task metadata and credentials, 169.254.170.2
	PodIdentity                // EKS pod identity, 169.254.170.23, fd00:ec2::23
	LinkLocal                  // any other link-local address, and fd00:ec2::/32
	MirroredVXLAN              // UDP port 4789: mirrored traffic, at its source
	NumClasses
)

var classNames = [NumClasses]string{
	Ordinary:      "ordinary",
	AmazonDNS:     "amazon_dns",
	OwnDNS:        "own_dns",
	InstanceMeta:  "imds",
	TimeSync:      "time_sync",
	ExternalNTP:   "ntp_external",
	Activation:    "win_kms",
	DHCP:          "dhcp",
	ARP:           "arp",
	VPCRouter:     "vpc_router",
	TaskMeta:      "ecs_meta",
	PodIdentity:   "eks_pod_identity",
	LinkLocal:     "link_local",
	MirroredVXLAN: "mirror_vxlan",
}

// String returns the word that metrics, records and reports use.
func (c Class) String() string { return classNames[c] }

// Blind reports whether AWS documents that VPC Flow Logs leave the class out
// (Amazon VPC User Guide, "Flow log limitations"). Of a class that is not
// documented either way, such as [TaskMeta], it says false.
func (c Class) Blind() bool {
	switch c {
	case AmazonDNS, InstanceMeta, TimeSync, Activation, DHCP, ARP, VPCRouter, MirroredVXLAN:
		return true
	}
	return false
}

// Unexpected reports whether the class should not come from AWS's mirroring: by
// its documentation (Amazon VPC Traffic Mirroring, "Limitations"), or, of other
// link-local addresses, since nothing is known that would use them. It may come
// from other mirrors and from captures.
func (c Class) Unexpected() bool {
	switch c {
	case InstanceMeta, TimeSync, Activation, DHCP, ARP, LinkLocal:
		return true
	}
	return false
}
