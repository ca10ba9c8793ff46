package hec_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/periscope-collector/periscope/sink/splunk/hec"
	"github.com/periscope-collector/periscope/sink/splunk/hec/hectest"
)

// lose has two requests wait in a channel that the server forgets between them.
func lose(t *testing.T, c *hec.Client, s *hectest.Server) (list [2]<-chan acked) {
	t.Helper()
	list[0] = promise(t, c)
	s.Forget()
	list[1] = promise(t, c)
	return list
}

// A balancer that spreads requests over servers makes each channel be lost. To
// send again without end would flood them.
func TestChannelsLostWithoutEnd(t *testing.T) {
	virtual(t, func(t *testing.T, net *hectest.Network) {
		s := net.New(first)
		s.SetAcks(hectest.Acks{On: true, After: -1})
		var log bytes.Buffer
		c := dial(t, hec.Config{Dial: net.Dial, Log: slog.New(slog.NewTextHandler(&log, nil))}, s)
		start := time.Now()
		for n := range 9 {
			for _, told := range lose(t, c, s) {
				expect(t, told, n == 8, start, 0)
			}
		}
		send(t, c, hec.Delivered)
		time.Sleep(time.Hour)
		if e := c.Stats().Endpoints[0]; e.AckDowngrades != 1 || e.AcksPending != 0 || !e.Up {
			t.Errorf("%+v", e)
		}
		if text := log.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, "cookie") {
			t.Errorf("log %q, want one line with what to do", text)
		}
	})
}

// One acknowledgement shows that the server restarts, no more.
func TestChannelsLostNowAndThen(t *testing.T) {
	virtual(t, func(t *testing.T, net *hectest.Network) {
		s := net.New(first)
		c := dial(t, hec.Config{Dial: net.Dial}, s)
		for range 3 {
			s.SetAcks(hectest.Acks{On: true, After: -1})
			start := time.Now()
			for range 8 {
				for _, told := range lose(t, c, s) {
					expect(t, told, false, start, 0)
				}
			}
			s.SetAcks(hectest.Acks{On: true})
			expect(t, promise(t, c), true, start, 2*time.Second)
		}
		if e := c.Stats().Endpoints[0]; e.AckDowngrades != 0 {
			t.Errorf("%+v", e)
		}
	})
}

// Where acknowledgements are required the endpoint is asked now and then.
func TestChannelsLostWhereRequired(t *testing.T) {
	virtual(t, func(t *testing.T, net *hectest.Network) {
		s := net.New(first)
		s.SetAcks(hectest.Acks{On: true, After: -1})
		c := dial(t, hec.Config{Dial: net.Dial, Ack: hec.AckRequire}, s)
		start := time.Now()
		for range 9 {
			for _, told := range lose(t, c, s) {
				expect(t, told, false, start, 0)
			}
		}
		if e := c.Stats().Endpoints[0]; e.Hold != "config" || e.AckDowngrades != 0 {
			t.Errorf("%+v", e)
		}
		promise(t, c)
		if waited := time.Since(start); waited != 30*time.Second {
			t.Errorf("asked again after %v, want 30 s", waited)
		}
	})
}
