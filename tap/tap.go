package tap

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/periscope-collector/periscope/decode"
	"github.com/periscope-collector/periscope/filter"
	"github.com/periscope-collector/periscope/internal/tpacket"
	"github.com/periscope-collector/periscope/packet"
)

// A Config says what a Tap mirrors, where to, and how much it may take.
type Config struct {
	// Interface is the name of an Ethernet interface.
	Interface string

	// To is the collector.
	To netip.AddrPort

	// VNI is the VXLAN network identifier, 0 to 1<<24-1.
	VNI uint32

	// Filter says which frames are mirrored; nil means all of IP.
	Filter *filter.Program

	// Workload tells the filter which addresses are Amazon DNS's. The link-local
	// ones it knows without.
	Workload packet.Workload

	// PacketLength is how many bytes of a frame are mirrored; 0 means as many as
	// fit into the collector's path MTU.
	PacketLength int

	// Rate bounds the bits of mirrored frames a second; 0 means no bound.
	Rate float64

	// CPU bounds the share of one processor that the process takes, over a
	// second; 0 means no bound.
	CPU float64

	// Announce, unless nil, returns a frame that tells the collector whose the
	// others are. It is sent first, AnnounceEvery so often, which is more than 0, and,
	// with last, at the end. Run's goroutine calls it; nil means nothing to say.
	Announce      func(last bool) []byte
	AnnounceEvery time.Duration

	// Log gets one line for each change of state, and the counts each minute. It
	// must not be nil.
	Log *slog.Logger

	// For tests.
	ring  int                  // bytes, unless 0: all there is
	plain bool                 // the kernel takes no runs
	used  func() time.Duration // unless nil, instead of processorTime
	group string               // unless "", instead of where control groups are mounted
}

const maxVNI = 1<<24 - 1

// maxBurst is how long frames may come at once beyond the rate.
const maxBurst = 100 * time.Millisecond

func (c *Config) validate() error {
	switch {
	case !c.To.IsValid() || c.To.Port() == 0:
		return fmt.Errorf("collector %s: want an address and a port", c.To)
	case c.VNI > maxVNI:
		return fmt.Errorf("vni %d: want 0 to %d", c.VNI, maxVNI)
	case c.PacketLength < 0:
		return fmt.Errorf("packet length %d: want 1 or more, or 0 for whole frames", c.PacketLength)
	case !(c.Rate >= 0):
		return fmt.Errorf("rate %v: want more than 0, or 0 for no bound", c.Rate)
	case c.Announce != nil && c.AnnounceEvery <= 0:
		return fmt.Errorf("an announcement every %s: want more than 0", c.AnnounceEvery)
	case !(c.CPU >= 0):
		return fmt.Errorf("processor share %v: want more than 0, or 0 for no bound", c.CPU)
	}
	return nil
}

// A Tap mirrors one interface.
type Tap struct {
	cfg   Config
	ring  *tpacket.Ring
	out   *outbox
	rate  bucket
	frame packet.Frame // for the filter
	pause pauser

	waiter *waiter

	now counts // of Run's goroutine

	mu        sync.Mutex
	published counts
}

// Open makes the ring and the sockets. Without CAP_NET_RAW the error is
// fs.ErrPermission, for an interface that is not there ErrNoInterface. A Tap
// takes nothing before Run.
func Open(cfg Config) (*Tap, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	device, err := tpacket.Device(cfg.Interface)
	if err != nil {
		return nil, fmt.Errorf("interface %q: %w; see \"ip link\"", cfg.Interface, err)
	}
	r, err := tpacket.Open(device, tpacket.Config{Block: blockLen, Bytes: cmp.Or(cfg.ring, ringLen), Wait: blockWait, Outgoing: true, Offloads: true})
	if err != nil {
		return nil, fmt.Errorf("mirror %s: %w", cfg.Interface, err)
	}
	out, err := openOutbox(cfg.To, cfg.VNI)
	if err != nil {
		return nil, errors.Join(err, r.Close())
	}
	wait, err := newWaiter(r)
	if err != nil {
		return nil, errors.Join(err, r.Close(), out.close())
	}
	out.plain = cfg.plain
	t := &Tap{cfg: cfg, ring: r, out: out, waiter: wait, rate: newBucket(cfg.Rate/8, maxBurst)}
	t.pause.share.share, t.pause.used = cfg.CPU, processorTime
	if cfg.used != nil {
		t.pause.used = cfg.used
	}
	t.pause.health = openHealth(device.Name, device.Index, cmp.Or(cfg.group, "/sys/fs/cgroup"))
	t.frame.Session = &packet.Session{Workload: cfg.Workload}
	return t, nil
}

// ErrNoInterface means that there is no interface of a name.
var ErrNoInterface = tpacket.ErrNoInterface

// Close gives back what Open took. Run has ended, or never began.
func (t *Tap) Close() error {
	return errors.Join(t.waiter.file.Close(), t.ring.Close(), t.out.close(), t.pause.health.close())
}

// VNI returns the identifier of a task by its ARN, 1 to 1<<24-1: the same each
// time. Two of 100 tasks have the same one in 1 of 3,400 cases; the collector
// tells them apart by their addresses.
func VNI(task string) uint32 {
	sum := sha256.Sum256([]byte(task))
	return 1 + binary.BigEndian.Uint32(sum[:])%maxVNI
}

// mirror sends what the next packet of the ring stands for.
func (t *Tap) mirror(p *tpacket.Packet, now time.Time) {
	o := readOffload(p.Offload)
	whole := len(p.Data) == p.Len
	super, splits := super{}, false
	n := 1
	if o.kind != wholeFrame {
		if super, splits = o.split(p.Data); splits {
			n = super.segments()
		}
	}
	if !t.wanted(p) {
		t.now.filtered += uint64(n)
		return
	}
	if !splits && o.flags&needsChecksum != 0 && whole && o.kind == wholeFrame {
		o.finish(p.Data)
	}
	keep := t.out.fits
	if t.cfg.PacketLength > 0 {
		keep = min(keep, t.cfg.PacketLength)
	}
	if splits {
		t.segments(&super, keep, now)
		return
	}
	size := min(len(p.Data), keep)
	if !t.rate.take(size, now) {
		t.now.dropped[dropRate]++
		return
	}
	if o.kind != wholeFrame || !whole {
		t.now.truncated++
	} else if len(p.Data) > t.out.fits && size == t.out.fits {
		t.now.cut++
	}
	t.out.addFrame(p.Offload[:tpacket.OffloadLen+size], &t.now)
}

// segments sends the segments of a super, or none.
func (t *Tap) segments(s *super, keep int, now time.Time) {
	n := s.segments()
	total := len(s.payload) + n*len(s.header)
	if !t.rate.take(min(total, n*keep), now) {
		t.now.dropped[dropRate] += uint64(n)
		return
	}
	for i := range n {
		payload := s.part(i)
		size := len(s.header) + len(payload)
		if size > t.out.fits && keep == t.out.fits {
			t.now.cut++
		}
		t.out.addSegment(s, i, payload[:max(min(size, keep)-len(s.header), 0)], min(keep, len(s.header)), &t.now)
	}
}

// wanted asks the filter.
func (t *Tap) wanted(p *tpacket.Packet) bool {
	if t.cfg.Filter == nil {
		return true
	}
	f := &t.frame
	f.Data, f.Length, f.Direction = p.Data, p.Len, packet.Ingress
	if p.Outgoing {
		f.Direction = packet.Egress
	}
	decode.Decode(f)
	return t.cfg.Filter.Accepts(f)
}

// Run mirrors until ctx is done, which is no error, or the interface is gone. It
// may be called once.
func (t *Tap) Run(ctx context.Context) error {
	err := t.run(ctx)
	t.publish()
	if err != nil {
		return fmt.Errorf("mirror %s: %w", t.cfg.Interface, err)
	}
	return nil
}
