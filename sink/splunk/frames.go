package splunk

import (
	"net/netip"

	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/record"
	"github.com/periscope-collector/periscope/sink"
	"github.com/periscope-collector/periscope/sink/queue"
)

var _ sink.Frames = (*Frames)(nil)

// A FrameMode says how many of the frames that match are sent.
type FrameMode uint8

// The modes.
const (
	FramesOff FrameMode = iota
	FramesSampled
	FramesAll
)

// A FrameConfig says which frames become events.
type FrameConfig struct {
	Mode    FrameMode
	Sample  int // one in so many when sampled; 0 is 1
	Payload int // bytes kept of what is behind the headers, 0 to 256
	Match   Match
}

// A Match is what a frame has to meet, all of it. The zero value of a field is
// met by every frame.
type Match struct {
	Session  string
	Protocol uint8        // above IP
	Port     uint16       // of either end
	Address  netip.Prefix // of either end
}

func (m *Match) meets(f *packet.Frame) bool {
	h := &f.Header
	ports := h.Transport != 0 && h.Protocol != packet.ProtocolICMP && h.Protocol != packet.ProtocolICMPv6
	switch {
	case m.Session != "" && m.Session != f.Session.Name,
		m.Protocol != 0 && (h.Version == 0 || h.Protocol != m.Protocol),
		m.Port != 0 && (!ports || h.SrcPort != m.Port && h.DstPort != m.Port):
		return false
	}
	return !m.Address.IsValid() ||
		h.Network != 0 && (m.Address.Contains(h.Src.Netip()) || m.Address.Contains(h.Dst.Netip()))
}

// Frames is the sink as it takes frames. Workers mark it before they wait with a
// record, see pipeline.Done: it has a queue of its own.
type Frames struct {
	*Sink
	queue *queue.Queue[record.Frame]
	items []frameItem // by worker
}

// A frameItem is where a worker makes what it puts into the queue.
type frameItem struct {
	record.Frame
	matched uint64
	_       [64]byte // apart from other workers
}

// One frameShare-th of Config.Buffer is for frames, if some are sent.
const frameShare = 2

func newFrames(s *Sink) *Frames {
	return &Frames{
		Sink: s,
		queue: queue.New[record.Frame](queue.Config{
			Workers: s.cfg.Workers, Bytes: s.cfg.Buffer / frameShare, Replay: s.cfg.Replay,
		}),
		items: make([]frameItem, s.cfg.Workers),
	}
}

// Frames returns what takes the sink's frames, or nil if none are sent.
func (s *Sink) Frames() *Frames { return s.frames }

// Offer copies what an event says of a frame, if it is one that is sent. The
// first frame that matches is, and then every so many, of each worker.
func (f *Frames) Offer(worker int, fr *packet.Frame) {
	c := &f.cfg.Frames
	if !c.Match.meets(fr) {
		return
	}
	item := &f.items[worker]
	item.matched++
	if c.Mode == FramesSampled && (item.matched-1)%uint64(max(c.Sample, 1)) != 0 {
		return
	}
	w := &f.workers[worker]
	w.offered.Add(1)
	item.Set(fr, c.Payload)
	if !f.queue.Put(worker, 0, &item.Frame) {
		w.dropped.Add(1)
	}
}

// Mark ends a batch of the worker's.
func (f *Frames) Mark(worker int, _, now int64) { f.queue.Mark(worker, now) }

// frame makes the event of a frame.
func (e *encoder) frame(f *record.Frame) {
	l := e.s.lane[frameKind]
	e.event = e.s.events.AppendFrame(e.event[:0], f, e.next(l))
	e.put(frameKind, l)
}
