package hec_test

import (
	"maps"
	"os"
	"testing"
	"time"

	"github.com/periscope-collector/periscope/sink/splunk/hec"
	"github.com/periscope-collector/periscope/sink/splunk/hec/hectest"
)

func TestStats(t *testing.T) {
	virtual(t, func(t *testing.T, net *hectest.Network) {
		s := net.New(first)
		path := write(t, "token", first)
		c := dial(t, hec.Config{Dial: net.Dial, TokenFile: path}, s)
		if e := c.Stats().Endpoints[0]; e.URL != s.URL || !e.Up || e.Hold != "" || e.Limit != 1 || !e.LastSuccess.IsZero() || len(e.Requests) != 0 {
			t.Errorf("at the beginning: %+v", e)
		}
		send(t, c, hec.Delivered)
		last := time.Now()
		slot, err := c.Acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if n := c.Stats().Endpoints[0].InFlight; n != 1 {
			t.Errorf("%d requests are out, want 1", n)
		}
		slot.Release()
		for _, a := range []hectest.Answer{
			{Status: 400, Body: `{"code":28}`}, {Status: 400, Body: `{"code":4711}`},
			{Status: 555}, {Status: 599}, {Fault: hectest.Drop},
		} {
			s.Script(a)
			try(t, c)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		s.Always(hectest.Answer{Status: 403, Body: `{"code":4}`})
		send(t, c, hec.HoldToken)
		stats := c.Stats()
		e := stats.Endpoints[0]
		want := map[hec.Answer]uint64{
			{HTTP: 200, Code: 0}: 1, {HTTP: 400, Code: hec.OtherCode}: 2,
			{HTTP: 500, Code: -1}: 2, {HTTP: 0, Code: -1}: 1, {HTTP: 403, Code: 4}: 1,
		}
		if !maps.Equal(e.Requests, want) {
			t.Errorf("requests %v, want %v", e.Requests, want)
		}
		if e.Up || e.Hold != "token" || !e.LastSuccess.Equal(last) || e.DupRisk != 2 || e.InFlight != 0 {
			t.Errorf("%+v", e)
		}
		if wire := uint64(len(s.Seen()[0].Body)); e.RawBytes != 7*uint64(len(good)) || e.WireBytes != 7*wire {
			t.Errorf("%d bytes, %d on the wire; want %d, %d", e.RawBytes, e.WireBytes, 7*len(good), 7*wire)
		}
		if stats.TokenFailures == 0 || stats.TokenReloads != 0 {
			t.Errorf("%d failures, %d reloads", stats.TokenFailures, stats.TokenReloads)
		}
	})
}
