package session

import (
	"cmp"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/periscope-collector/periscope/packet"
)

// Strangers are the unknown sessions of a view. Any number of goroutines may
// find while one adds.
type strangers struct {
	index   *index
	retired atomic.Bool  // a new view is being made: who comes here waits for that
	room    atomic.Int64 // how many may be added by VNI alone
	apart   atomic.Int64 // how many by source; less than 0 where none are
}

// newStrangers returns room for a number of sessions by VNI and for others by
// source, which have two places in the index: as the latest of their source, and
// by MAC address.
func newStrangers(byVNI, bySource int) *strangers {
	u := &strangers{index: newIndex(byVNI + 2*bySource)}
	u.room.Store(int64(byVNI))
	u.apart.Store(int64(cmp.Or(bySource, -1)))
	return u
}

// find returns the unknown session of a frame, or nil if there is none or there
// is room for one that fits better.
func (u *strangers) find(f *packet.Frame) *packet.Session {
	vni := f.VNI & MaxVNI
	if apart := u.apart.Load(); apart >= 0 && !f.Source.IsZero() {
		if s := u.ofSource(vni, f); s != nil || apart > 0 {
			return s
		}
	}
	s := u.index.find(vniKey(vni), &f.Source)
	if s != nil && !s.Sole.Mixed.Load() && news(s, f) && watch(s, f) && u.retired.Load() {
		return nil // it was too late for who asks whose it is
	}
	return s
}

// ofSource returns the unknown session of the frame's source and interface. One
// of which no MAC address is known has the frames that do not tell any.
func (u *strangers) ofSource(vni uint32, f *packet.Frame) *packet.Session {
	latest := u.index.find(u.index.sourceKey(vni, &f.Source), &f.Source)
	if latest == nil || latest.ByMAC && holds(latest, f) {
		return latest
	}
	if len(f.Data) >= packet.EthernetLen {
		for _, mac := range [...][6]byte{[6]byte(f.Data), [6]byte(f.Data[6:])} {
			if s := u.index.findMAC(vni, &f.Source, mac); s != nil && s.ByMAC {
				return s
			}
		}
	}
	if _, ok := ownMAC(f); ok {
		return nil
	}
	s := u.index.findMAC(vni, &f.Source, [6]byte{})
	if s == nil {
		return nil
	}
	raise(&inherited(s).LastSeen, f.Time|tick)
	if u.retired.Load() { // it was too late for who asks when the last frame came
		return nil
	}
	return s
}

// tick is how exactly the time of the last frame is known, some 1 ms: that often,
// not with each frame, workers write to one place. It is of the form 2^n-1 ns.
const tick = 1<<20 - 1

// full reports whether no session can be added for a frame.
func (u *strangers) full(f *packet.Frame) bool {
	return u.room.Load() <= 0 && (u.apart.Load() <= 0 || f.Source.IsZero())
}

// roomFor returns how many sessions such as s may be added.
func (u *strangers) roomFor(s *packet.Session) *atomic.Int64 {
	if s.Source.IsZero() {
		return &u.room
	}
	return &u.apart
}

// add adds a session, for which there is room. Only one goroutine adds at a
// time.
func (u *strangers) add(s *packet.Session) {
	if s.Source.IsZero() {
		u.index.add(vniKey(s.VNI), s, true)
	} else {
		u.index.add(u.index.macKey(s.VNI, &s.Source, s.MAC), s, true)
		key := u.index.sourceKey(s.VNI, &s.Source)
		if s.ByMAC || u.index.find(key, &s.Source) == nil {
			u.index.put(key, s)
		}
	}
	u.roomFor(s).Add(-1)
}

// unknownName is the name of the session of a VNI that no entry explains.
func unknownName(vni uint32) string { return fmt.Sprintf("vni-%d", vni) }

// newUnknown returns the session of a frame that no entry explains: of its VNI,
// and if apart of its source and the interface, too.
func newUnknown(id uint32, f *packet.Frame, apart bool, workers int) *packet.Session {
	s := &packet.Session{
		ID:      id,
		VNI:     f.VNI & MaxVNI,
		Since:   f.Time,
		Tallies: newTallies(workers),
	}
	s.Name = unknownName(s.VNI)
	if !apart {
		begin(s, f)
	}
	if apart && !f.Source.IsZero() {
		s.Source = f.Source
		s.Name += "-" + f.Source.String()
		if mac, ok := ownMAC(f); ok {
			s.MAC, s.ByMAC = mac, true
		}
	}
	return s
}

// silence is how long an unknown session that is kept apart may have no frame
// before its room is another's.
const silence = 10 * time.Minute

// silent reports whether an unknown session had no frame for long.
func silent(s *packet.Session, now time.Time) bool {
	return now.UnixNano()-max(s.Since, lastSeen(s)) >= int64(silence)
}

// beginning returns a frame as the first of an unknown session was, whose other
// frames had the same MAC address or none. One of several sources has no such, and
// the frame no source.
func beginning(s *packet.Session) *packet.Frame {
	f := &packet.Frame{VNI: s.VNI, Source: s.Source, Time: s.Since}
	switch {
	case s.Source.IsZero() && !s.Sole.Mixed.Load():
		f.Source, f.Data = s.Sole.Source, soleFrame(s)
	case s.ByMAC:
		f.Data = make([]byte, packet.EthernetLen)
		copy(f.Data, s.MAC[:])
	}
	return f
}
