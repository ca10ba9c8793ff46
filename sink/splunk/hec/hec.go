// Package hec speaks the HTTP Event Collector protocol of Splunk as a client:
// [Client.Acquire] gives a place at an endpoint, [Slot.Send] takes a body of
// events there and returns one classified [Outcome].
//
// When an endpoint may be asked is decided here, for each by itself: a window of
// requests that follows its answers, a back-off after one that failed, a breaker
// after three, a hold while it refuses the token or is not set up. One that is
// down, slow or silent has at most its own places and takes none of the others'.
// Sending again and splitting are the caller's, as [Class] says; it needs no
// clock for it.
//
// A token file that is missing or has no token in it refuses every token: it is
// read again every 5 s, and [Client.Tokens] says what is wrong.
//
// A request is sent to one endpoint once, with each token of the token file at
// most. A channel for each token and cookies are kept for each endpoint. Where
// acknowledgements are awaited, a goroutine of the endpoint asks for them after
// 2 s, then every 10 s; a request whose acknowledgement does not come is to be
// sent again. So is all of a channel that the server has forgotten.
//
// A request owns a pooled buffer for its compressed body while it runs, and reads
// at most 64 KiB of the answer's head and of its body each. At most 16 are out at
// once, and 10,000 acknowledgements awaited of one endpoint, 1 MB; beyond that it
// takes no more requests. A [Client] may be used by several goroutines; it has one
// of its own for each endpoint that is probed or acknowledges, until Close.
//
// Neither tokens nor bytes of an answer's body are ever part of an error or a
// log line. It knows nothing of records or of the spool.
package hec

import (
	"fmt"
	"time"
)

// A Class says what is to be done with the events of a request.
type Class uint8

// The classes. The zero value keeps the events.
const (
	Retry      Class = iota // send again, from Invalid if that is above 0
	Delivered               // done
	Split                   // an event is bad: Invalid, or one that halving finds
	HoldToken               // every token is refused; send again
	HoldIndex               // the index is refused; keep what is for that index
	HoldConfig              // the endpoint or what is between is not set up for this; send again
	PlainBody               // send again: the endpoint gets no compressed bodies from now on
	TooLarge                // send fewer bytes; a single event cannot be sent
	AwaitAck                // taken; Acked will be called
)

var classes = [...]string{"retry", "delivered", "split", "hold_token", "hold_index", "hold_config", "plain_body", "too_large", "await_ack"}

// String returns the name of c.
func (c Class) String() string {
	if int(c) >= len(classes) {
		return fmt.Sprintf("class(%d)", uint8(c))
	}
	return classes[c]
}

// taken says whether the endpoint has the events.
func (c Class) taken() bool { return c == Delivered || c == AwaitAck }

// An AckMode says whether the indexing of events is awaited. That takes a token
// with useACK; Splunk Cloud does not offer it.
type AckMode uint8

// The modes.
const (
	AckAuto    AckMode = iota // wherever an endpoint gives an ackId, while it acknowledges
	AckOff                    // nowhere
	AckRequire                // everywhere; an endpoint without is held
)

// A Request is events that are sent as one body, a line each. Send reads them until
// it returns, no longer.
type Request struct {
	Events [][]byte // envelopes, one or more

	// Acked is called once if the class is AwaitAck, by a goroutine of the Client,
	// perhaps before Send has returned: true when the events are indexed, false
	// if they are to be sent again, since no acknowledgement came for 5 minutes
	// or the server has forgotten the channel. It must not wait. After Close it
	// is not called any more. Without it nothing is awaited.
	Acked func(ok bool)
}

var newline = []byte{'\n'}

// size is that of the body before compression.
func (r Request) size() int {
	n := len(r.Events) - 1
	for _, e := range r.Events {
		n += len(e)
	}
	return n
}

// An Outcome is what became of a request.
type Outcome struct {
	Class    Class
	Endpoint string // URL of the endpoint
	HTTP     int    // status, 0 without an answer
	Code     int    // of the HEC answer, -1 without one

	// Invalid is the number of the first event, from 0, that was not taken, or
	// -1 if the answer has none or one that is not to be trusted. With Split it
	// is the bad event; with Retry it is above 0. Those before it were taken; if
	// that is not certain, since acknowledgements are awaited, DupRisk is set, and
	// they are to be sent again.
	Invalid int

	RetryAfter time.Duration // as the server asks, 0 to 10 minutes; the endpoint is left alone that long
	AckID      int64         // of a request that was taken, -1 without one
	Wire       int           // bytes of the body as sent
	Slow       bool          // the endpoint asks for less, or did not answer in time
	DupRisk    bool          // events that are sent again may be there already

	// Err says what happened in one line unless the request was taken. It
	// holds nothing of the answer's body and no token.
	Err error
}
