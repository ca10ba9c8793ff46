package packet

import "sync/atomic"

// Sizes that every stage agrees on.
const (
	// MaxDatagram is the longest UDP payload taken whole, in bytes: a 9,001
	// byte frame with its tunnel headers, and room to spare.
	MaxDatagram = 9216

	// Headroom is the least number of bytes in front of a datagram's payload,
	// in the same buffer, that a stage may overwrite: the Ethernet header that
	// a bare IP packet is given.
	Headroom = 16

	// EthernetLen is the length of an untagged Ethernet header.
	EthernetLen = 14
)

// An Encap says what a datagram's payload begins with.
type Encap uint8

// The encapsulations.
const (
	VXLAN  Encap = iota // UDP port 4789, RFC 7348
	GENEVE              // UDP port 6081, RFC 8926
	Bare                // no tunnel: the payload is the frame, its VNI given
)

// A Datagram is what the kernel hands over on a tunnel port, or what a capture
// file holds of it: the UDP payload, with the facts of the outer headers.
type Datagram struct {
	// Buf[Off:] is the UDP payload, and Buf[:Off] at least Headroom bytes that
	// may be overwritten. With Encap Bare all of Buf is the frame, and Off 0.
	// Buf belongs to the source and is valid until its batch is released.
	Buf []byte
	Off int

	// Time is the kernel's receive time, or the time in the file, in
	// nanoseconds since 1970 UTC.
	Time int64

	// Order is what sinks put frames in order by: live it is Time, in replay
	// the position in the input, counted from 0 over all files.
	Order int64

	// Length is the payload's real length in bytes. It is more than
	// len(Buf)-Off when the kernel or the file cut the datagram.
	Length int

	// Source is the outer source address. The zero value means unknown.
	Source Addr

	// VNI is the network identifier of a Bare datagram, else 0.
	VNI uint32

	// Encap says what the payload begins with.
	Encap Encap

	// Reason is not None when the source itself found why this is not a
	// datagram that can be read: NotTunnel or OuterFragment. Buf and Off are
	// then undefined and Length is the packet's.
	Reason Reason
}

// A Direction is the frame's as the mirrored interface sees it.
type Direction uint8

// The directions. The zero value means that nothing tells.
const (
	DirectionUnknown Direction = iota
	Ingress                    // received by the mirrored interface
	Egress                     // sent by the mirrored interface
	NumDirections
)

var directionNames = [NumDirections]string{"unknown", "ingress", "egress"}

// String returns "unknown", "ingress" or "egress".
func (d Direction) String() string { return directionNames[d] }

// A Frame is a mirrored Ethernet frame with its tunnel headers removed, and
// what the pipeline learnt about it.
type Frame struct {
	// Data is the frame from the destination MAC address on, as far as it was
	// captured. It aliases the source's memory and is valid only during the
	// call that got the Frame; a sink that keeps bytes copies them.
	Data []byte

	// Cut is how many bytes that arrived are left out of Data, since no more than
	// headers may be kept; 0 but while a sink is offered such a frame.
	Cut int

	Time  int64 // as in Datagram
	Order int64 // as in Datagram

	// Length is the frame's real length in bytes, at least len(Data). It comes
	// from the inner IP header when that says more than what arrived. Where no
	// frame was found it is the UDP payload's length.
	Length int

	// Source is the address the session is known by: the outer source, or that
	// of the middle IP header behind a Gateway Load Balancer.
	Source Addr

	// VNI is the VXLAN network identifier (RFC 7348, section 5), or GENEVE's
	// where there is no VXLAN inside. 24 bits.
	VNI uint32

	// Reason is why the frame is not delivered, or None.
	Reason Reason

	// Reserved says that reserved bits of the tunnel header were set.
	Reserved bool

	Direction Direction

	// Shard is the logical shard of the frame's flow, below Shards; 0 live.
	Shard uint8

	// Session is the session the frame came through; nil until it was looked
	// up, and when Reason says that there is none.
	Session *Session

	// Header is what decode understood.
	Header Header
}

// Truncated reports whether bytes of the frame are missing: cut by AWS, by the
// kernel, or by the snap length of a capture file. Those that Cut counts are not.
func (f *Frame) Truncated() bool { return len(f.Data)+f.Cut < f.Length }

// A Header holds the fields decoded from a frame. Offsets are relative to
// Frame.Data; 0 means that the layer is absent or could not be read.
type Header struct {
	Src, Dst Addr // valid iff Network != 0

	SrcPort, DstPort uint16 // valid iff Transport != 0 and Protocol is TCP, UDP or SCTP

	// EtherType is that behind the VLAN tags; valid unless Anomaly is
	// EthernetShort or VLANShort.
	EtherType uint16

	// VLAN holds the 12-bit identifiers, outermost first; the first VLANs of
	// them are valid (0 to 2).
	VLAN  [2]uint16
	VLANs uint8

	// Version is 4 or 6 iff Network is the offset of an IP header, else 0: for
	// ARP too.
	Version uint8

	// Protocol is the IANA number of what follows the IP header and its
	// extension headers; where one of those could not be read, its own. Valid
	// iff Version != 0.
	Protocol uint8

	// TCPFlags are the low eight flags, CWR to FIN (RFC 9293); valid iff
	// Transport != 0 and Protocol is TCP.
	TCPFlags uint8

	// ICMPType and ICMPCode are valid iff Transport != 0 and Protocol is ICMP
	// or ICMPv6.
	ICMPType, ICMPCode uint8

	// MoreFragments is the flag of that name. FragmentOffset is in bytes, and
	// FragmentID the identification; the frame is a fragment iff
	// MoreFragments or FragmentOffset != 0. A fragment whose offset is not 0
	// carries no transport header.
	MoreFragments  bool
	FragmentOffset uint16
	FragmentID     uint32

	Network   uint16 // offset of the IP or ARP header
	Transport uint16 // offset of the TCP, UDP, ICMP or SCTP header
	Payload   uint16 // offset of what follows the last header read; may equal len(Data)

	// IPLength is the length in bytes of the whole IP packet as its header
	// says (total length, or 40 + payload length); 0 when the header does not
	// say (offloaded segments, jumbograms); valid iff Version != 0.
	IPLength uint32

	// Anomaly names where decoding stopped short.
	Anomaly Anomaly
}

// Fragment reports whether the frame carries a fragment of an IP packet.
func (h *Header) Fragment() bool { return h.MoreFragments || h.FragmentOffset != 0 }

// IANA protocol numbers that decode reads.
const (
	ProtocolICMP   = 1
	ProtocolTCP    = 6
	ProtocolUDP    = 17
	ProtocolICMPv6 = 58
	ProtocolSCTP   = 132
)

// A Batch is the unit of hand-over: datagrams from one source and, beside each
// of them, the frame found inside. It is owned by whoever got it last, and goes
// back to its source by Release, which may come from any goroutine.
type Batch struct {
	// Datagrams are filled by the source, in the order of arrival.
	Datagrams []Datagram

	// Frames[i] belongs to Datagrams[i]; it has the same length. Sources leave
	// it alone but for its length.
	Frames []Frame

	// Mark promises that no later batch of this source holds a frame whose
	// Order is below it, as far as the source can tell.
	Mark int64

	// Now is the clock: live the wall clock when the batch was taken, in
	// replay the largest time seen so far, in nanoseconds since 1970 UTC.
	Now int64

	// Workers counts the workers that still use the batch. It belongs to the
	// pool.
	Workers atomic.Int32

	// Assigned[i] is the worker that frame i belongs to when one source feeds
	// several. It belongs to the pool.
	Assigned []uint8
}

// NewBatch returns a batch with room for n datagrams, and none in it.
func NewBatch(n int) *Batch {
	return &Batch{
		Datagrams: make([]Datagram, 0, n),
		Frames:    make([]Frame, 0, n),
		Assigned:  make([]uint8, 0, n),
	}
}

// Resize sets the number of datagrams and frames, at most the capacity, and
// leaves what is in them.
func (b *Batch) Resize(n int) {
	b.Datagrams = b.Datagrams[:n]
	b.Frames = b.Frames[:n]
	b.Assigned = b.Assigned[:n]
}
