package session

import (
	"encoding/binary"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"

	"github.com/periscope-collector/periscope/packet"
)

// maxAnnounced bounds the senders, and the truncated sessions, that are
// announced, and with them what strangers can have logged.
const maxAnnounced = 4096

// An Announcer logs the first frame of each sender and session, and the first
// truncation of each session with its likely cause. Of an identity it logs the
// session's name, the VNI and the outer source, no more. It takes 128 KiB, and
// may be used from any goroutine.
type Announcer struct {
	log     *slog.Logger
	seed    uint64
	senders onceSet
	cuts    onceSet
}

// NewAnnouncer returns an announcer that logs to log.
func NewAnnouncer(log *slog.Logger) *Announcer {
	return &Announcer{log: log, seed: rand.Uint64()}
}

// refusals says why the first frame of a sender is not delivered, where an
// operator can do something about it.
var refusals = map[packet.Reason]string{
	packet.NotAllowed:     "capture.allow does not admit its address",
	packet.UnknownSession: "no session explains its VNI, and sessions.unknown is drop",
	packet.UnknownLimit:   "no session explains its VNI, and there are sessions.unknown_max unknown ones already",
}

// Saw announces what is new about a frame, which it does not keep: one with a
// session, which must be decoded, or one that is not delivered. It allocates
// nothing and takes no lock unless it has something to announce.
func (a *Announcer) Saw(f *packet.Frame) {
	var id uint32
	switch {
	case f.Session != nil:
		id = f.Session.ID
	case f.Reason != packet.NotAllowed && f.Reason != packet.UnknownSession && f.Reason != packet.UnknownLimit:
		return
	}
	if !a.senders.full.Load() {
		a.sender(f, id)
	}
	if id != 0 && f.Truncated() {
		a.truncation(f)
	}
}

func (a *Announcer) sender(f *packet.Frame, id uint32) {
	key := mix(a.seed ^ uint64(f.Reason)<<56 ^ uint64(id)<<24 ^ uint64(f.VNI))
	if f.Reason == packet.NotAllowed || f.Reason == packet.UnknownLimit {
		key = mix(a.seed ^ uint64(f.Reason)<<56) // once a sender, whatever its VNIs
	}
	key = mix(key ^ binary.LittleEndian.Uint64(f.Source[8:]))
	key = mix(key ^ binary.LittleEndian.Uint64(f.Source[:8]))
	switch a.senders.add(key) {
	case first:
		if f.Session == nil {
			a.log.Warn("first frame of a sender is not delivered: "+refusals[f.Reason],
				"reason", f.Reason.String(), "vni", f.VNI, "source", f.Source.String())
			return
		}
		a.log.Info("first frame of a sender",
			"session", f.Session.Name, "vni", f.VNI, "source", f.Source.String(), "known", f.Session.Known)
	case overflow:
		a.log.Warn("further senders are not announced", "announced", maxAnnounced)
	}
}

func (a *Announcer) truncation(f *packet.Frame) {
	switch a.cuts.add(mix(a.seed ^ uint64(f.Session.ID))) {
	case first:
		a.log.Warn("first truncated frame of a session",
			"session", f.Session.Name, "vni", f.VNI, "source", f.Source.String(),
			"bytes", len(f.Data), "of", f.Length, "likely_cause", TruncationCause(f.Session, len(f.Data)))
	case overflow:
		a.log.Warn("further truncated sessions are not announced", "announced", maxAnnounced)
	}
}

// A onceSet remembers up to maxAnnounced hashes of 64 bits. It is half full at
// most; what it holds is found without a lock, and once it overflowed so is
// what it does not hold.
type onceSet struct {
	slots [2 * maxAnnounced]atomic.Uint64 // 0 is free
	full  atomic.Bool
	mu    sync.Mutex // held to add
	count int
}

// What add found.
type outcome uint8

const (
	again    outcome = iota // not the first time, or not told since the set is full
	first                   // not there until now
	overflow                // the first that there is no room for
)

func (o *onceSet) add(key uint64) outcome {
	key = max(key, 1)
	if o.full.Load() {
		return again
	}
	if _, ok := o.find(key); ok {
		return again
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	free, ok := o.find(key)
	switch {
	case ok || o.full.Load():
		return again
	case o.count == maxAnnounced:
		o.full.Store(true)
		return overflow
	}
	o.count++
	free.Store(key)
	return first
}

// find returns the slot of the key, or the free one where it would be.
func (o *onceSet) find(key uint64) (slot *atomic.Uint64, ok bool) {
	for i := key; ; i++ {
		slot = &o.slots[i%uint64(len(o.slots))]
		switch slot.Load() {
		case key:
			return slot, true
		case 0:
			return slot, false
		}
	}
}
