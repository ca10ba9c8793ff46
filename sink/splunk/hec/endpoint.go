package hec

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"
)

// Limits of one request. A short limit on the answer makes duplicates: Splunk
// takes a body that stalls for half a minute.
const (
	connectLimit = 5 * time.Second
	tlsLimit     = 10 * time.Second
	headerLimit  = 60 * time.Second
	totalLimit   = 90 * time.Second
	probeLimit   = 10 * time.Second
	idleLimit    = 10 * time.Second // Splunk closes busy connections after 12 s
	lookupEvery  = time.Minute
	maxAnswer    = 64 << 10
)

// An endpoint is one server. Its methods may be called at once.
type endpoint struct {
	url    *url.URL
	weight int
	agent  string
	http   *http.Transport

	gate   gate   // held by the mu of the Client
	counts counts // the same

	mu      sync.Mutex
	cookies jar
	rotated bool      // the channel is new since the last answer but code 11
	plain   bool      // compressed bodies are refused
	fresh   time.Time // idle connections are no older
	best    string    // token that was taken last; tried first
	bestOf  int       // number of its list

	channels map[string]*channel // by token, for the next requests
	waiting  []*waiting          // oldest first
	polled   bool                // somebody polls
	news     chan struct{}       // a channel was lost
	losses   int                 // of channels in a row, no acknowledgement between
	promised bool                // it gave an ackId that is used
	ackless  bool                // acknowledgements are not asked for any more
}

type dialer = func(ctx context.Context, network, address string) (net.Conn, error)

func newEndpoint(u *url.URL, weight int, agent string, tlsConfig *tls.Config, dial dialer) *endpoint {
	var http1 http.Protocols
	http1.SetHTTP1(true)
	if dial == nil {
		dial = (&net.Dialer{
			Timeout:         connectLimit,
			KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3},
		}).DialContext
	}
	return &endpoint{
		url:      u,
		weight:   weight,
		agent:    agent,
		channels: make(map[string]*channel),
		news:     make(chan struct{}, 1),
		http: &http.Transport{
			DialContext:            dial,
			TLSClientConfig:        tlsConfig,
			TLSHandshakeTimeout:    tlsLimit,
			ResponseHeaderTimeout:  headerLimit,
			IdleConnTimeout:        idleLimit,
			MaxIdleConnsPerHost:    maxWindow,
			MaxResponseHeaderBytes: maxAnswer,
			DisableCompression:     true,
			Protocols:              &http1,
		},
	}
}

// newChannel returns a random GUID (RFC 9562, version 4).
func newChannel() string {
	var b [16]byte
	rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// path is the URL of a part of the collector.
func (e *endpoint) path(part string) *url.URL {
	u := *e.url
	u.Path = "/services/collector/" + part
	return &u
}

// send posts wire once, in a channel and with its token.
func (e *endpoint) send(ctx context.Context, wire []byte, zipped bool, events int, ch *channel) Outcome {
	ctx, cancel := context.WithTimeout(ctx, totalLimit)
	defer cancel()
	body := &wireBody{left: wire}
	defer body.Close()
	req := &http.Request{Method: http.MethodPost, URL: e.path("event"),
		Header: http.Header{}, Body: body, ContentLength: int64(len(wire))}
	req.Header.Set("Authorization", "Splunk "+ch.token)
	req.Header.Set("Content-Type", "application/json")
	if zipped {
		req.Header.Set("Content-Encoding", "gzip")
	}
	a, err := e.ask(req.WithContext(ctx), ch.id)
	if err != nil {
		return e.failure(err, body.started(), ch.token, len(wire))
	}
	a.gzip = zipped
	o := classify(a, events, time.Now())
	o.Endpoint, o.Wire = e.url.String(), len(wire)
	e.learn(ch, &o)
	return o
}

// ask sends a request with what every request has, in a channel if there is one. It follows no redirect, which
// would take the token along.
func (e *endpoint) ask(req *http.Request, channel string) (answer, error) {
	req.Header.Set("User-Agent", e.agent) // without one Splunk answers in HTTP/1.0
	if channel != "" {
		req.Header.Set("X-Splunk-Request-Channel", channel)
	}
	e.mu.Lock()
	e.cookies.add(req)
	e.mu.Unlock()
	resp, err := e.http.RoundTrip(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if len(b) > maxAnswer {
		b = b[:maxAnswer]
		err = errors.New("answer is longer than 64 KiB")
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	first := e.cookies.set(resp.Cookies())
	return answer{status: resp.StatusCode, retryAfter: resp.Header.Get("Retry-After"), body: b, cut: err != nil, newCookie: first}, nil
}

// failure is the outcome without an answer.
func (e *endpoint) failure(err error, sent bool, token string, wire int) Outcome {
	o := Outcome{Class: Retry, Endpoint: e.url.String(), Code: -1, Invalid: -1, AckID: -1, Wire: wire, DupRisk: sent}
	var verify *tls.CertificateVerificationError
	var timeout net.Error
	switch {
	case errors.As(err, &verify):
		o.Class = HoldConfig
	case errors.As(err, &timeout) && timeout.Timeout():
		o.Slow = sent
	}
	// The text may quote the answer, so it is not wrapped.
	o.Err = errors.New(oneLine(redact(err.Error(), token)))
	return o
}

// learn takes in what an answer says about the endpoint.
func (e *endpoint) learn(ch *channel, o *Outcome) {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case o.Class == PlainBody:
		e.plain = true
	case o.Class == Retry && o.HTTP == http.StatusBadRequest && o.Code == codeBadChannel:
		if e.rotated { // a new one did not help
			o.Class = HoldConfig
		}
		e.lose(ch)
		e.rotated = true
		return
	}
	e.rotated = false
}

// takesGzip says whether the endpoint has not refused compressed bodies.
func (e *endpoint) takesGzip() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return !e.plain
}

// took takes in that a token was taken, of a list with that number.
func (e *endpoint) took(token string, number int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.best, e.bestOf = token, number
}

// order returns a list of tokens, with that number, in the order to try them.
func (e *endpoint) order(list []string, number int) []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	i := slices.Index(list, e.best)
	if i <= 0 || e.bestOf != number {
		return list
	}
	list = slices.Delete(slices.Clone(list), i, i+1)
	return slices.Insert(list, 0, e.best)
}

// refresh closes idle connections once a minute, so that names are looked up
// again.
func (e *endpoint) refresh() {
	now := time.Now()
	e.mu.Lock()
	stale := now.Sub(e.fresh) >= lookupEvery
	if stale {
		e.fresh = now
	}
	e.mu.Unlock()
	if stale {
		e.http.CloseIdleConnections()
	}
}
