package hec_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/periscope-collector/periscope/sink/splunk/hec"
	"github.com/periscope-collector/periscope/sink/splunk/hec/hectest"
)

// An acked is what became of a request, and when.
type acked struct {
	ok bool
	at time.Time
}

// promise sends and wants an acknowledgement to be awaited, of which the channel
// tells.
func promise(t *testing.T, c *hec.Client) <-chan acked {
	t.Helper()
	s, err := c.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	told := make(chan acked, 2) // a second would be found
	o := s.Send(t.Context(), hec.Request{Events: goodEvents(), Acked: func(ok bool) { told <- acked{ok, time.Now()} }})
	if o.Class != hec.AwaitAck || o.Err != nil || o.AckID < 0 {
		t.Fatalf("%v, ack %d (%v), want an acknowledgement to be awaited", o.Class, o.AckID, o.Err)
	}
	return told
}

// expect wants one end, at a time after start.
func expect(t *testing.T, told <-chan acked, ok bool, start time.Time, after time.Duration) {
	t.Helper()
	a := <-told
	if a.ok != ok || a.at.Sub(start) != after {
		t.Fatalf("acknowledged %v after %v, want %v after %v", a.ok, a.at.Sub(start), ok, after)
	}
	synctest.Wait()
	if len(told) != 0 {
		t.Fatal("told twice")
	}
}

// queries returns those for acknowledgements, with the ids they ask for.
func queries(t *testing.T, s *hectest.Server) (seen []hectest.Seen, ids [][]int64) {
	t.Helper()
	for _, r := range s.Seen() {
		if r.Path != "/services/collector/ack" {
			continue
		}
		var q struct{ Acks []int64 }
		if err := json.Unmarshal(r.Body, &q); err != nil {
			t.Fatal(err)
		}
		seen, ids = append(seen, r), append(ids, q.Acks)
	}
	return seen, ids
}

func TestAck(t *testing.T) {
	virtual(t, func(t *testing.T, net *hectest.Network) {
		s := net.New(first)
		s.SetAcks(hectest.Acks{On: true, After: 2})
		s.Script(hectest.Answer{Header: http.Header{"Set-Cookie": {"AWSALB=x"}}})
		c := dial(t, hec.Config{Dial: net.Dial}, s)
		start := time.Now()
		a, b := promise(t, c), promise(t, c)
		if e := c.Stats().Endpoints[0]; e.AcksPending != 2 || e.Acks != 0 {
			t.Errorf("%+v", e)
		}
		expect(t, a, true, start, 22*time.Second)
		expect(t, b, true, start, 22*time.Second)
		if e := c.Stats().Endpoints[0]; e.AcksPending != 0 || e.Acks != 2 || e.AckSeconds != 44 || e.DupRisk != 0 {
			t.Errorf("%+v", e)
		}
		channel := s.Seen()[0].Header.Get("X-Splunk-Request-Channel")
		seen, ids := queries(t, s)
		if len(seen) != 3 || !slices.Equal(ids[2], []int64{0, 1}) {
			t.Errorf("asked for %v, want 0 and 1 three times", ids)
		}
		for _, q := range seen {
			if q.Query != "channel="+channel || q.Header.Get("X-Splunk-Request-Channel") != channel ||
				q.Header.Get("Authorization") != "Splunk "+first || q.Header.Get("Cookie") != "AWSALB=x" {
				t.Errorf("query %q, %v", q.Query, q.Header)
			}
		}
		again := time.Now()
		s.SetAcks(hectest.Acks{On: true})
		expect(t, promise(t, c), true, again, 2*time.Second)
	})
}

// An answer that was lost may have told of an ackId, which then is never told
// again; or not, and then it is.
func TestAckAnswerLost(t *testing.T) {
	virtual(t, func(t *testing.T, net *hectest.Network) {
		s := net.New(first)
		s.SetAcks(hectest.Acks{On: true})
		for _, fault := range []hectest.Fault{hectest.Drop, hectest.Cut} {
			c := dial(t, hec.Config{Dial: net.Dial}, s)
			s.ScriptAcks(hectest.Answer{Fault: fault})
			start := time.Now()
			told := promise(t, c)
			expect(t, told, false, start, 5*time.Minute)
			if e := c.Stats().Endpoints[0]; e.AckTimeouts != 1 || e.DupRisk != 2 || e.AcksPending != 0 || !e.Up {
				t.Errorf("%+v", e)
			}
			if n := channels(s); n != 1 {
				t.Errorf("%d channels, want 1", n)
			}
			promise(t, c)
			if n := channels(s); n != 2 {
				t.Errorf("%d channels after the timeout, want 2", n)
			}
			c.Close()
			s.Clear()
		}
		c := dial(t, hec.Config{Dial: net.Dial}, s)
		s.ScriptAcks(hectest.Answer{Fault: hectest.Reset}, down, hectest.Answer{Status: 404}, hectest.Answer{Status: 401})
		expect(t, promise(t, c), true, time.Now(), 42*time.Second)
	})
}

// channels counts those that requests came in.
func channels(s *hectest.Server) int {
	ids := make(map[string]bool)
	for _, r := range s.Seen() {
		ids[r.Header.Get("X-Splunk-Request-Channel")] = true
	}
	return len(ids)
}

// A server that counts from 0 again fails at once what is awaited, and what told.
func TestChannelReset(t *testing.T) {
	virtual(t, func(t *testing.T, net *hectest.Network) {
		s := net.New(first)
		s.SetAcks(hectest.Acks{On: true, After: -1})
		c := dial(t, hec.Config{Dial: net.Dial}, s)
		start := time.Now()
		list := []<-chan acked{promise(t, c), promise(t, c), promise(t, c)}
		time.Sleep(time.Minute)
		s.Forget()
		list = append(list, promise(t, c))
		for _, told := range list {
			expect(t, told, false, start, time.Minute)
		}
		if e := c.Stats().Endpoints[0]; e.AckTimeouts != 0 || e.DupRisk != 8 || e.AcksPending != 0 || !e.Up {
			t.Errorf("%+v", e)
		}
		s.SetAcks(hectest.Acks{On: true})
		expect(t, promise(t, c), true, start.Add(time.Minute), 2*time.Second)
		if n := channels(s); n != 2 {
			t.Errorf("%d channels, want 2", n)
		}
	})
}

// A server that refuses the channel has forgotten it, whoever is told so.
func TestChannelForgotten(t *testing.T) {
	virtual(t, func(t *testing.T, net *hectest.Network) {
		s := net.New(first)
		s.SetAcks(hectest.Acks{On: true, After: -1})
		c := dial(t, hec.Config{Dial: net.Dial}, s)
		gone := hectest.Answer{Status: 400, Body: `{"code":11}`}
		start := time.Now()
		told := promise(t, c)
		s.ScriptAcks(gone)
		expect(t, told, false, start, 2*time.Second)
		told = promise(t, c)
		s.Script(gone)
		send(t, c, hec.Retry)
		expect(t, told, false, start, 2*time.Second)
	})
}

// Balancers that send a cookie with every answer lose nothing.
func TestCookieOfEveryAnswer(t *testing.T) {
	virtual(t, func(t *testing.T, net *hectest.Network) {
		s := net.New(first)
		s.SetAcks(hectest.Acks{On: true})
		for _, v := range []string{"a", "b"} {
			s.Script(hectest.Answer{Header: http.Header{"Set-Cookie": {"AWSALB=" + v}}})
		}
		c := dial(t, hec.Config{Dial: net.Dial}, s)
		start := time.Now()
		for _, told := range []<-chan acked{promise(t, c), promise(t, c)} {
			expect(t, told, true, start, 2*time.Second)
		}
	})
}

func TestAckQueriesAreBounded(t *testing.T) {
	virtual(t, func(t *testing.T, net *hectest.Network) {
		s := net.New(first)
		s.SetAcks(hectest.Acks{On: true})
		c := dial(t, hec.Config{Dial: net.Dial}, s)
		var list []<-chan acked
		for range 2001 {
			list = append(list, promise(t, c))
		}
		s.ScriptAcks(down) // ends the round
		start := time.Now()
		for _, told := range list {
			expect(t, told, true, start, 12*time.Second)
		}
		var sizes []int
		_, ids := queries(t, s)
		for _, q := range ids {
			sizes = append(sizes, len(q))
		}
		if !slices.Equal(sizes, []int{1000, 1000, 1000, 1}) {
			t.Errorf("queries of %v ids, want 1000, and later 1000, 1000 and 1", sizes)
		}
	})
}

// A channel at capacity makes the client wait, and goes on when it was asked.
func TestAckCapacity(t *testing.T) {
	virtual(t, func(t *testing.T, net *hectest.Network) {
		s := net.New(first)
		s.SetAcks(hectest.Acks{On: true, Cap: 1})
		c := dial(t, hec.Config{Dial: net.Dial}, s)
		start := time.Now()
		told := promise(t, c)
		if o := send(t, c, hec.Retry); o.Code != 27 {
			t.Errorf("%+v", o)
		}
		expect(t, told, true, start, 2*time.Second)
		after(t, c, 0, hec.Delivered)
	})
}

// The token that took the events asks for them, though another is used by then.
func TestAckAfterRotation(t *testing.T) {
	virtual(t, func(t *testing.T, net *hectest.Network) {
		s := net.New(first, second)
		s.SetAcks(hectest.Acks{On: true})
		path := write(t, "token", first)
		c := dial(t, hec.Config{Dial: net.Dial, TokenFile: path}, s)
		start := time.Now()
		list := []<-chan acked{promise(t, c)}
		rewrite(t, path, second)
		time.Sleep(5 * time.Second)
		list = append(list, promise(t, c), promise(t, c))
		for i, when := range []time.Duration{2, 7, 7} {
			expect(t, list[i], true, start, when*time.Second)
		}
		seen, _ := queries(t, s)
		for i, token := range []string{first, second} {
			if seen[i].Header.Get("Authorization") != "Splunk "+token {
				t.Errorf("query %d goes with another token", i)
			}
		}
		if n := channels(s); n != 2 {
			t.Errorf("%d channels, want 2", n)
		}
		if stats := c.Stats(); stats.TokenReloads != 1 || stats.TokenFailures != 0 {
			t.Errorf("%+v", stats)
		}
	})
}

func TestCloseTellsNothing(t *testing.T) {
	virtual(t, func(t *testing.T, net *hectest.Network) {
		s := net.New(first)
		s.SetAcks(hectest.Acks{On: true})
		c := dial(t, hec.Config{Dial: net.Dial}, s)
		told := promise(t, c)
		c.Close()
		time.Sleep(time.Hour)
		if len(told) != 0 {
			t.Error("told after Close")
		}
	})
}
