package awsapi_test

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/periscope-collector/periscope/internal/awsapi"
	"github.com/periscope-collector/periscope/internal/awsfake"
	"github.com/periscope-collector/periscope/mirror/changes"
)

func openObjects(t *testing.T, url string) *awsapi.Objects {
	t.Helper()
	o, err := awsapi.OpenObjects(url, awsapi.Config{RatePerSecond: 1e6, Timeout: patience})
	if err != nil {
		t.Fatal(err)
	}
	o.Client().Hasty(time.Millisecond)
	t.Cleanup(o.Close)
	return o
}

func TestObjectsURL(t *testing.T) {
	for url, ok := range map[string]bool{
		"s3://b": true, "s3://b/": true, "s3://b.c-1/p/q/": true, "s3://b//p//": true,
		"": false, "b": false, "/b": false, "s3:/b": false, "s3://": false, "s3:///p": false, "s3://B": false, "s3://a@b/p": false, "s3://b:1/p": false,
		"https://b": false, "s3://b\n/p": false, "s3://../p": true, // AWS says what that is
	} {
		o, err := awsapi.OpenObjects(url, awsapi.Config{})
		if ok != (err == nil) || ok != (o != nil) || err != nil && !strings.Contains(err.Error(), "write s3://bucket/prefix") {
			t.Errorf("%q: %v", url, err)
		}
	}
}

// TestObjects: what is put is there, once, in order, below the prefix.
func TestObjects(t *testing.T) {
	fake := awsfake.Start(t)
	fake.MakeBucket(awsfake.HomeAccount, awsfake.HomeRegion, "logs")
	ctx := t.Context()
	o, beside := openObjects(t, "s3://logs/changes/v1/"), openObjects(t, "s3://logs")
	for _, key := range []string{"b", "a/2", "a/1", "a.json", "b"} {
		err := o.Put(ctx, key, []byte(key+" of "+key))
		if again := key == "b" && len(fake.State().Accounts[awsfake.HomeAccount].Regions[awsfake.HomeRegion].Buckets["logs"].Objects) > 1; again != errors.Is(err, fs.ErrExist) || !again && err != nil {
			t.Errorf("%s: %v", key, err)
		}
	}
	if err := beside.Put(ctx, "changes/v2", nil); err != nil {
		t.Fatal(err)
	}
	if got, err := o.Get(ctx, "a/1"); err != nil || string(got) != "a/1 of a/1" {
		t.Errorf("got %q, %v", got, err)
	}
	if _, err := o.Get(ctx, "v2"); !errors.Is(err, fs.ErrNotExist) || !strings.HasPrefix(err.Error(), "s3://logs/changes/v1/v2: ") {
		t.Errorf("one beside: %v", err)
	}
	for _, test := range []struct {
		after string
		limit int
		want  []string
	}{
		{"", 10, []string{"a.json", "a/1", "a/2", "b"}},
		{"", 4, []string{"a.json", "a/1", "a/2", "b"}},
		{"", 3, []string{"a.json", "a/1", "a/2"}},
		{"a", 1, []string{"a.json"}},
		{"a/1", 10, []string{"a/2", "b"}},
		{"a/15", 10, []string{"a/2", "b"}},
		{"b", 10, nil},
		{"", 0, nil},
	} {
		if got, err := o.List(ctx, test.after, test.limit); err != nil || !slices.Equal(got, test.want) {
			t.Errorf("%d after %q: %v, %v; want %v", test.limit, test.after, got, err, test.want)
		}
	}
	if got, err := beside.List(ctx, "", 10); err != nil || len(got) != 5 || got[4] != "changes/v2" {
		t.Errorf("the bucket has %v, %v", got, err)
	}
}

// TestListPages: a list of more than S3 gives at once.
func TestListPages(t *testing.T) {
	fake := awsfake.Start(t)
	fake.MakeBucket(awsfake.HomeAccount, awsfake.HomeRegion, "logs")
	var all []string
	fake.Change(func(s *awsfake.State) {
		objects := make(map[string]*awsfake.Object)
		for i := range 2500 {
			all = append(all, fmt.Sprintf("%04d", i))
			objects["p/"+all[i]] = &awsfake.Object{}
		}
		s.Region(awsfake.HomeAccount, awsfake.HomeRegion).Buckets["logs"].Objects = objects
	})
	o := openObjects(t, "s3://logs/p")
	for limit, calls := range map[int]uint64{999: 1, 1000: 1, 1001: 2, 2000: 2, 2500: 3, 5000: 3} {
		before := o.Calls()["ListObjectsV2"]
		got, err := o.List(t.Context(), "", limit)
		if err != nil || !slices.Equal(got, all[:min(limit, 2500)]) {
			t.Errorf("%d: %d keys, %v", limit, len(got), err)
		}
		if n := o.Calls()["ListObjectsV2"] - before; n != calls {
			t.Errorf("%d: %d calls, want %d", limit, n, calls)
		}
	}
	if got, err := o.List(t.Context(), "1999", 10); err != nil || !slices.Equal(got, all[2000:2010]) {
		t.Errorf("after the second thousand: %v, %v", got, err)
	}
}

// TestObjectFaults: each is of a kind; what may pass is tried again.
func TestObjectFaults(t *testing.T) {
	fake := awsfake.Start(t)
	fake.MakeBucket(awsfake.HomeAccount, awsfake.HomeRegion, "logs")
	ctx := t.Context()
	o := openObjects(t, "s3://logs")
	conflict := awsfake.Error{Code: "ConditionalRequestConflict", Message: "The conditional request cannot succeed", Status: 409}
	for _, test := range []struct {
		fault awsfake.Fault
		kind  awsapi.Kind
		calls uint64 // of the put
	}{
		{awsfake.Fault{Kind: awsfake.Throttled, Times: 2}, awsapi.None, 3},
		{awsfake.Fault{Kind: awsfake.Throttled}, awsapi.Throttled, 3},
		{awsfake.Fault{Kind: awsfake.Internal}, awsapi.Unreachable, 3},
		{awsfake.Fault{Kind: awsfake.Denied}, awsapi.Denied, 1},
		{awsfake.Fault{Kind: awsfake.Expired}, awsapi.Expired, 1},
		{awsfake.Fault{Kind: awsfake.Reset}, awsapi.Unreachable, 3},
		{awsfake.Fault{Kind: awsfake.Refused, Error: conflict, Times: 2}, awsapi.None, 3},
		{awsfake.Fault{Kind: awsfake.Refused, Error: conflict}, awsapi.Other, 3},
	} {
		name := fmt.Sprint(test.fault.Kind, "-", test.fault.Times)
		test.fault.Operation = "PutObject"
		remove := fake.Fail(test.fault)
		before := o.Calls()["PutObject"]
		err := o.Put(ctx, "key-"+name, []byte("x"))
		remove()
		if awsapi.KindOf(err) != test.kind || errors.Is(err, fs.ErrExist) || o.Calls()["PutObject"]-before != test.calls {
			t.Errorf("%s: %v after %d calls", name, err, o.Calls()["PutObject"]-before)
		}
		test.fault.Operation = "ListObjectsV2"
		if test.fault.Kind != awsfake.Refused && test.fault.Times == 0 {
			remove = fake.Fail(test.fault)
			if keys, err := o.List(ctx, "", 10); awsapi.KindOf(err) != test.kind || keys != nil {
				t.Errorf("%s: listed %v, %v", name, keys, err)
			}
			remove()
		}
	}
	if _, err := openObjects(t, "s3://none/p").List(ctx, "", 1); awsapi.KindOf(err) != awsapi.NotFound || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without a bucket: %v", err)
	}
	if _, err := openObjects(t, "s3://none/p").Get(ctx, "k"); awsapi.KindOf(err) != awsapi.NotFound || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an object of no bucket: %v", err)
	}
}

// TestObjectTooLong: 1 MiB is read, and no more.
func TestObjectTooLong(t *testing.T) {
	fake := awsfake.Start(t)
	fake.MakeBucket(awsfake.HomeAccount, awsfake.HomeRegion, "logs")
	fake.Change(func(s *awsfake.State) {
		s.Region(awsfake.HomeAccount, awsfake.HomeRegion).Buckets["logs"].Objects = map[string]*awsfake.Object{
			"fits": {Data: make([]byte, 1<<20)}, "long": {Data: make([]byte, 1<<20+1)}}
	})
	o := openObjects(t, "s3://logs")
	if got, err := o.Get(t.Context(), "fits"); err != nil || len(got) != 1<<20 {
		t.Errorf("got %d bytes, %v", len(got), err)
	}
	if got, err := o.Get(t.Context(), "long"); !errors.Is(err, changes.ErrTooLong) || got != nil {
		t.Errorf("got %d bytes, %v", len(got), err)
	}
	fake.Fail(awsfake.Fault{Operation: "GetObject", Kind: awsfake.Broken, Times: 1})
	if got, err := o.Get(t.Context(), "fits"); err == nil || got != nil {
		t.Errorf("cut: got %d bytes, %v", len(got), err)
	}
}

// TestListOfStrangers: a list that does not go on ends, and one of other things is
// none.
func TestListOfStrangers(t *testing.T) {
	list := func(keys string, more bool) answer {
		return answer{body: fmt.Sprintf(`<?xml version="1.0"?><ListBucketResult><IsTruncated>%v</IsTruncated>%s</ListBucketResult>`, more, keys)}
	}
	key := func(k string) string { return "<Contents><Key>" + k + "</Key></Contents>" }
	for name, test := range map[string]struct {
		answer answer
		want   []string
		text   string // of the error
	}{
		"good":                  {list(key("p/a")+key("p/b"), false), []string{"a", "b"}, ""},
		"more than asked for":   {list(key("p/a")+key("p/b")+key("p/c")+key("p/d"), true), []string{"a", "b", "c"}, ""},
		"not below the prefix":  {list(key("q/a")+key("p/b"), false), []string{"b"}, ""},
		"out of order":          {list(key("p/b")+key("p/a"), false), []string{"b"}, ""},
		"empty, and there more": {list("", true), nil, "no key after"},
		"the same again":        {list(key("p/a"), true), nil, "no key after"},
		"others', and more":     {list(key("q/a"), true), nil, "no key after"},
		"HTML":                  {answer{body: "<html></html>"}, nil, "not one of AWS"},
		"nothing":               {answer{}, nil, "not one of AWS"},
		"cut":                   {answer{body: "<ListBucketResult><Contents>"}, nil, "aws: ListObjectsV2"},
	} {
		t.Run(name, func(t *testing.T) {
			e := serve(t, map[string][]answer{"ListObjectsV2": {test.answer}})
			got, err := openObjects(t, "s3://logs/p").List(t.Context(), "", 3)
			if !slices.Equal(got, test.want) || (test.text == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), test.text) {
				t.Errorf("got %v, %v", got, err)
			}
			if err != nil {
				silent(t, e, err)
			}
		})
	}
}
