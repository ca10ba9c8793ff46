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

func TestAckModes(t *testing.T) {
	tests := []struct {
		name  string
		mode  hec.AckMode
		acks  bool
		acked func(bool)
		want  hec.Class
	}{
		{"auto, without", hec.AckAuto, false, func(bool) {}, hec.Delivered},
		{"auto, with", hec.AckAuto, true, func(bool) {}, hec.AwaitAck},
		{"off, with", hec.AckOff, true, func(bool) {}, hec.Delivered},
		{"require, without", hec.AckRequire, false, func(bool) {}, hec.HoldConfig},
		{"require, with", hec.AckRequire, true, func(bool) {}, hec.AwaitAck},
		{"nobody listens", hec.AckAuto, true, nil, hec.Delivered},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			virtual(t, func(t *testing.T, net *hectest.Network) {
				s := net.New(first)
				s.SetAcks(hectest.Acks{On: tt.acks})
				c := dial(t, hec.Config{Dial: net.Dial, Ack: tt.mode}, s)
				slot, err := c.Acquire(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				o := slot.Send(t.Context(), hec.Request{Events: goodEvents(), Acked: tt.acked})
				if o.Class != tt.want || (o.AckID >= 0) != tt.acks || (o.Err != nil) != (o.Class == hec.HoldConfig) {
					t.Errorf("%+v, want %v", o, tt.want)
				}
				if e := c.Stats().Endpoints[0]; o.Class == hec.HoldConfig && (!o.DupRisk || e.Hold != "config" || e.DupRisk != 2) {
					t.Errorf("%+v, %+v", o, e)
				}
			})
		})
	}
}

func TestNoAcknowledgements(t *testing.T) {
	answers := map[string]hectest.Answer{
		"code 14":        {Status: 400, Body: `{"text":"ACK is disabled","code":14}`},
		"page 400":       {Status: 400, Body: "<html>"},
		"405":            {Status: 405},
		"page":           {Status: 200, Body: "<html>"},
		"no acks":        {Status: 200, Body: `{"text":"Success","code":0}`},
		"a list":         {Status: 200, Body: `{"acks":[0]}`},
		"id with a zero": {Status: 200, Body: `{"acks":{"00":true}}`},
		"id below 0":     {Status: 200, Body: `{"acks":{"-1":true}}`},
		"word for true":  {Status: 200, Body: `{"acks":{"0":"true"}}`},
	}
	for name, answer := range answers {
		t.Run(name, func(t *testing.T) {
			virtual(t, func(t *testing.T, net *hectest.Network) {
				s := net.New(first)
				s.SetAcks(hectest.Acks{On: true, After: -1})
				var log bytes.Buffer
				c := dial(t, hec.Config{Dial: net.Dial, Log: slog.New(slog.NewTextHandler(&log, nil))}, s)
				start := time.Now()
				a, b := promise(t, c), promise(t, c)
				s.ScriptAcks(answer)
				expect(t, a, true, start, 2*time.Second)
				expect(t, b, true, start, 2*time.Second)
				if o := send(t, c, hec.Delivered); o.AckID != 2 {
					t.Errorf("%+v", o)
				}
				time.Sleep(time.Hour)
				if e := c.Stats().Endpoints[0]; e.AckDowngrades != 1 || e.AcksPending != 0 || !e.Up || strings.Count(log.String(), "\n") != 1 {
					t.Errorf("%+v, log %q", e, &log)
				}
			})
		})
	}
}

func TestAckRequired(t *testing.T) {
	virtual(t, func(t *testing.T, net *hectest.Network) {
		s := net.New(first)
		s.SetAcks(hectest.Acks{On: true, After: -1})
		c := dial(t, hec.Config{Dial: net.Dial, Ack: hec.AckRequire}, s)
		start := time.Now()
		told := promise(t, c)
		no := hectest.Answer{Status: 400, Body: `{"code":14}`}
		s.ScriptAcks(no, no)
		time.Sleep(20 * time.Second)
		if e := c.Stats().Endpoints[0]; e.Hold != "config" || e.AckDowngrades != 0 || e.AcksPending != 1 {
			t.Errorf("%+v", e)
		}
		next := promise(t, c)
		if waited := time.Since(start); waited != 32*time.Second {
			t.Errorf("asked again after %v, want 30 s after the first refusal", waited)
		}
		expect(t, told, false, start, 5*time.Minute)
		expect(t, next, false, start, 32*time.Second+5*time.Minute)
	})
}

// What came before a bad event is taken without an ackId, so that it is not safe
// where acknowledgements are awaited.
func TestTakenWithoutAck(t *testing.T) {
	virtual(t, func(t *testing.T, net *hectest.Network) {
		s := net.New(first)
		c := dial(t, hec.Config{Dial: net.Dial}, s)
		busy := hectest.Answer{Status: 503, Body: `{"code":9,"invalid-event-number":1}`}
		bad := hectest.Answer{Status: 400, Body: `{"code":6,"invalid-event-number":1}`}
		s.Script(busy, bad)
		if o := send(t, c, hec.Retry); o.Invalid != 1 || o.DupRisk {
			t.Errorf("without acknowledgements: %+v", o)
		}
		if o := send(t, c, hec.Split); o.Invalid != 1 || o.DupRisk {
			t.Errorf("without acknowledgements: %+v", o)
		}
		s.SetAcks(hectest.Acks{On: true})
		promise(t, c)
		s.Script(busy, bad)
		if o := send(t, c, hec.Retry); o.Invalid != -1 || !o.DupRisk {
			t.Errorf("with acknowledgements: %+v", o)
		}
		if o := send(t, c, hec.Split); o.Invalid != 1 || !o.DupRisk {
			t.Errorf("with acknowledgements: %+v", o)
		}
	})
}
