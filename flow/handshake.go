package flow

import "github.com/periscope-collector/periscope/packet"

// A handshake is how much of a connection's beginning was seen. Until a time is
// measured its place in entry.times holds the time it is measured from.
type handshake uint8

const (
	noHandshake  handshake = iota
	synSeen                // times[0] is when
	synAckSeen             // times[0] is the server's time, times[1] is when
	measured               // times holds the server's time and the client's
	halfMeasured           // times[0] holds the server's time
	unclear                // what an answer belongs to cannot be told
	reported     = 0x80    // the times were in a record
)

// shake follows the handshake. Of what was sent twice nothing is measured, since
// it cannot be told which one was answered (Karn's algorithm, RFC 6298, section
// 3).
func (e *entry) shake(st *staged, flags uint8) {
	if flags&flagSYN == 0 && e.handshake != synAckSeen || flags&flagFIN != 0 {
		return
	}
	now := micros(st.time)
	fromInitiator := st.sender == e.initiator()
	switch flags & (flagSYN | flagACK) {
	case flagSYN:
		switch e.handshake {
		case noHandshake:
			e.setInitiator(st.sender)
			e.handshake, e.times[0] = synSeen, now
		case synSeen:
			e.handshake = unclear
		case synAckSeen:
			e.handshake = halfMeasured
		}
	case flagSYN | flagACK:
		switch {
		case e.handshake == noHandshake:
			e.setInitiator(st.sender ^ 1)
			e.handshake = unclear
		case e.handshake == synSeen && fromInitiator:
			e.handshake = unclear
		case e.handshake == synSeen:
			e.handshake = e.measure(0, now, synAckSeen)
			e.times[1] = now
		case e.handshake == synAckSeen:
			e.handshake = halfMeasured
		}
	case flagACK:
		if fromInitiator {
			e.handshake = e.measure(1, now, measured)
		}
	}
}

// measure turns a time into the time that passed since.
func (e *entry) measure(i int, now uint32, then handshake) handshake {
	passed := int32(now - e.times[i])
	if passed < 0 {
		return unclear
	}
	e.times[i] = max(1, uint32(passed))
	return then
}

// roundTrip is the time below which a retransmission cannot come: that of the
// handshake, or what most networks need at least.
func (e *entry) roundTrip() uint32 {
	if e.handshake&^reported == measured {
		return e.times[0] + e.times[1]
	}
	return reordering
}

// report puts the times into the record in which the handshake ended, or the
// last one.
func (e *entry) report(r *packet.Flow, goesOn bool) {
	switch {
	case e.handshake == measured:
		r.ServerRTT, r.ClientRTT = int64(e.times[0])*1000, int64(e.times[1])*1000
	case e.handshake == halfMeasured || e.handshake == synAckSeen && !goesOn:
		r.ServerRTT = int64(e.times[0]) * 1000
	default:
		return
	}
	e.handshake |= reported
}
