package admin

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/periscope-collector/periscope/internal/leak"
)

func TestMain(m *testing.M) { leak.Check(m) }

// broken is a gatherer that fails.
type broken struct{}

func (broken) Gather() ([]*dto.MetricFamily, error) { return nil, errors.New("two of a kind") }

// slow is a gatherer that runs a function and has nothing.
type slow func()

func (s slow) Gather() ([]*dto.MetricFamily, error) {
	s()
	return nil, nil
}

var _ prometheus.Gatherer = slow(nil)

var discard = slog.New(slog.DiscardHandler)

// serve serves a handler on loopback, and waits for clients on a busy machine too.
// What Serve returned comes from the channel.
func serve(t *testing.T, h http.Handler) (*Server, <-chan error) {
	t.Helper()
	s, err := Listen("admin.listen", "127.0.0.1:0", h, discard)
	if err != nil {
		t.Fatal(err)
	}
	s.server.ReadHeaderTimeout, s.server.ReadTimeout, s.server.WriteTimeout = time.Minute, time.Minute, time.Minute
	ended := make(chan error, 1)
	go func() { ended <- s.Serve() }()
	t.Cleanup(func() { s.Close(context.Background()) })
	return s, ended
}

// dial sends a request's first line and headers.
func dial(t *testing.T, s *Server, request string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	return c
}

func status(t *testing.T, c net.Conn) int {
	t.Helper()
	r, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Body.Close()
	return r.StatusCode
}

const hello = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"

func TestListenAddressInUse(t *testing.T) {
	s, _ := serve(t, http.NotFoundHandler())
	_, err := Listen("health.listen", s.Addr(), http.NotFoundHandler(), discard)
	if !errors.Is(err, syscall.EADDRINUSE) {
		t.Fatalf("error %v", err)
	}
	for _, part := range []string{"health.listen: ", s.Addr(), "choose another address"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q lacks %q", err, part)
		}
	}
}

// TestClose says that requests under way are answered, and that nothing
// listens afterwards.
func TestClose(t *testing.T) {
	inside, finish := make(chan struct{}), make(chan struct{})
	s, ended := serve(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		close(inside)
		<-finish
	}))
	c := dial(t, s, hello)
	<-inside
	closed := make(chan error, 1)
	go func() { closed <- s.Close(context.Background()) }()
	if err := <-ended; err != nil {
		t.Errorf("Serve: %v", err)
	}
	select {
	case err := <-closed:
		t.Errorf("closed although a request was under way: %v", err)
	default:
	}
	close(finish)
	if code := status(t, c); code != 200 {
		t.Errorf("the request under way got %d", code)
	}
	if err := <-closed; err != nil {
		t.Errorf("Close: %v", err)
	}
	free(t, s)
}

// TestCloseInTime says that a request does not hold the stop up for ever.
func TestCloseInTime(t *testing.T) {
	inside, left := make(chan struct{}), make(chan struct{})
	s, ended := serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(inside)
		<-r.Context().Done()
		close(left)
	}))
	dial(t, s, hello)
	<-inside
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.Close(ctx); err != nil {
		t.Errorf("Close: %v", err)
	}
	<-left
	if err := <-ended; err != nil {
		t.Errorf("Serve: %v", err)
	}
	free(t, s)
}

// TestCloseWithoutServe says that the address is given back all the same.
func TestCloseWithoutServe(t *testing.T) {
	s, err := Listen("admin.listen", "127.0.0.1:0", http.NotFoundHandler(), discard)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(context.Background()); err != nil {
		t.Error(err)
	}
	free(t, s)
	if err := s.Serve(); err != nil {
		t.Errorf("Serve after Close: %v", err)
	}
}

// free says that an address can be listened on.
func free(t *testing.T, s *Server) {
	t.Helper()
	l, err := net.Listen("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
}

// TestServerLimits says that every wait for a client has an end, and what a
// client may make the server hold has a bound.
func TestServerLimits(t *testing.T) {
	s, err := Listen("admin.listen", "127.0.0.1:0", http.NotFoundHandler(), discard)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close(context.Background()) })
	for name, d := range map[string]time.Duration{
		"ReadHeaderTimeout": s.server.ReadHeaderTimeout,
		"ReadTimeout":       s.server.ReadTimeout,
		"WriteTimeout":      s.server.WriteTimeout,
	} {
		if d <= 0 || d > time.Minute {
			t.Errorf("%s is %s", name, d)
		}
	}
	s, _ = serve(t, http.NotFoundHandler())
	c := dial(t, s, "GET / HTTP/1.1\r\nHost: x\r\nX: "+strings.Repeat("x", 32<<10)+"\r\n\r\n")
	if code := status(t, c); code != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("a large header: %d", code)
	}
}

// TestConnectionsEndWithTheAnswer says that none holds one of the few places for
// longer than a question takes.
func TestConnectionsEndWithTheAnswer(t *testing.T) {
	s, _ := serve(t, http.NotFoundHandler())
	c := dial(t, s, hello)
	rest, err := io.ReadAll(c)
	if err != nil || !strings.Contains(string(rest), "Connection: close") {
		t.Errorf("%q, %v", rest, err)
	}
}

// TestConnectionsAreBounded says that one connection more than the limit waits
// until another one ends.
func TestConnectionsAreBounded(t *testing.T) {
	s, _ := serve(t, http.NotFoundHandler())
	var open []net.Conn
	for range maxConnections {
		open = append(open, dial(t, s, "GET")) // and no more, for as long as it may take
	}
	last := dial(t, s, hello)
	if err := last.SetReadDeadline(time.Now().Add(20 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	var timeout net.Error
	if _, err := last.Read(make([]byte, 1)); !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("beyond the limit: %v", err)
	}
	if err := last.SetReadDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	open[0].Close()
	if code := status(t, last); code != 404 {
		t.Errorf("when there is room: %d", code)
	}
}
