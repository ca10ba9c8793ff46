package hec

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
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
	Ack        AckMode
	Insecure   bool   // allows http to more than loopback
	Version    string // of this program, for the User-Agent

	// Dial makes the connections, nil for TCP.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	Log  *slog.Logger // nil for none
}

// A Client sends to the endpoints of a Config.
type Client struct {
	endpoints []*endpoint
	tokens    *tokens
	ack       AckMode
	log       *slog.Logger
	jitter    func(time.Duration) time.Duration // from 0 to the one given

	ctx   context.Context // of the tasks
	stop  context.CancelFunc
	tasks sync.WaitGroup

	mu      sync.Mutex    // holds the gates of the endpoints
	changed chan struct{} // closed and replaced when a gate changes
}

// New reads the files of cfg and sends nothing. Without a token in the token file
// the endpoints are held until there is one.
func New(cfg Config) (*Client, error) {
	c := &Client{ack: cfg.Ack, log: cfg.Log, jitter: rand.N[time.Duration], changed: make(chan struct{})}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	tlsConfig, err := TLS(cfg)
	if err != nil {
		return nil, err
	}
	if len(cfg.Endpoints) == 0 || len(cfg.Endpoints) > maxPlaces {
		return nil, fmt.Errorf("%d endpoints; give from 1 to %d", len(cfg.Endpoints), maxPlaces)
	}
	for _, e := range cfg.Endpoints {
		u, err := parseURL(e.URL, cfg.Insecure)
		if err != nil {
			return nil, err
		}
		ep := newEndpoint(u, max(e.Weight, 1), "periscope/"+cfg.Version, tlsConfig, cfg.Dial)
		ep.gate.window = newWindow(len(cfg.Endpoints))
		ep.counts.requests = make(map[Answer]uint64)
		c.endpoints = append(c.endpoints, ep)
	}
	c.tokens = &tokens{path: cfg.TokenFile, log: c.log}
	if c.tokens.load(true) != nil { // it is logged
		for _, e := range c.endpoints {
			e.gate.hold = tokenless
		}
	}
	c.ctx, c.stop = context.WithCancel(context.Background())
	return c, nil
}

// Tokens reads the token file, for who does not want to wait for one: it returns
// what is wrong with it and what to do, or nil.
func (c *Client) Tokens() error { return c.tokens.load(true) }

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

// send compresses r and sends it with each token until one is not refused, and
// when all are, with those that the file has got since. It returns the version of
// the tokens that were tried last.
func (c *Client) send(ctx context.Context, e *endpoint, r Request) (o Outcome, version int) {
	e.refresh()
	var wire []byte
	zipped := e.takesGzip()
	if zipped {
		p := packers.Get().(*packer)
		defer p.release()
		var err error
		if wire, err = p.pack(r.Events); err != nil {
			zipped = false
		}
	}
	if !zipped {
		wire = bytes.Join(r.Events, newline)
	}
	refused := make(map[string]bool)
	for range 2 {
		var list []string
		list, version = c.tokens.current()
		for _, token := range e.order(list, version) {
			if refused[token] {
				continue
			}
			ch, floor := e.channel(token)
			o = e.send(ctx, wire, zipped, len(r.Events), ch)
			if o.Invalid > 0 && c.acknowledged(e) {
				o.unsure()
			}
			if o.Class != HoldToken {
				if o.Class == Delivered {
					e.took(token, version)
					c.await(e, ch, floor, r, &o)
				}
				return o, version
			}
			refused[token] = true
		}
		c.tokens.load(true)
	}
	return o, version
}

// Close ends what runs in the background, and the connections. No Acquire or Send
// may be under way.
func (c *Client) Close() {
	c.stop()
	c.tasks.Wait()
	for _, e := range c.endpoints {
		e.http.CloseIdleConnections()
	}
}

// oneLine makes a text one line.
func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }
