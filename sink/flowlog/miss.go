package flowlog

import "github.com/periscope-collector/periscope/packet"

// A miss says that a record of a session's is missing in an interval; of any
// session's if session is nil.
type miss struct {
	session    *packet.Session
	begin, end int64
}

// maxMissed bounds the misses of a worker that wait for the writer. They are one
// for each session with traffic and interval, and the writer takes them at every
// cut. With those of any session, of up to maxIntervals, they take some 100 bytes
// each, or 0.5 MiB.
const maxMissed = 4096

// misses are what a worker notes for the writer of the records it has dropped.
type misses struct {
	noted   map[miss]struct{}
	left    uint64 // that were not noted, for lack of room; at most, since one may count again
	leftOut miss   // the last of them
}

// add notes m, or that something of its interval is missing if there is no room.
func (all *misses) add(m miss) {
	if all.noted == nil {
		all.noted = make(map[miss]struct{})
	}
	if _, there := all.noted[m]; there || m == all.leftOut {
		return
	}
	if len(all.noted) < maxMissed {
		all.noted[m] = struct{}{}
		return
	}
	all.left++
	all.leftOut = m
	if len(all.noted) < maxMissed+maxIntervals {
		all.noted[miss{nil, m.begin, m.end}] = struct{}{}
	}
}
