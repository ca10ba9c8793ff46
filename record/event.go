package record

import (
	"bytes"
	"encoding/json"
	"slices"
	"unicode/utf8"

	"github.com/periscope-collector/periscope/packet"
)

// Source types of events.
const (
	FlowSourcetype    = "periscope:flow"
	LedgerSourcetype  = "periscope:ledger"
	FrameSourcetype   = "periscope:frame"
	VPCFlowSourcetype = "aws:cloudwatchlogs:vpcflow" // the one Splunk's add-on for AWS reads
)

// EventConfig says what events have beside what they are about. Strings may be
// any bytes; "" leaves a key out.
type EventConfig struct {
	Host      string // of the collector: host of every event, and dvc of flows and frames
	Source    string // "" is "periscope"
	Collector string // name of the collector

	// Indexes by kind of event; "" is the default one of the token.
	FlowIndex, VPCFlowIndex, FrameIndex, LedgerIndex string

	// VPCFlow is the format of [Events.AppendVPCFlow]; nil is the one of
	// version 2.
	VPCFlow *Fields

	// JSON gives the AWS services and causes of cut frames, as in a record.
	JSON
}

// Events writes events for Splunk's HTTP Event Collector ("Format events for
// HTTP Event Collector"): the JSON object that has time, host, source type and
// the event itself, without a newline. Time is Unix time with six decimals, made
// of integers. All is valid JSON in valid UTF-8.
//
// It is made by [NewEvents], and for one goroutine at a time: it keeps what the
// events of a session have in common.
type Events struct {
	config EventConfig
	common []byte // keys all events have in common, each with a comma before it

	flow, vpcflow, frame, ledger []byte // of the envelope, from behind the time to the event

	// sessions has the end of a session's events, from its keys on: at most
	// 4,096 of 3,000 bytes and two brackets, 12 MiB.
	sessions map[*packet.Session][]byte

	scratch []byte
}

const (
	eventSessions     = 4096
	eventSessionBytes = 3000
)

// NewEvents returns a writer of events.
func NewEvents(c EventConfig) *Events {
	if c.Source == "" {
		c.Source = "periscope"
	}
	if c.VPCFlow == nil {
		c.VPCFlow = VPCFlowFields(2)
	}
	return &Events{
		config:   c,
		flow:     envelope(&c, FlowSourcetype, c.FlowIndex),
		vpcflow:  envelope(&c, VPCFlowSourcetype, c.VPCFlowIndex),
		frame:    envelope(&c, FrameSourcetype, c.FrameIndex),
		ledger:   envelope(&c, LedgerSourcetype, c.LedgerIndex),
		common:   common(&c),
		sessions: make(map[*packet.Session][]byte),
	}
}

// VPCFlowFields returns the fields of flow logs of version 2 to 5 and below in
// AWS's order. Splunk's add-on for AWS reads those of 2 and 5.
func VPCFlowFields(version int) *Fields {
	f := &Fields{version: version}
	for i := range flowFields {
		if flowFields[i].Version <= version {
			f.columns = append(f.columns, &flowFields[i])
		}
	}
	return f
}

// EventKeys returns the keys of a flow as an event, in order.
func EventKeys() []Key {
	var ks []Key
	for _, g := range eventGroups {
		ks = append(ks, g.keys...)
	}
	return slices.Concat([]Key{eventProtocol}, ks, eventEndKeys)
}

func envelope(c *EventConfig, sourcetype, index string) []byte {
	var b []byte
	for _, v := range [][2]string{{"host", c.Host}, {"source", c.Source}, {"sourcetype", sourcetype}, {"index", index}} {
		if v[1] != "" {
			b = appendString(append(b, `,"`+v[0]+`":`...), v[1])
		}
	}
	return append(b, `,"event":`...)
}

// AppendFlow appends the event of a flow, both ways, at the time of its last
// packet. uid is its event_uid. The event itself has less than 5,000 bytes,
// beyond which Splunk finds no keys by itself (limits.conf, spath): of names so
// long that they do not fit, the session's last keys are left out. It does not
// allocate when dst has room, but for the first flow of a session.
func (e *Events) AppendFlow(dst []byte, r *packet.Flow, uid []byte) []byte {
	_, last := packetSpan(r)
	dst = append(appendEpoch(append(dst, `{"time":`...), last), e.flow...)
	dst = append(dst, `{"protocol":"ip"`...)
	for i := range eventGroups {
		if g := &eventGroups[i]; g.applies(r, &e.config.JSON) {
			dst = appendKeys(dst, g.keys, r, &e.config.JSON)
		}
	}
	return e.end(dst, uid, r.Session)
}

// end appends event_uid and what all events of a session have in common.
func (e *Events) end(dst, uid []byte, s *packet.Session) []byte {
	if len(uid) > 0 {
		dst = appendQuoted(append(dst, eventUID.quote...), uid)
	}
	return append(dst, e.session(s)...)
}

// session returns the end of a session's events.
func (e *Events) session(s *packet.Session) []byte {
	if end, found := e.sessions[s]; found {
		return end
	}
	if len(e.sessions) == eventSessions {
		clear(e.sessions)
	}
	end := append(e.scratch[:0], e.common...)
	r := &packet.Flow{Session: s}
	for i := range eventSessionKeys {
		k := &eventSessionKeys[i]
		end = appendBounded(end, k, k.append(nil, r, k.side, nil))
	}
	e.scratch = append(end, "}}"...)
	e.sessions[s] = slices.Clone(e.scratch)
	return e.sessions[s]
}

// common returns the keys that all flows have in common.
func common(c *EventConfig) []byte {
	var b []byte
	for i, v := range []string{"allowed", "Periscope", c.Host, c.Collector} {
		b = appendBounded(b, &eventCommonKeys[i], appendString(nil, v))
	}
	return b
}

// appendBounded appends a comma and a key, unless it has no value, or b would
// become too long.
func appendBounded(b []byte, k *Key, value []byte) []byte {
	if len(value) == 0 || len(b)+len(k.quote)+len(value) > eventSessionBytes {
		return b
	}
	return append(append(b, k.quote...), value...)
}

// AppendVPCFlow appends the event of what one end of a flow sent, as a line of
// flow logs, at the time of its last packet. The caller leaves out a side
// without packets. event_uid is an indexed field, since a line has no place for
// it.
func (e *Events) AppendVPCFlow(dst []byte, r *packet.Flow, side int, uid []byte) []byte {
	e.scratch = e.config.VPCFlow.AppendFlow(e.scratch[:0], r, side)
	line := e.scratch[:len(e.scratch)-1] // without its newline
	dst = append(appendEpoch(append(dst, `{"time":`...), r.Side[side].Last), e.vpcflow...)
	return appendFields(appendQuoted(dst, line), uid)
}

// AppendLedger appends the event of a JSON object at a time, in nanoseconds
// since 1970. What is not an object in UTF-8 becomes a string, and what is blank
// nothing, as HEC refuses it.
func (e *Events) AppendLedger(dst []byte, at int64, object, uid []byte) []byte {
	object = bytes.TrimSpace(object)
	if len(object) == 0 {
		return dst
	}
	dst = append(appendEpoch(append(dst, `{"time":`...), at), e.ledger...)
	if object[0] == '{' && utf8.Valid(object) && json.Valid(object) {
		return appendFields(append(dst, object...), uid)
	}
	return appendFields(appendQuoted(dst, object), uid)
}

// appendFields appends event_uid as an indexed field, and ends the envelope.
func appendFields(dst, uid []byte) []byte {
	if len(uid) == 0 {
		return append(dst, '}')
	}
	dst = append(dst, `,"fields":{"event_uid":`...)
	return append(appendQuoted(dst, uid), "}}"...)
}

// appendQuoted is appendString without a copy of what needs no escaping.
func appendQuoted(dst, s []byte) []byte {
	for _, c := range s {
		if !plain[c] {
			return appendString(dst, string(s))
		}
	}
	return append(append(append(dst, '"'), s...), '"')
}

// plain tells the bytes that stand for themselves in a JSON string.
var plain = func() (plain [256]bool) {
	for c := ' '; c < 0x7f; c++ {
		plain[c] = c != '"' && c != '\\'
	}
	return plain
}()

// packetSpan returns the times of the first and the last packet, either way.
func packetSpan(r *packet.Flow) (first, last int64) {
	a, b := &r.Side[0], &r.Side[1]
	switch {
	case a.Packets == 0:
		return b.First, b.Last
	case b.Packets == 0:
		return a.First, a.Last
	}
	return min(a.First, b.First), max(a.Last, b.Last)
}

// appendEpoch appends nanoseconds as seconds with six decimals; what is before
// 1970, which HEC does not take, as 0.
func appendEpoch(dst []byte, ns int64) []byte {
	ns = max(ns, 0)
	dst = append(appendUint(dst, uint64(ns/1e9)), ".000000"...)
	putDigits(dst[len(dst)-6:], uint32(ns%1e9/1e3))
	return dst
}
