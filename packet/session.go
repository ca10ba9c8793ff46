package packet

import (
	"net/netip"
	"sync/atomic"
	"time"
)

// A Session is a mirror session and the workload behind it, for as long as one
// workload is. It is immutable once published, but for Until, Ended, what it
// became, and the tallies, and is shared by pointer: a reload keeps the Session
// of every identity that did not change.
type Session struct {
	// ID is never reused during the life of the process. It is not 0.
	ID uint32

	// VNI is the 24-bit network identifier it is matched by.
	VNI uint32

	// From and Until bound the times of its frames, in ns since 1970 UTC: from
	// From on, before Until. 0 leaves a side open. Until may be set later.
	From  int64
	Until atomic.Int64

	// MAC is the mirrored interface's, or zero when not known. ByMAC says that
	// frames of other interfaces are not the session's.
	MAC   [6]byte
	ByMAC bool

	// Known says that the session file, AWS or the sender explains it; Learned that
	// it is not the file, but what was learnt now or stands in the journal; Announced
	// that it is no more than what the sender says of itself.
	Known, Learned, Announced bool

	// Source, unless zero, is the only outer source that matches.
	Source Addr

	// Name is the configured or learnt name, or vni-<n>, or vni-<n>-<source>
	// where unknown senders are kept apart. Those of the session file are unique
	// among live sessions.
	Name string

	// Addresses are the mirrored interface's, if known.
	Addresses []Addr

	// Workload says who is behind the session.
	Workload Workload

	// Since is the time of the first frame of an unknown session, in ns since 1970
	// UTC. Of a known one it is when it was taken into the table.
	Since int64

	// Ended is set when a reload dropped the session or changed its identity.
	// Sinks then finish what they hold of it.
	Ended atomic.Bool

	// Tallies has one entry a worker, which alone adds to it, and where there is
	// a table one more, with what it inherited: the counts of sessions that
	// became it.
	Tallies []Tally

	// Sole is who alone sent the frames of an unknown session of any source.
	Sole Sole

	became  atomic.Pointer[Session]
	awaited atomic.Int64
}

// A Sole is the first sender of a session, as long as it is the only one.
type Sole struct {
	Source Addr          // the outer source of the first frame
	Ends   [2]uint64     // its MAC addresses, destination first, as MAC has them; 0: it has none
	MAC    atomic.Uint64 // the interface of the first frame that tells it, its first byte lowest, and 1<<48; 0: none does
	Mixed  atomic.Bool   // others came, or frames so late that it does not matter any more
}

// Await says that who an unknown session is has been asked, and will be known by
// the time, in ns since 1970 UTC, or not so soon. 0 takes that back.
func (s *Session) Await(until int64) { s.awaited.Store(until) }

// Awaited reports whether it may be known in a moment who an unknown session is.
// Live, what is written of it once and for all can wait that long.
func (s *Session) Awaited() bool {
	until := s.awaited.Load()
	return until != 0 && s.became.Load() == nil && time.Now().UnixNano() < until
}

// Become says that next is the same session, of which more is known: who it is
// was learnt late. It is called before Ended is set, once.
func (s *Session) Become(next *Session) { s.became.Store(next) }

// Identified returns what is known best of the session: what it became, or
// itself. What is still open under s, a record or a file, belongs to that.
func (s *Session) Identified() *Session {
	for {
		next := s.became.Load()
		if next == nil {
			return s
		}
		s = next
	}
}

// Over reports whether the session ended, and so has what it became.
func (s *Session) Over() bool {
	last := s.Identified()
	return last.Ended.Load() && last.Identified() == last
}

// A Workload is the identity behind a session, as the session file gives it or
// AWS says. Empty strings mean not known.
type Workload struct {
	InterfaceID, AccountID, Region, AZID         string
	VPCID, SubnetID, InstanceID                  string
	SessionID, TargetID                          string
	VPCCIDRs                                     []netip.Prefix // the primary one first; masked
	SubnetCIDRs                                  []netip.Prefix // masked
	PacketLength                                 int            // bytes after the VXLAN header; 0 means whole packets
	Cluster, ClusterARN, Service                 string
	TaskARN, TaskDefinitionARN, ContainerInstARN string
	ContainerIDs                                 []string
	Labels                                       map[string]string // those of the session file; tags of AWS
}

// A Tally counts one session's frames on one worker. Only its owner adds to it;
// anyone may read it. It fills cache lines of its own.
type Tally struct {
	Delivered    atomic.Uint64 // frames
	Bytes        atomic.Uint64 // real lengths of the delivered frames
	NotDelivered atomic.Uint64 // frames
	Truncated    atomic.Uint64 // delivered frames of which bytes are missing
	Mismatched   atomic.Uint64 // delivered frames whose outer source is none of the interface's addresses
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
}
