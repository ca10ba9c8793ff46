package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
)

// The tokens that no log line, error, metric or file may hold.
const (
	splunkToken  = "7d1c5b0e-5ec2-4e75-a11f-0b5e55ed70c3"
	anotherToken = "0c6d2f3e-55a1-4d0a-8a0b-e1b0a2c9d4f7"
)

// An indexer is an HEC that takes everything and keeps a bit or two of each
// event: of its event_uid, and of the number of its flow if that is one of a
// crowd. So it counts any number of events in little memory: 21 MB for 11 GB.
type indexer struct {
	t    testing.TB
	addr string // the same each time it comes up

	mu     sync.Mutex
	wait   time.Duration // before an answer
	server *http.Server  // nil while it is down
	conns  int
	token  string
	counts indexed
	uids   map[string]bitset // by spool and segment; a record is longer than 64 bytes
	flows  bitset
}

// indexed is what an indexer has taken.
type indexed struct {
	Events   uint64 // each as often as it came
	Distinct uint64 // by event_uid
	Flows    uint64 // of a crowd, distinct
	Answered uint64 // of Events
}

func (n indexed) duplicates() uint64 { return n.Events - n.Distinct }

// newIndexer starts an indexer that takes a token and answers after a while. It
// has an address that no socket gets by itself, so that it is free when it comes
// up again.
func newIndexer(t testing.TB, token string, wait time.Duration) *indexer {
	t.Helper()
	x := &indexer{t: t, addr: "127.0.0.2:0", wait: wait, token: token, uids: make(map[string]bitset)}
	x.up()
	t.Cleanup(x.down)
	return x
}

func (x *indexer) url() string { return "http://" + x.addr }

func (x *indexer) up() {
	x.t.Helper()
	l, err := net.Listen("tcp", x.addr)
	if err != nil {
		x.t.Fatal(err)
	}
	server := &http.Server{Handler: x, ConnState: x.connected}
	x.mu.Lock()
	x.addr, x.server = l.Addr().String(), server
	x.mu.Unlock()
	go func() { _ = server.Serve(l) }() // it ends with the server
}

// down ends the listener and every connection, and waits for what it had taken.
func (x *indexer) down() {
	x.mu.Lock()
	server := x.server
	x.server = nil
	x.mu.Unlock()
	if server != nil {
		_ = server.Close()
	}
	x.quiet()
}

// quiet waits until nobody is connected: everything that came is counted.
func (x *indexer) quiet() {
	x.t.Helper()
	eventually(x.t, "no connection to the indexer is left", func() bool {
		x.mu.Lock()
		defer x.mu.Unlock()
		return x.conns == 0
	})
}

func (x *indexer) connected(_ net.Conn, s http.ConnState) {
	x.mu.Lock()
	defer x.mu.Unlock()
	switch s {
	case http.StateNew:
		x.conns++
	case http.StateClosed, http.StateHijacked:
		x.conns--
	}
}

// delay sets how long an answer takes from now on.
func (x *indexer) delay(wait time.Duration) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.wait = wait
}

// take sets the token that is taken from now on.
func (x *indexer) take(token string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.token = token
}

func (x *indexer) count() indexed {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.counts
}

// has reports whether the event with an event_uid came.
func (x *indexer) has(uid string) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	segment, n, err := splitUID(uid)
	return err == nil && x.uids[segment].has(n)
}

// An unpacker is the memory of a request.
type unpacker struct {
	zip  gzip.Reader
	body bytes.Buffer
}

var unpackers = sync.Pool{New: func() any { return new(unpacker) }}

func (x *indexer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasSuffix(r.URL.Path, "/health") {
		_, _ = io.WriteString(w, `{"text":"HEC is healthy","code":17}`)
		return
	}
	x.mu.Lock()
	token, wait := x.token, x.wait
	x.mu.Unlock()
	if r.Header.Get("Authorization") != "Splunk "+token {
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, `{"text":"Invalid token","code":4}`)
		return
	}
	u := unpackers.Get().(*unpacker)
	defer unpackers.Put(u)
	u.body.Reset()
	err := u.zip.Reset(r.Body)
	if err == nil {
		_, err = u.body.ReadFrom(&u.zip)
	}
	if err != nil { // the client was killed
		panic(http.ErrAbortHandler)
	}
	events, err := x.index(u.body.Bytes())
	if err != nil {
		x.t.Errorf("the indexer got %v", err)
	}
	if wait > 0 {
		select {
		case <-time.After(wait):
		case <-r.Context().Done():
			panic(http.ErrAbortHandler)
		}
	}
	x.mu.Lock()
	x.counts.Answered += events
	x.mu.Unlock()
	_, _ = io.WriteString(w, `{"text":"Success","code":0}`)
}

// index counts the events of a body, a line each.
func (x *indexer) index(body []byte) (events uint64, err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for line := range bytes.Lines(body) {
		segment, n, err := splitUID(string(value(line, `"event_uid":"`)))
		if err != nil {
			return events, fmt.Errorf("%w in %s", err, line)
		}
		events++
		x.counts.Events++
		set := x.uids[segment]
		if set.add(n) {
			x.counts.Distinct++
		}
		x.uids[segment] = set
		if from, err := netip.ParseAddr(string(value(line, `"src":"`))); err == nil && inCrowd(from) {
			if x.flows.add(crowdNumber(from)) {
				x.counts.Flows++
			}
		}
	}
	return events, nil
}

// value returns the string behind a key, nil if it is not there.
func value(line []byte, key string) []byte {
	_, behind, found := bytes.Cut(line, []byte(key))
	v, _, closed := bytes.Cut(behind, []byte(`"`))
	if !found || !closed {
		return nil
	}
	return v
}

// splitUID splits <spool>-<segment>-<offset> into a segment and the offset in it
// in steps of 64 bytes.
func splitUID(uid string) (segment string, n uint64, err error) {
	at := strings.LastIndexByte(uid, '-')
	if at < 0 {
		return "", 0, fmt.Errorf("no event_uid: %q", uid)
	}
	offset, err := strconv.ParseUint(uid[at+1:], 16, 32)
	return uid[:at], offset / 64, err
}

// A bitset is a set of numbers.
type bitset []uint64

// add adds n, and reports whether it is new.
func (b *bitset) add(n uint64) bool {
	if b.has(n) {
		return false
	}
	for uint64(len(*b)) <= n/64 {
		*b = append(*b, 0)
	}
	(*b)[n/64] |= 1 << (n % 64)
	return true
}

func (b bitset) has(n uint64) bool { return n/64 < uint64(len(b)) && b[n/64]>>(n%64)&1 == 1 }
