package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/periscope-collector/periscope/internal/config"
	"github.com/periscope-collector/periscope/internal/pipeline"
	"github.com/periscope-collector/periscope/sink/splunk/hec"
)

// Limits of the steps of a check.
const (
	checkSend = 30 * time.Second // one event, with what is sent again
	checkAck  = time.Minute      // Splunk is asked 2 s after the event, then every 10 s
)

// checkSplunk tries every endpoint by itself and writes a line for each step.
func checkSplunk(ctx context.Context, c *config.Splunk, w io.Writer) error {
	failed := 0
	for _, e := range c.Endpoints {
		fmt.Fprintln(w, e.URL)
		k := endpointCheck{url: e.URL, w: w, splunk: c, hec: pipeline.HECConfig(c, version)}
		k.hec.Endpoints = []hec.Endpoint{{URL: e.URL}}
		k.run(ctx)
		failed += k.failed
	}
	if failed > 0 {
		return fmt.Errorf("splunk: failed steps: %d; what to do stands beside each", failed)
	}
	return nil
}

// An endpointCheck is the check of one endpoint.
type endpointCheck struct {
	url    string
	w      io.Writer
	splunk *config.Splunk
	hec    hec.Config
	failed int
}

// step writes a line, and reports whether the step went well.
func (k *endpointCheck) step(name, what string, err error) bool {
	verdict := "ok"
	if err != nil {
		k.failed++
		verdict, what = "failed", err.Error()
	}
	fmt.Fprintf(k.w, "  %-7s %-16s %s\n", verdict, name, what)
	return err == nil
}

// skip writes a line about a step there was no need for.
func (k *endpointCheck) skip(name, why string) { fmt.Fprintf(k.w, "  %-7s %-16s %s\n", "-", name, why) }

// run takes the steps, as far as one rests on another.
func (k *endpointCheck) run(ctx context.Context) {
	u, err := url.Parse(k.url)
	if err != nil { // the configuration was validated
		k.step("name", "", err)
		return
	}
	settings, err := hec.TLS(k.hec)
	if err != nil {
		k.step("certificates", "", fmt.Errorf("%w; check sinks.splunk.ca_file, cert_file and key_file", err))
		return
	}
	names, err := lookUp(ctx, u.Hostname())
	if !k.step("name", names, err) {
		return
	}
	what, err := connect(ctx, u, settings)
	if !k.step("connection", what, err) {
		return
	}
	what, err = health(ctx, u, settings)
	k.step("health", what, err) // a balancer may hide it
	client, err := hec.New(k.hec)
	if err != nil { // the configuration was validated
		k.step("connection", "", err)
		return
	}
	defer client.Close()
	if err := client.Tokens(); err != nil {
		k.step("token", "", err)
		return
	}
	k.events(ctx, client)
}

// events sends an event to each index, and waits for an acknowledgement.
func (k *endpointCheck) events(ctx context.Context, client *hec.Client) {
	acked := make(chan bool, 1)
	first := func(ok bool) {
		select {
		case acked <- ok:
		default:
		}
	}
	asked, token, start := false, false, time.Now()
	for _, l := range checkLanes(k.splunk) {
		o := sendOne(ctx, client, hec.Request{Events: [][]byte{checkEvent(l.index)}, Acked: first})
		if o.Class == hec.HoldToken {
			k.step("token", "", explain(&o))
			return
		}
		if o.Class == hec.HoldConfig || o.Class == hec.Retry || o.Class == hec.PlainBody {
			name := "event" // it says nothing of the token
			if o.Code == 0 {
				name = "acknowledgement"
			}
			k.step(name, "", explain(&o))
			return
		}
		if !token {
			token = k.step("token", accepted(k.hec.TokenFile), nil)
		}
		asked = asked || o.Class == hec.AwaitAck
		k.index(l, &o)
	}
	switch {
	case k.splunk.Ack == "off":
		k.skip("acknowledgement", "off in the configuration")
	case !asked:
		k.skip("acknowledgement", "the token has none; an event counts as delivered when the server has taken it")
	default:
		k.acknowledged(ctx, client, acked, start)
	}
}

// accepted says that a token of the file was, of how many.
func accepted(file string) string {
	text, _ := os.ReadFile(file) // the client has read it, and found tokens alone
	if n := len(strings.Fields(string(text))); n > 1 {
		return fmt.Sprintf("accepted, one of the %d in the token file", n)
	}
	return "accepted"
}

// index writes what became of the event for an index.
func (k *endpointCheck) index(l checkLane, o *hec.Outcome) {
	name := "index " + l.index
	if l.index == "" {
		name = "default index"
	}
	if o.Class == hec.Delivered || o.Class == hec.AwaitAck {
		k.step(name, "takes events, those of "+strings.Join(l.types, ", "), nil)
	} else {
		k.step(name, "", explain(o))
	}
}

// acknowledged waits for the first acknowledgement.
func (k *endpointCheck) acknowledged(ctx context.Context, client *hec.Client, acked <-chan bool, start time.Time) {
	ctx, cancel := context.WithTimeout(ctx, checkAck)
	defer cancel()
	var err error
	select {
	case ok := <-acked:
		if !ok {
			err = errors.New("the channel was lost; check that the load balancer keeps a client at one server by a cookie")
		}
	case <-ctx.Done():
		err = fmt.Errorf("none within %s; look whether the indexers are behind, and whether a load balancer keeps a client at one server", checkAck)
	}
	if client.Stats().Endpoints[0].AckDowngrades > 0 {
		k.skip("acknowledgement", "the server counts events and does not acknowledge them, so they count as delivered; turn on useACK for the token, or set sinks.splunk.ack to off")
		return
	}
	k.step("acknowledgement", fmt.Sprintf("indexed after %.1f s", time.Since(start).Seconds()), err)
}

// sendOne sends one request, and again while the server asks for that.
func sendOne(ctx context.Context, client *hec.Client, r hec.Request) (o hec.Outcome) {
	ctx, cancel := context.WithTimeout(ctx, checkSend)
	defer cancel()
	for range 3 {
		slot, err := client.Acquire(ctx)
		if err != nil {
			if o.Err == nil {
				o = hec.Outcome{Code: -1, Err: err}
			}
			return o
		}
		o = slot.Send(ctx, r)
		if o.Class != hec.Retry && o.Class != hec.PlainBody {
			break
		}
	}
	return o
}

// checkEvent returns an event for an index.
func checkEvent(index string) []byte {
	host, _ := os.Hostname() // without one there is no host
	event := struct {
		Time       json.Number       `json:"time"`
		Host       string            `json:"host,omitempty"`
		Source     string            `json:"source"`
		Sourcetype string            `json:"sourcetype"`
		Index      string            `json:"index,omitempty"`
		Event      map[string]string `json:"event"`
	}{
		Host: host, Source: "periscope", Sourcetype: "periscope:check", Index: index,
		Event: map[string]string{"message": "periscope check --splunk: this index takes events", "version": version},
	}
	now := time.Now().UnixMicro()
	event.Time = json.Number(fmt.Sprintf("%d.%06d", now/1e6, now%1e6))
	b, err := json.Marshal(event)
	if err != nil {
		panic(err) // it has strings and a number
	}
	return bytes.TrimSpace(b)
}

// A checkLane is an index and the types of record that go there.
type checkLane struct {
	index string
	types []string
}

// checkLanes returns the indexes of what is sent, each once.
func checkLanes(c *config.Splunk) (lanes []checkLane) {
	for _, t := range []struct {
		name, index string
		sent        bool
	}{
		{"flow", c.Indexes.Flow, slices.Contains(c.Records, "flow")},
		{"vpcflow", c.Indexes.VPCFlow, slices.Contains(c.Records, "vpcflow")},
		{"ledger", c.Indexes.Ledger, slices.Contains(c.Records, "ledger")},
		{"frame", c.Indexes.Frame, c.Frames.Mode != "off"},
	} {
		if !t.sent {
			continue
		}
		index := cmp.Or(t.index, c.Index)
		i := slices.IndexFunc(lanes, func(l checkLane) bool { return l.index == index })
		if i < 0 {
			i = len(lanes)
			lanes = append(lanes, checkLane{index: index})
		}
		lanes[i].types = append(lanes[i].types, t.name)
	}
	return lanes
}
