package hec

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"
)

// An Endpoint is a server to send to.
type Endpoint struct {
	URL    string // https://host:port, without a path
	Weight int    // share of the requests against the others', 0 is 1
}

// A Config says where and how to send.
type Config struct {
	Endpoints  []Endpoint // one or more
	TokenFile  string     // one token a line, the first is tried first; read again every 5 s
	CA         string     // PEM file of the authorities to trust, empty for the system's
	Cert, Key  string     // PEM files of the client's certificate, or empty
	ServerName string     // expected in the servers' certificates, empty for the URL's
	Insecure   bool       // allows http to more than loopback
	Version    string     // of this program, for the User-Agent

	Log *slog.Logger     // nil for none
	Now func() time.Time // nil for time.Now
}

// A Client sends to the endpoints of a Config.
type Client struct {
	endpoints []*endpoint
	tokens    *tokens
	log       *slog.Logger
	now       func() time.Time

	ctx    context.Context // of the probes
	stop   context.CancelFunc
	probes sync.WaitGroup
}

// New reads the files of cfg and sends nothing.
func New(cfg Config) (*Client, error) {
	c := &Client{log: cfg.Log, now: cfg.Now}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	if c.now == nil {
		c.now = time.Now
	}
	tlsConfig, err := loadTLS(cfg)
	if err != nil {
		return nil, err
	}
	if len(cfg.Endpoints) == 0 {
		return nil, errors.New("no endpoint; give at least one URL")
	}
	for _, e := range cfg.Endpoints {
		u, err := parseURL(e.URL, cfg.Insecure)
		if err != nil {
			return nil, err
		}
		c.endpoints = append(c.endpoints, newEndpoint(u, max(e.Weight, 1), "periscope/"+cfg.Version, tlsConfig))
	}
	c.tokens = &tokens{path: cfg.TokenFile, log: c.log, now: c.now}
	if err := c.tokens.load(true); err != nil {
		return nil, err
	}
	c.ctx, c.stop = context.WithCancel(context.Background())
	return c, nil
}

// parseURL reads the URL of an endpoint. It has room for no secret.
func parseURL(text string, insecure bool) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, errors.New("endpoint: not a URL; give https://host:port")
	}
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Opaque != "" || u.Hostname() == "" || strings.Trim(u.Path, "/") != "" ||
		u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("endpoint %s://%s: give https://host:port and nothing else", u.Scheme, u.Host)
	}
	if u.Scheme == "http" && !insecure && !loopback(u.Hostname()) {
		return nil, fmt.Errorf("endpoint %s: the token would travel in the clear; use https, or allow it with insecure", u)
	}
	u.Path = ""
	return u, nil
}

func loopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

// Send sends r to one endpoint and says what came of it. It returns when there is
// an answer, within 90 s, or when ctx is done. If no endpoint is up it returns at
// once, with the time until one is asked again.
func (c *Client) Send(ctx context.Context, r Request) Outcome {
	if len(r.Body) == 0 || r.Events <= 0 {
		return Outcome{Class: HoldConfig, Code: -1, Invalid: -1, AckID: -1, Err: errors.New("request without events")}
	}
	c.tokens.load(false) // one that fails is logged; the tokens stay
	e, after := c.pick()
	if e == nil {
		return Outcome{Class: Retry, Code: -1, Invalid: -1, AckID: -1, RetryAfter: after, Err: errors.New("every endpoint is down")}
	}
	wire, zipped := r.Body, e.takesGzip()
	if zipped {
		p := packers.Get().(*packer)
		defer p.release()
		var err error
		if wire, err = p.pack(r.Body); err != nil {
			wire, zipped = r.Body, false
		}
	}
	o := c.try(ctx, e, wire, zipped, r.Events)
	c.settle(ctx, e, &o)
	if o.Err != nil {
		o.Err = fmt.Errorf("hec %s: %w", o.Endpoint, o.Err)
	}
	return o
}

// try sends with each token until one is not refused, and when all are, with
// those that the file has got since.
func (c *Client) try(ctx context.Context, e *endpoint, wire []byte, zipped bool, events int) Outcome {
	var o Outcome
	refused := make(map[string]bool)
	for range 2 {
		for _, token := range c.tokens.order() {
			if refused[token] {
				continue
			}
			o = e.send(ctx, wire, zipped, events, token, c.now)
			if o.Class != HoldToken {
				if o.Class == Delivered {
					c.tokens.accepted(token)
				}
				return o
			}
			refused[token] = true
		}
		c.tokens.load(true)
	}
	return o
}

// Close ends the probes and the connections. No Send may be under way.
func (c *Client) Close() {
	c.stop()
	c.probes.Wait()
	for _, e := range c.endpoints {
		e.http.CloseIdleConnections()
	}
}

// oneLine makes a text one line.
func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }
