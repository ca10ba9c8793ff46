// Package faultproxy stands between a sender of HEC and its receiver, and does to
// requests what networks, balancers and crashing servers do, as a test scripts it.
// Only requests with events are harmed; probes and queries pass.
//
// A Proxy keeps the body of each request that the receiver took and the sender
// was not told of, since those are the ones that may come twice. It owns a
// goroutine for each connection until Close. It is no general proxy: HTTP/1.1,
// bodies in memory, without a bound.
package faultproxy

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A Fault is what happens to a request.
type Fault uint8

// The faults.
const (
	Pass     Fault = iota
	NotFound       // is told 404 with a page of HTML, as by a balancer without a server
	Reset          // the connection is reset in the middle of the body
	Hang           // half-open: the body is not read, nothing comes
	Slow           // body and answer trickle
	Drop           // delivered; the connection ends without an answer
	Cut            // delivered; the answer ends in its middle
	Mute           // delivered; half-open: no answer comes
	NumFaults
)

// String returns the fault's name.
func (f Fault) String() string {
	return [NumFaults]string{"pass", "not found", "reset", "hang", "slow", "drop", "cut", "mute"}[f]
}

// Delivers says whether the receiver takes the request all the same, and the
// sender cannot know.
func (f Fault) Delivers() bool { return f == Drop || f == Cut || f == Mute }

// pieces and pause make what trickles.
const (
	pieces = 16
	pause  = 2 * time.Millisecond
)

// A Proxy is made by New. Its methods may be called at once.
type Proxy struct {
	target string
	out    *http.Transport
	server http.Server
	serves sync.WaitGroup
	done   chan struct{}

	mu         sync.Mutex
	script     []Fault
	always     Fault
	suffered   map[Fault]int
	unanswered [][]byte
	strangers  int // handshakes to fail
}

// New returns a proxy to host:port.
func New(target string) *Proxy {
	p := &Proxy{
		target:   target,
		out:      &http.Transport{DisableKeepAlives: true, DisableCompression: true},
		done:     make(chan struct{}),
		suffered: make(map[Fault]int),
	}
	p.server.Handler = p
	p.server.ErrorLog = log.New(io.Discard, "", 0)
	return p
}

// Serve takes connections from l, which it closes, until Close.
func (p *Proxy) Serve(l net.Listener) {
	p.serves.Go(func() { p.server.Serve(l) })
}

// Close ends every connection and waits for the requests.
func (p *Proxy) Close() {
	close(p.done)
	p.server.Close()
	p.serves.Wait()
}

// Script sets what the next requests suffer, in order.
func (p *Proxy) Script(faults ...Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.script = append(p.script, faults...)
}

// Always sets what requests suffer after the script.
func (p *Proxy) Always(f Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.always = f
}

// Suffered returns how many requests suffered what.
func (p *Proxy) Suffered() map[Fault]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.suffered)
}

// Unanswered returns the bodies, not compressed, of the requests that the
// receiver took and the sender got no whole answer to.
func (p *Proxy) Unanswered() [][]byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.unanswered)
}

// next returns what a request suffers.
func (p *Proxy) next(r *http.Request) Fault {
	if r.Method != http.MethodPost || !strings.HasSuffix(r.URL.Path, "/event") {
		return Pass
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	f := p.always
	if len(p.script) > 0 {
		f, p.script = p.script[0], p.script[1:]
	}
	p.suffered[f]++
	return f
}

// ServeHTTP deals with a request.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.serves.Add(1)
	defer p.serves.Done()
	f := p.next(r)
	switch f {
	case NotFound:
		io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(http.StatusNotFound)
		io.WriteString(w, "<html><title>404 Not Found</title></html>")
		return
	case Reset:
		io.CopyN(io.Discard, r.Body, r.ContentLength/2)
		reset(w)
		return
	case Hang:
		<-p.done
		panic(http.ErrAbortHandler)
	}
	status, header, answer := p.forward(r, f)
	switch f {
	case Mute:
		select {
		case <-r.Context().Done():
		case <-p.done:
		}
		panic(http.ErrAbortHandler)
	case Drop:
		panic(http.ErrAbortHandler)
	}
	maps.Copy(w.Header(), header)
	w.WriteHeader(status)
	switch f {
	case Cut:
		w.Write(answer[:len(answer)/2])
		http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	case Slow:
		for piece := range slices.Chunk(answer, len(answer)/pieces+1) {
			w.Write(piece)
			http.NewResponseController(w).Flush()
			time.Sleep(pause)
		}
	default:
		w.Write(answer)
	}
}

// forward hands a request on. Without an answer the status is 502.
func (p *Proxy) forward(r *http.Request, f Fault) (status int, header http.Header, answer []byte) {
	var body bytes.Buffer
	var err error
	for err == nil && f == Slow {
		_, err = io.CopyN(&body, r.Body, r.ContentLength/pieces+1)
		time.Sleep(pause)
	}
	if err == nil || err == io.EOF {
		_, err = io.Copy(&body, r.Body)
	}
	if err != nil {
		return http.StatusBadGateway, nil, nil
	}
	out := r.Clone(context.WithoutCancel(r.Context())) // delivered even if the sender leaves
	out.URL.Scheme, out.URL.Host, out.RequestURI = "http", p.target, ""
	out.Body = io.NopCloser(bytes.NewReader(body.Bytes()))
	in, err := p.out.RoundTrip(out)
	if err != nil {
		return http.StatusBadGateway, nil, nil
	}
	defer in.Body.Close()
	if answer, err = io.ReadAll(in.Body); err != nil {
		return http.StatusBadGateway, nil, nil
	}
	if f.Delivers() && in.StatusCode == http.StatusOK {
		p.remember(r, body.Bytes())
	}
	in.Header.Set("Content-Length", strconv.Itoa(len(answer))) // so that one that is cut shows
	return in.StatusCode, in.Header, answer
}

// remember keeps the body of a request.
func (p *Proxy) remember(r *http.Request, body []byte) {
	if r.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(bytes.NewReader(body))
		if err != nil {
			return // the receiver took nothing of it
		}
		body, _ = io.ReadAll(z)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.unanswered = append(p.unanswered, body)
}

// reset ends a connection with a reset.
func reset(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if t, isTLS := conn.(*tls.Conn); isTLS {
		conn = t.NetConn()
	}
	if l, canLinger := conn.(interface{ SetLinger(int) error }); canLinger {
		l.SetLinger(0)
	}
	conn.Close()
}
