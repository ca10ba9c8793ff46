package hec

import (
	"maps"
	"net/http"
	"time"
)

// Stats are the counters of a Client, from its beginning on.
type Stats struct {
	Endpoints []EndpointStats // in the order of the Config

	// Reads of the token file that brought other tokens, and that failed.
	TokenReloads, TokenFailures uint64
}

// EndpointStats are those of one endpoint.
type EndpointStats struct {
	URL      string
	Up       bool   // it is not on hold
	Hold     string // why it is: backoff, breaker, token, config
	InFlight int    // requests that are out, at most 16 in all
	Limit    int    // how many may be, 1 to 8

	Requests    map[Answer]uint64 // that are over; one tried with several tokens counts once
	Seconds     float64           // they took, together
	WireBytes   uint64            // of their bodies as sent
	RawBytes    uint64            // of their bodies before compression
	LastSuccess time.Time         // when events were taken last, zero for never

	AcksPending   int     // requests whose acknowledgement is awaited, at most 10,000
	AckSeconds    float64 // that acknowledged requests took from being taken on, together
	Acks          uint64  // requests that were acknowledged
	AckTimeouts   uint64  // requests whose acknowledgement did not come
	AckDowngrades uint64  // 1 once it gave ackIds and no acknowledgements

	// DupRisk counts events that are sent again and may be there already.
	DupRisk uint64
}

// An Answer is what requests are counted by. It has a bounded number of values: a
// status without a name counts as the first of its hundred, a code that Splunk
// does not have as OtherCode.
type Answer struct {
	HTTP int // status, 0 without an answer
	Code int // of the HEC answer, -1 without one
}

// OtherCode stands for every code that Splunk does not have.
const OtherCode = -2

// counts are the counters of an endpoint. The mu of the Client holds them.
type counts struct {
	requests      map[Answer]uint64
	took          time.Duration
	wire, raw     uint64
	last          time.Time
	acks          uint64
	ackTime       time.Duration
	ackTimeouts   uint64
	ackDowngrades uint64
	dupRisk       uint64
}

// add takes in a request that is over.
func (n *counts) add(o *Outcome, r Request, took time.Duration) {
	a := Answer{o.HTTP, o.Code}
	if http.StatusText(a.HTTP) == "" {
		a.HTTP -= a.HTTP % 100
	}
	if a.Code >= len(codes) {
		a.Code = OtherCode
	}
	n.requests[a]++
	n.took += took
	n.wire += uint64(o.Wire)
	n.raw += uint64(r.size())
	if o.Class.taken() {
		n.last = time.Now()
	}
	if o.DupRisk {
		n.dupRisk += uint64(len(r.Events))
	}
}

// Stats returns the counters. It may be called at any time.
func (c *Client) Stats() Stats {
	var s Stats
	s.TokenReloads, s.TokenFailures = c.tokens.counts()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range c.endpoints {
		g, n := &e.gate, &e.counts
		s.Endpoints = append(s.Endpoints, EndpointStats{
			URL: e.url.String(), Up: g.hold == free, Hold: holds[g.hold].name, InFlight: g.inflight, Limit: g.size(),
			Requests: maps.Clone(n.requests), Seconds: n.took.Seconds(), WireBytes: n.wire, RawBytes: n.raw, LastSuccess: n.last,
			AcksPending: g.pending, AckSeconds: n.ackTime.Seconds(), Acks: n.acks,
			AckTimeouts: n.ackTimeouts, AckDowngrades: n.ackDowngrades, DupRisk: n.dupRisk,
		})
	}
	return s
}
