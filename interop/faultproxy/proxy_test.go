package faultproxy_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/periscope-collector/periscope/internal/leak"
	"github.com/periscope-collector/periscope/interop/faultproxy"
)

func TestMain(m *testing.M) { leak.Check(m) }

// backend is a receiver that keeps what it got.
type backend struct {
	*httptest.Server
	mu     sync.Mutex
	bodies []string
}

const success = `{"text":"Success","code":0}`

func newBackend(t *testing.T) *backend {
	b := &backend{}
	b.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || r.Header.Get("Authorization") != "Splunk x" {
			t.Errorf("%v, headers %v", err, r.Header)
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		b.bodies = append(b.bodies, string(body))
		io.WriteString(w, success)
	}))
	t.Cleanup(b.Close)
	return b
}

// TestFaults: the sender and the receiver see what each fault says.
func TestFaults(t *testing.T) {
	body := strings.Repeat("event ", 10_000)
	for _, c := range []struct {
		fault     faultproxy.Fault
		status    int // 0: the sender gets no head of an answer
		answer    string
		delivered bool
		err       error
	}{
		{fault: faultproxy.Pass, status: 200, answer: success, delivered: true},
		{fault: faultproxy.Slow, status: 200, answer: success, delivered: true},
		{fault: faultproxy.NotFound, status: 404, answer: "<html><title>404 Not Found</title></html>"},
		{fault: faultproxy.Reset, err: syscall.ECONNRESET},
		{fault: faultproxy.Hang, err: context.DeadlineExceeded},
		{fault: faultproxy.Drop, delivered: true, err: io.EOF},
		{fault: faultproxy.Cut, status: 200, answer: success[:len(success)/2], delivered: true, err: io.ErrUnexpectedEOF},
		{fault: faultproxy.Mute, delivered: true, err: context.DeadlineExceeded},
	} {
		t.Run(c.fault.String(), func(t *testing.T) {
			b := newBackend(t)
			synctest.Test(t, func(t *testing.T) {
				pipe := faultproxy.NewPipe()
				p := faultproxy.New(b.Listener.Addr().String())
				defer p.Close()
				p.Serve(pipe)
				p.Script(c.fault)
				for range 2 { // the second passes
					status, answer, err := post(t, pipe.Dial, "http://proxy/services/collector/event", body)
					if status != c.status || answer != c.answer || !errors.Is(err, c.err) {
						t.Errorf("status %d, %v: %q", status, err, answer)
					}
					c.status, c.answer, c.err = 200, success, nil
				}
				suffered := p.Suffered()
				if suffered[faultproxy.Pass]+suffered[c.fault] < 2 {
					t.Errorf("suffered %v", suffered)
				}
				want := 1
				if c.delivered {
					want = 2
				}
				if len(b.bodies) != want || b.bodies[0] != body {
					t.Errorf("%d bodies arrived, want %d", len(b.bodies), want)
				}
				if u := p.Unanswered(); c.fault.Delivers() != (len(u) == 1 && string(u[0]) == body) {
					t.Errorf("unanswered: %d bodies", len(u))
				}
			})
		})
	}
}

// TestReset: over TCP a reset is one, and what is not an event passes.
func TestReset(t *testing.T) {
	b := newBackend(t)
	p := faultproxy.New(b.Listener.Addr().String())
	defer p.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p.Serve(l)
	p.Always(faultproxy.Reset)
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	io.WriteString(conn, "POST /services/collector/event HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nxx")
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("not reset: %v", err)
	}
	if status, _, err := post(t, (&net.Dialer{}).DialContext, "http://"+l.Addr().String()+"/services/collector/ack", "x"); status != http.StatusOK {
		t.Errorf("a query: status %d, %v", status, err)
	}
}

// TestTLS: a certificate that nobody trusts is shown as often as asked for.
func TestTLS(t *testing.T) {
	b := newBackend(t)
	synctest.Test(t, func(t *testing.T) {
		pipe := faultproxy.NewPipe()
		p := faultproxy.New(b.Listener.Addr().String())
		defer p.Close()
		pem, err := p.ServeTLS(pipe, "hec.test", time.Now())
		if err != nil {
			t.Fatal(err)
		}
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(pem)
		dial := func(ctx context.Context, network, address string) (net.Conn, error) {
			c, err := pipe.Dial(ctx, network, address)
			if err != nil {
				return nil, err
			}
			return tls.Client(c, &tls.Config{RootCAs: roots, ServerName: "hec.test"}), nil
		}
		p.FailTLS(1)
		var unknown x509.UnknownAuthorityError
		if _, _, err := post(t, dial, "http://hec.test/services/collector/event", "x"); !errors.As(err, &unknown) || p.StrangersLeft() != 0 {
			t.Errorf("%d left, %v", p.StrangersLeft(), err)
		}
		if status, _, err := post(t, dial, "http://hec.test/services/collector/event", "x"); status != http.StatusOK {
			t.Errorf("status %d, %v", status, err)
		}
	})
}

type dialer = func(ctx context.Context, network, address string) (net.Conn, error)

// post sends a body, and waits for a minute at the most.
func post(t *testing.T, dial dialer, url, body string) (status int, answer string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Splunk x")
	client := http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}
	a, err := client.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer a.Body.Close()
	text, err := io.ReadAll(a.Body)
	return a.StatusCode, string(text), err
}

// TestUnanswered: bodies are kept as the events in them.
func TestUnanswered(t *testing.T) {
	b := newBackend(t)
	p := faultproxy.New(b.Listener.Addr().String())
	p.Script(faultproxy.Drop)
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	io.WriteString(z, `{"event":"x"}`)
	z.Close()
	r := httptest.NewRequest(http.MethodPost, "/services/collector/event", &packed)
	r.Header.Set("Authorization", "Splunk x")
	r.Header.Set("Content-Encoding", "gzip")
	func() {
		defer func() {
			if recover() != http.ErrAbortHandler {
				t.Error("the request was answered")
			}
		}()
		p.ServeHTTP(httptest.NewRecorder(), r)
	}()
	if u := p.Unanswered(); len(u) != 1 || string(u[0]) != `{"event":"x"}` {
		t.Errorf("unanswered: %q", u)
	}
}
