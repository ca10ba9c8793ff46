package packet

import (
	"net/netip"
	"sync/atomic"
)

// A Session is a mirror session and the workload behind it. It is immutable
// once published, but for Ended and the tallies, and is shared by pointer: a
// reload keeps the Session of every identity that did not change.
type Session struct {
	// ID is never reused during the life of the process. It is not 0.
	ID uint32

	// Name is unique among live sessions: the configured name, or vni-<n>.
	Name string

	// Known says that the session file explains it.
	Known bool

	// VNI is the 24-bit network identifier it is matched by.
	VNI uint32

	// Source, unless zero, is the only outer source that matches.
	Source Addr

	// MAC is the mirrored interface's, or zero when not known.
	MAC [6]byte

	// Addresses are the mirrored interface's, if known.
	Addresses []Addr

	// Workload says who is behind the session.
	Workload Workload

	// Ended is set when a reload dropped the session or changed its identity.
	// Sinks then finish what they hold of it.
	Ended atomic.Bool

	// Tallies has one entry a worker, which alone writes it.
	Tallies []Tally
}

// A Workload is the identity behind a session, as the session file gives it.
// Empty strings mean not known.
type Workload struct {
	InterfaceID, AccountID, Region, AZID         string
	VPCID, SubnetID, InstanceID                  string
	SessionID, TargetID                          string
	VPCCIDRs                                     []netip.Prefix // the primary one first; masked
	SubnetCIDRs                                  []netip.Prefix // masked
	PacketLength                                 int            // bytes after the VXLAN header; 0 means whole packets
	From, Until                                  int64          // ns since 1970 UTC; 0 means open
	Cluster, ClusterARN, Service                 string
	TaskARN, TaskDefinitionARN, ContainerInstARN string
	ContainerIDs                                 []string
	Labels                                       map[string]string
}

// A Tally counts one session's frames on one worker. Only that worker adds to
// it; anyone may read it. It fills cache lines of its own.
type Tally struct {
	Delivered    atomic.Uint64 // frames
	Bytes        atomic.Uint64 // real lengths of the delivered frames
	NotDelivered atomic.Uint64 // frames
	Truncated    atomic.Uint64 // delivered frames of which bytes are missing
	Directions   [NumDirections]atomic.Uint64
	LastSeen     atomic.Int64 // ns since 1970 UTC, of the last batch with a frame of it

	// Of flows, as their records are written.
	Records       atomic.Uint64 // flow records
	TCPBytes      atomic.Uint64 // payload of TCP segments seen for the first time
	LostBytes     atomic.Uint64 // of TCP, acknowledged and never seen
	Retransmitted atomic.Uint64 // TCP segments
	OutOfOrder    atomic.Uint64 // TCP segments
	Duplicates    atomic.Uint64 // packets seen through another session before
	NotIP         atomic.Uint64 // delivered frames that are in no flow record: ARP and other
	_             [8]byte
}
