package packet

// A Reason says why a frame was not delivered. The zero value means that it
// was, or still can be. The set is closed: each value is a metric label, a key
// of the summary and a term of the ledger. Add at the end, never reuse.
type Reason uint8

// The reasons a datagram or frame is not delivered.
const (
	None           Reason = iota
	NotTunnel             // not a datagram to a tunnel port
	NotAllowed            // outer source outside capture.allow (live only)
	OuterFragment         // fragment of an outer IP packet, which a file does not reassemble
	VXLANShort            // shorter than the 8 bytes of a VXLAN header
	VXLANFlag             // VXLAN I flag clear, so there is no VNI
	GENEVEVersion         // GENEVE version other than 0
	GENEVEOptions         // GENEVE header or options run past the datagram
	GENEVEPayload         // GENEVE payload that is neither Ethernet nor IP
	UnknownSession        // no session explains the VNI, and sessions.unknown is drop
	UnknownLimit          // more unknown sessions than sessions.unknown_max
	Filtered              // refused by a filter
	QueueFull             // the worker's queue was full
	Panic                 // processing the frame panicked; always a bug
	NumReasons
)

var reasonNames = [NumReasons]string{
	None:           "none",
	NotTunnel:      "not_tunnel",
	NotAllowed:     "not_allowed",
	OuterFragment:  "outer_fragment",
	VXLANShort:     "vxlan_short",
	VXLANFlag:      "vxlan_flag",
	GENEVEVersion:  "geneve_version",
	GENEVEOptions:  "geneve_options",
	GENEVEPayload:  "geneve_payload",
	UnknownSession: "unknown_session",
	UnknownLimit:   "unknown_limit",
	Filtered:       "filtered",
	QueueFull:      "queue_full",
	Panic:          "panic",
}

// String returns the reason's word as metrics, logs and the summary use it.
func (r Reason) String() string { return reasonNames[r] }

// A Drop says why a sink dropped its copy of a frame or record. The set is
// closed, like that of Reason.
type Drop uint8

// The reasons a sink drops its copy.
const (
	DropQueueFull Drop = iota // the sink's buffer was full
	DropDiskFull              // no space, or over quota
	DropIO                    // any other failure to write
	DropPolicy                // a keep policy said so
	DropBudget                // over the configured volume
	DropSpoolFull             // the spool was full
	DropExpired               // too old to be sent
	DropRefused               // the receiver refused it for good
	NumDrops
)

var dropNames = [NumDrops]string{
	DropQueueFull: "queue_full",
	DropDiskFull:  "disk_full",
	DropIO:        "io_error",
	DropPolicy:    "policy",
	DropBudget:    "budget",
	DropSpoolFull: "spool_full",
	DropExpired:   "expired",
	DropRefused:   "refused",
}

// String returns the drop's word as metrics, logs and the summary use it.
func (d Drop) String() string { return dropNames[d] }
