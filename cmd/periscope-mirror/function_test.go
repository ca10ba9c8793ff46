package main

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/periscope-collector/periscope/internal/awsfake"
)

const bucket = "periscope-rules"

// put makes or replaces an object in the bucket.
func (h *home) put(key, text string) {
	h.MakeBucket(awsfake.HomeAccount, awsfake.HomeRegion, bucket)
	h.change(func(r *awsfake.Region) {
		b := r.Buckets[bucket]
		if b.Objects == nil {
			b.Objects = make(map[string]*awsfake.Object)
		}
		b.Objects[key] = &awsfake.Object{Data: []byte(text)}
	})
}

// Rules of S3 are read again when they are a minute old and an event comes. Of wrong
// ones, or none, the old stay in force.
func TestFunctionRulesOfS3(t *testing.T) {
	h := newHome(t, "")
	h.put("rules/1.yaml", homeRules)
	web, db := h.run("web", ""), h.run("db", "")
	now := time.Now()
	var log bytes.Buffer
	f := &function{
		places: places{rules: "s3://" + bucket + "/rules/1.yaml", changes: "s3://" + bucket + "/changes"},
		out:    &bytes.Buffer{}, log: slog.New(slog.NewTextHandler(&log, nil)), now: func() time.Time { return now },
	}
	schedule := readEvents(t)["scheduled-rule"]
	do := func(after time.Duration, want tally, mirrored ...awsfake.Task) {
		t.Helper()
		now = now.Add(after)
		answer, err := f.Invoke(t.Context(), schedule)
		if err != nil {
			t.Fatal(err)
		}
		var got tally
		if err := json.Unmarshal(answer, &got); err != nil || got.Created != want.Created || got.Deleted != want.Deleted {
			t.Errorf("%s, %v", answer, err)
		}
		h.want(mirrored...)
	}
	do(0, tally{Created: 1}, web)
	h.put("rules/1.yaml", strings.Replace(homeRules, "[web, api]", "[db]", 1))
	do(rereadEvery-1, tally{}, web)
	do(1, tally{Created: 1, Deleted: 1}, db)
	h.put("rules/1.yaml", "sources: all\n")
	do(rereadEvery, tally{}, db)
	h.change(func(r *awsfake.Region) { delete(r.Buckets[bucket].Objects, "rules/1.yaml") })
	do(rereadEvery, tally{}, db)
	h.put("rules/1.yaml", homeRules)
	do(rereadEvery, tally{Created: 1, Deleted: 1}, web)
	for text, count := range map[string]int{"rules reloaded": 2, "rules not reloaded, the old ones stay in force": 2} {
		if n := strings.Count(log.String(), text); n != count {
			t.Errorf("%d of %q in\n%s", n, text, &log)
		}
	}
	changes := 0
	h.change(func(r *awsfake.Region) {
		for key := range r.Buckets[bucket].Objects {
			if strings.HasPrefix(key, "changes/"+awsfake.HomeAccount+"/"+awsfake.HomeRegion+"/") {
				changes++
			}
		}
	})
	if changes != 5 {
		t.Errorf("%d changes, want 5", changes)
	}
	if n := h.Calls()[awsfake.Metadata]; n != 0 { // Lambda has none: asking takes two seconds
		t.Errorf("instance metadata were asked %d times", n)
	}
}

// Instances are looked for from when rules want some, and no longer when none does.
func TestFunctionRulesOfInstances(t *testing.T) {
	h := newHome(t, "")
	h.put("mirror.yaml", homeRules)
	_, card, err := h.RunInstance(awsfake.HomeAccount, awsfake.HomeRegion, "web-1", netip.Addr{})
	if err != nil {
		t.Fatal(err)
	}
	h.change(func(r *awsfake.Region) { // of rules that wanted it before
		r.Sessions = map[string]*awsfake.MirrorSession{"tms-00000000000000001": {ID: "tms-00000000000000001", InterfaceID: card.ID, TargetID: homeTarget,
			FilterID: homeFilter, OwnerID: awsfake.HomeAccount, Number: 1, VNI: 1048577, Tags: awsfake.Set[awsfake.Tag]{{Key: "periscope:owner", Value: "periscope"}}}}
	})
	now := time.Now()
	f := &function{places: places{rules: "s3://" + bucket + "/mirror.yaml"}, out: &bytes.Buffer{}, log: slog.New(slog.DiscardHandler), now: func() time.Time { return now }}
	for i, want := range []struct {
		rules              string
		mirrored, instance int
	}{
		{homeRules, 0, 0},
		{strings.Replace(homeRules, "{cluster: [shop], service: [web, api]}", `{instance_name: ["web-*"]}`, 1), 1, 1},
		{homeRules, 1, 0}, // what was made just now may not be listed yet, and stays for a while
	} {
		h.put("mirror.yaml", want.rules)
		now = now.Add(rereadEvery)
		before := h.Calls()["DescribeInstances"]
		if _, err := f.Invoke(t.Context(), readEvents(t)["scheduled-scheduler"]); err != nil {
			t.Fatal(err)
		}
		if got := h.Calls()["DescribeInstances"] - before; got != want.instance || len(h.mirrored()) != want.mirrored {
			t.Errorf("%d: instances asked for %d times, mirrored %s", i, got, h.mirrored())
		}
	}
}

// Metrics that cannot be written are no reason to act twice.
func TestFunctionMetricsLost(t *testing.T) {
	h := newHome(t, homeRules)
	task := h.run("web", "")
	var log bytes.Buffer
	f := &function{places: places{rules: h.dir + "/mirror.yaml"}, out: broken{}, log: slog.New(slog.NewTextHandler(&log, nil)), now: time.Now}
	if _, err := f.Invoke(t.Context(), h.TaskEvent(task.ARN)); err != nil || !strings.Contains(log.String(), "metrics not written") {
		t.Errorf("%v\n%s", err, &log)
	}
	h.want(task)
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, context.Canceled }

// An event that comes late has everything looked at, and those that waited with it
// then have nothing: of a burst each is not asked about on its own.
func TestFunctionLate(t *testing.T) {
	h := newHome(t, homeRules)
	first, second := h.run("web", ""), h.run("api", "")
	happened := time.Now()
	now := happened.Add(late)
	f := &function{places: places{rules: filepath.Join(h.dir, "mirror.yaml")}, out: &bytes.Buffer{}, log: slog.New(slog.DiscardHandler), now: func() time.Time { return now }}
	do := func(task awsfake.Task, at time.Time, looks int, mirrored ...awsfake.Task) {
		t.Helper()
		var e map[string]any
		if err := json.Unmarshal(h.TaskEvent(task.ARN), &e); err != nil {
			t.Fatal(err)
		}
		e["time"] = at.Format(time.RFC3339Nano)
		payload, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		before := h.Calls()["DescribeTrafficMirrorTargets"]
		if _, err := f.Invoke(t.Context(), payload); err != nil {
			t.Fatal(err)
		}
		if n := h.Calls()["DescribeTrafficMirrorTargets"] - before; n != looks {
			t.Errorf("%d looks, want %d", n, looks)
		}
		h.want(mirrored...)
	}
	do(first, happened, 1, first) // not late yet
	now = now.Add(1)
	h.Fail(awsfake.Fault{Operation: "CreateTrafficMirrorSession", Times: 1, Kind: awsfake.Refused,
		Error: awsfake.Error{Code: "InvalidNetworkInterfaceID.NotFound", Message: "not yet"}})
	do(first, happened, 1, first) // an interface may still come, so that this look is not the last
	third := h.run("api", "")
	do(first, happened, 1, first, third)
	covered := now.Add(-settles)
	do(second, covered.Add(-1), 0, first, third)
	do(second, covered, 1, first, third)
}
