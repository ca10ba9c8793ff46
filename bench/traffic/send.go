package traffic

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"

	"github.com/periscope-collector/periscope/tunnel"
)

// A SendConfig says what Send sends.
type SendConfig struct {
	// To is the target. AWS sends to port 4789.
	To netip.AddrPort

	// VNI is the VXLAN network identifier, 24 bits.
	VNI uint32

	// Rate is in datagrams a second; 0 means as fast as it can.
	Rate float64

	// Count is the number of datagrams; 0 means no end but that of Next or of
	// the context.
	Count int64

	// Seed, Flows and Size are those of the FramesConfig of generated frames.
	// The faster they are sent, the more frames of a flow come in a row.
	Seed  uint64
	Flows int
	Size  Size

	// Next, unless nil, replaces the generated frames. It appends the next
	// frame to b, or returns io.EOF. A frame has at most 65,499 bytes.
	Next func(b []byte) ([]byte, error)

	// Progress, unless nil, is called about once a second, by the goroutine
	// that sends.
	Progress func(Result)
}

// A Result counts what the kernel took.
type Result struct {
	Packets  int64
	Bytes    int64 // of the frames
	Duration time.Duration
}

// Rate returns the datagrams a second.
func (r Result) Rate() float64 {
	if r.Duration <= 0 {
		return 0
	}
	return float64(r.Packets) / r.Duration.Seconds()
}

// String returns the result as a sentence.
func (r Result) String() string {
	return fmt.Sprintf("sent %d packets, %d bytes in %s: %.0f pps",
		r.Packets, r.Bytes, r.Duration.Round(10*time.Microsecond), r.Rate())
}

// maxFlows keeps the flows' memory, 48 bytes each, below 50 MB.
const maxFlows = 1_000_000

// maxFrame is the longest frame that fits into a datagram, with IPv4.
const maxFrame = 65507 - tunnel.VXLANLen

// Send wraps frames in VXLAN and sends them as AWS does, as far as sockets
// can: from the source ports of [SourcePort], with TTL 255, DF clear and, over
// IPv4, without checksum. A port in use by others is replaced by another one of
// them, at last by any. Frames with one source port arrive in their order.
//
// It returns when Count datagrams are sent, at the end of Next, or when ctx is
// done, which is no error. That nothing listens on To is an error, reported at
// the end: it does not keep Send from going on. The Result is valid with an
// error, too.
func Send(ctx context.Context, c SendConfig) (Result, error) {
	if err := c.Validate(); err != nil {
		return Result{}, err
	}
	start := time.Now()
	s := &sender{config: c, next: c.Next, group: newGroup(c.To), pacer: newPacer(c.Rate), progress: start}
	if s.next == nil {
		frames := NewFrames(FramesConfig{Seed: c.Seed, Flows: c.Flows, Size: c.Size, Burst: s.pacer.burst()})
		s.next = func(b []byte) ([]byte, error) { return frames.Append(b), nil }
	}
	err := s.run(ctx)
	err = cmp.Or(err, s.group.close())
	s.result.Duration = time.Since(start)
	return s.result, err
}

// Validate returns an error for a field that Send would refuse, Size excepted,
// which is brought into its range.
func (c *SendConfig) Validate() error {
	switch {
	case !c.To.IsValid() || c.To.Port() == 0:
		return fmt.Errorf("target %s: want an address and a port", c.To)
	case c.VNI >= 1<<24:
		return fmt.Errorf("vni %d: want 0 to %d", c.VNI, 1<<24-1)
	case !(c.Rate >= 0 && c.Rate <= 1e9):
		return fmt.Errorf("rate %v: want 0 (as fast as it can) to 1e9 packets a second", c.Rate)
	case c.Count < 0:
		return fmt.Errorf("count %d: want 0 (no end) or more", c.Count)
	case c.Flows < 0 || c.Flows > maxFlows:
		return fmt.Errorf("flows %d: want 1 to %d", c.Flows, maxFlows)
	}
	return nil
}

// A sender is the state of one Send.
type sender struct {
	config   SendConfig
	next     func([]byte) ([]byte, error)
	group    *group
	pacer    pacer
	batch    batch
	result   Result
	progress time.Time // of the last call
}

func (s *sender) run(ctx context.Context) error {
	for s.config.Count == 0 || s.result.Packets < s.config.Count {
		n := s.pacer.wait(ctx, s.result.Packets)
		if n == 0 {
			return nil
		}
		if s.config.Count != 0 {
			n = min(n, s.config.Count-s.result.Packets)
		}
		err := s.send(ctx, n)
		if errors.Is(err, io.EOF) || ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		s.report()
	}
	return nil
}

// send sends the next n frames. It returns io.EOF when there are no more.
func (s *sender) send(ctx context.Context, n int64) error {
	for range n {
		b, err := s.next(tunnel.AppendVXLAN(s.batch.free(), s.config.VNI))
		if err == nil && len(b) > tunnel.VXLANLen+maxFrame {
			err = fmt.Errorf("a frame of %d bytes does not fit into a datagram: at most %d do", len(b)-tunnel.VXLANLen, maxFrame)
		}
		if err != nil {
			return cmp.Or(s.flush(ctx), err)
		}
		port := SourcePort(b[tunnel.VXLANLen:])
		if s.batch.n > 0 && s.batch.port != port {
			if err := s.flush(ctx); err != nil {
				return err
			}
			b = append(s.batch.free(), b...)
		}
		s.batch.add(port, b)
		if s.batch.full() {
			if err := s.flush(ctx); err != nil {
				return err
			}
		}
	}
	return s.flush(ctx)
}

// flush sends the batch.
func (s *sender) flush(ctx context.Context) error {
	sent, bytes, err := s.group.send(ctx, &s.batch)
	s.result.Packets += int64(sent)
	s.result.Bytes += int64(bytes - sent*tunnel.VXLANLen)
	s.batch.reset()
	return err
}

func (s *sender) report() {
	if s.config.Progress == nil {
		return
	}
	if d := time.Since(s.progress); d >= time.Second {
		s.progress = s.progress.Add(d)
		s.result.Duration += d
		s.config.Progress(s.result)
	}
}
