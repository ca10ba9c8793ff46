package hec

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"
)

// query asks once for every acknowledgement that is awaited at an endpoint. It
// stops at a query without an answer; what it does not learn is asked again.
func (c *Client) query(e *endpoint) {
	e.mu.Lock()
	list := slices.Clone(e.waiting)
	e.mu.Unlock()
	byChannel := make(map[*channel][]*waiting)
	for _, w := range list {
		byChannel[w.ch] = append(byChannel[w.ch], w)
	}
	for ch, list := range byChannel {
		for part := range slices.Chunk(list, ackIDs) {
			told, verdict := c.askAcks(e, ch, part)
			switch verdict {
			case ackUnknown:
				return
			case ackRefused:
				c.ackless(e, "splunk endpoint does not acknowledge", "turn on useACK for the token, or set ack to off")
				return
			case ackGone:
				e.mu.Lock()
				e.lose(ch)
				e.mu.Unlock()
			}
			e.mu.Lock()
			for _, w := range part {
				w.told = told[w.id]
			}
			e.mu.Unlock()
		}
	}
}

// An ackVerdict is what an answer to a query means.
type ackVerdict uint8

const (
	ackUnknown ackVerdict = iota // no answer
	ackTold                      // it says which are indexed
	ackGone                      // the server does not know the channel
	ackRefused                   // there are no acknowledgements
)

// askAcks sends one query, with the channel and the token of the requests.
func (c *Client) askAcks(e *endpoint, ch *channel, part []*waiting) (map[int64]bool, ackVerdict) {
	ctx, cancel := context.WithTimeout(c.ctx, ackLimit)
	defer cancel()
	u := e.path("ack")
	u.RawQuery = url.Values{"channel": {ch.id}}.Encode()
	body := askFor(part)
	req := &http.Request{Method: http.MethodPost, URL: u, Header: http.Header{},
		Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body))}
	req.Header.Set("Authorization", "Splunk "+ch.token)
	req.Header.Set("Content-Type", "application/json")
	a, err := e.ask(req.WithContext(ctx), ch.id)
	if err != nil {
		return nil, ackUnknown
	}
	return readAcks(a)
}

// askFor is the body of a query.
func askFor(part []*waiting) []byte {
	b := []byte(`{"acks":[`)
	for i, w := range part {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, w.id, 10)
	}
	return append(b, "]}"...)
}

// readAcks reads an answer such as {"acks":{"0":true,"1":false}}. It returns the
// ids that are indexed; false only means that one is not yet.
func readAcks(a answer) (map[int64]bool, ackVerdict) {
	if a.cut {
		return nil, ackUnknown
	}
	switch a.status {
	case http.StatusOK:
	case http.StatusBadRequest:
		switch codeOf(a.body) {
		case codeBadChannel:
			return nil, ackGone
		case codeNoToken, codeTokenOff:
			return nil, ackUnknown
		}
		return nil, ackRefused
	case http.StatusMethodNotAllowed:
		return nil, ackRefused
	default:
		return nil, ackUnknown
	}
	var r struct {
		Acks map[string]bool `json:"acks"`
	}
	if json.Unmarshal(a.body, &r) != nil || r.Acks == nil {
		return nil, ackRefused
	}
	told := make(map[int64]bool, len(r.Acks))
	for key, indexed := range r.Acks {
		id, err := strconv.ParseInt(key, 10, 64)
		if err != nil || id < 0 || strconv.FormatInt(id, 10) != key {
			return nil, ackRefused
		}
		told[id] = indexed
	}
	return told, ackTold
}

// ackless takes in that an endpoint gives ackIds and no acknowledgements, and what
// to do about it. If they are required it is held, and what is awaited times out;
// else they are not asked for any more, and what is awaited counts as delivered,
// as it would without them.
func (c *Client) ackless(e *endpoint, what, hint string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ack == AckRequire {
		if e.gate.hold != misconfigured {
			e.gate.pause(misconfigured, 0, time.Now(), c.jitter)
			c.log.Warn(what+", its events are kept; "+hint, "endpoint", e.url.String())
		}
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.ackless = true
	for _, w := range e.waiting {
		w.told = true
	}
	e.counts.ackDowngrades++
	c.log.Warn(what+", what it takes counts as delivered; "+hint, "endpoint", e.url.String())
}
