// Package hectest is a server for tests that answers as Splunk's HTTP Event
// Collector was measured to: codes with the number of the bad event, one too
// many for a wrong index, pages of HTML for 413, 415 and broken gzip; and, as a
// test scripts it, any other answer or none. It keeps every event it took in
// memory, without a bound. It acknowledges if told to. It belongs to tests only.
package hectest

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
)

// A Fault is what a server does in place of an answer.
type Fault uint8

// The faults.
const (
	None  Fault = iota
	Reset       // the connection ends before the body is read
	Drop        // the events are taken, the connection ends without an answer
	Cut         // the events are taken, the answer is cut in its middle
	Hang        // the body is read, and no answer comes until the client leaves
)

// An Answer is what a server says to one request.
type Answer struct {
	Status int // 0: as Splunk would
	Body   string
	Header http.Header
	Fault  Fault
}

// A Seen is a request that a server got.
type Seen struct {
	Path   string
	Query  string
	Header http.Header
	Body   []byte // as sent
}

// A Server is an HEC on loopback. Its methods may be called at once.
type Server struct {
	*httptest.Server

	mu      sync.Mutex
	tokens  []string
	indexes []string
	limit   int
	script  []Answer
	always  *Answer
	health  Answer
	events  [][]byte
	seen    []Seen
	acks    acks
}

// New starts a server that takes the tokens, and stops it at the end of t.
func New(t testing.TB, tokens ...string) *Server {
	s := &Server{tokens: tokens}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

// NewTLS is New with TLS; the server's certificate is its own authority.
func NewTLS(t testing.TB, tokens ...string) *Server {
	s := &Server{tokens: tokens}
	s.Server = httptest.NewTLSServer(s)
	t.Cleanup(s.Close)
	return s
}

// Script sets what the next requests with events are told, in order.
func (s *Server) Script(answers ...Answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.script = append(s.script, answers...)
}

// Always sets what every request is told after the script; the zero Answer
// takes that back.
func (s *Server) Always(a Answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.always = &a
}

// SetHealth sets what a probe is told; with Status 0 the server is healthy.
func (s *Server) SetHealth(a Answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.health = a
}

// SetTokens sets the tokens that are taken.
func (s *Server) SetTokens(tokens ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokens = tokens
}

// SetIndexes sets the indexes that are taken; none takes every index.
func (s *Server) SetIndexes(indexes ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.indexes = indexes
}

// SetLimit sets the largest body in bytes before compression, 0 for no limit.
func (s *Server) SetLimit(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.limit = n
}

// Events returns the events that were taken, in order.
func (s *Server) Events() [][]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.events)
}

// Seen returns the requests that came, probes too.
func (s *Server) Seen() []Seen {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.seen)
}

// Clear forgets the requests and the events that came.
func (s *Server) Clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen, s.events = nil, nil
}

// ServeHTTP answers a request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.Contains(r.URL.Path, "/health") {
		s.serveHealth(w, r)
		return
	}
	asked := strings.Contains(r.URL.Path, "/ack")
	a := s.next(asked)
	if a.Fault == Reset {
		panic(http.ErrAbortHandler)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	s.mu.Lock()
	s.seen = append(s.seen, Seen{r.URL.Path, r.URL.RawQuery, r.Header.Clone(), body})
	s.mu.Unlock()
	if a.Fault == Hang {
		<-r.Context().Done()
		return
	}
	if a.Status == 0 {
		header := a.Header
		fault := a.Fault
		if asked {
			a = s.tell(r, body)
		} else {
			a = s.take(r, body)
		}
		a.Header, a.Fault = header, fault
	}
	write(w, a)
}

func (s *Server) serveHealth(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	a := s.health
	s.seen = append(s.seen, Seen{Path: r.URL.Path, Query: r.URL.RawQuery, Header: r.Header.Clone()})
	s.mu.Unlock()
	if a.Status == 0 {
		a = answer(200, "HEC is healthy", 17)
	}
	write(w, a)
}

// next returns what the script says, or that of the queries for acknowledgements.
func (s *Server) next(asked bool) Answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	if asked {
		return s.acks.next()
	}
	if len(s.script) > 0 {
		a := s.script[0]
		s.script = s.script[1:]
		return a
	}
	if s.always != nil {
		return *s.always
	}
	return Answer{}
}

func write(w http.ResponseWriter, a Answer) {
	for name, values := range a.Header {
		w.Header()[name] = values
	}
	switch a.Fault {
	case Drop:
		panic(http.ErrAbortHandler)
	case Cut:
		w.Header().Set("Content-Length", fmt.Sprint(len(a.Body)))
		w.WriteHeader(a.Status)
		io.WriteString(w, a.Body[:len(a.Body)/2])
		http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
	w.WriteHeader(a.Status)
	io.WriteString(w, a.Body)
}

func answer(status int, text string, code int) Answer {
	return Answer{Status: status, Body: fmt.Sprintf(`{"text":%q,"code":%d}`, text, code)}
}

func answerAt(text string, code, event int) Answer {
	return Answer{Status: 400, Body: fmt.Sprintf(`{"text":%q,"code":%d,"invalid-event-number":%d}`, text, code, event)}
}

func page(status int) Answer {
	return Answer{Status: status, Body: "<!doctype html><html><head><title>" + http.StatusText(status) + "</title></head></html>"}
}
