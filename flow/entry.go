package flow

import (
	"math"

	"github.com/periscope-collector/periscope/packet"
)

// An entry is one flow in a shard's slab: 168 bytes without pointers. A packet
// needs the head and the side of its sender, 120 bytes.
type entry struct {
	head
	side [2]side // what each end sent
}

// A head is what tells flows apart, and what both ends share.
type head struct {
	addr   [2]packet.Addr // the ends, in the order of their hashes
	port   [2]uint16      // of the ends; see endPorts
	origin uint32         // index of the origin; 0 means that the entry is free

	older, newer uint32 // neighbours in the ring of the entry's kind
	epoch        uint32 // number of the interval since 1970 that the record is of

	// times are two in µs, modulo 2^32 where they are not differences: see
	// handshake.go. Without a handshake they are when each end was synced.
	times [2]uint32

	protocol  uint8
	kind      kind
	state     state
	handshake handshake

	flags [2]uint8 // of TCP, by sender, of all packets in the record
	marks [2]marks // by sender

	icmpType, icmpCode uint8  // of the first packet
	cut                uint16 // bytes that arrived of the first truncated frame in the record
}

// A side is what one end sent.
type side struct {
	bytes       uint64 // of IP packets
	packets     uint32
	extra       uint32 // bytes of frames that are not bytes of IP packets
	first, last int32  // times, in µs from the epoch's begin
	truncated   uint32
	duplicates  uint32
	lost        uint32 // bytes
	next        uint32 // the sequence number behind the highest byte seen; valid iff synced
	retransmits uint16
	outOfOrder  uint16
	gaps        gapList
}

// A kind is the ring an entry is in.
type kind uint8

// The kinds. Entries 0 to numKinds-1 of a slab are not flows but the rings'
// begins and ends; so 0 also stands for no entry.
const (
	single       kind = iota // flows that have had one packet, by age
	conversation             // flows with more, in no strict order
	closed                   // flows after FIN both ways or RST, likewise
	numKinds
)

// maxShare is the number of flows that 24-bit indices can tell apart.
const maxShare = 1<<24 - 1 - int(numKinds)

type state uint8

const (
	open       state = 1 << iota // packets came since the last record was cut
	active                       // packets came since the entry was last looked at
	twin                         // another session shows the same flow
	startedBy1                   // the initiator is the second end
)

// marks say things about the packets of one end. Those below kept are about a
// record, the others about the flow.
type marks uint8

const (
	directionMask marks = 3 // packet.Direction of the first packet
	synAck        marks = 1 << 2
	badFlags      marks = 1 << 3
	synced        marks = 1 << 4 // next is valid
	fin           marks = 1 << 5
	reset         marks = 1 << 6
	settled       marks = 1 << 7 // nothing from before the capture is under way
	kept                = synced | fin | reset | settled
)

// never is the time of the last packet of a side without any.
const never = math.MinInt32

// initiator returns the end that started the flow, 0 or 1.
func (e *entry) initiator() uint8 {
	if e.state&startedBy1 != 0 {
		return 1
	}
	return 0
}

func (e *entry) setInitiator(end uint8) {
	e.state &^= startedBy1
	if end == 1 {
		e.state |= startedBy1
	}
}

// lastSeen returns the time of the last packet, in µs from the epoch's begin.
func (e *entry) lastSeen() int32 { return max(e.side[0].last, e.side[1].last) }

// full reports whether a counter of the side may overflow soon. What one packet
// adds is less than half of what they hold.
func (s *side) full() bool {
	return (s.packets|s.extra|s.lost)>>31 != 0 || (s.retransmits|s.outOfOrder)>>15 != 0
}
