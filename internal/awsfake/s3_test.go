package awsfake

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	s3sdk "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
)

const scopeS3 = "AWS4-HMAC-SHA256 Credential=AKIA111122223333/20260115/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0"

// newS3 is the SDK's client as it is by default, but for paths.
func newS3(t *testing.T, options ...func(*s3sdk.Options)) *s3sdk.Client {
	t.Helper()
	wire := &http.Transport{}
	t.Cleanup(wire.CloseIdleConnections)
	c := must(config.LoadDefaultConfig(t.Context(), config.WithRetryMaxAttempts(1), config.WithHTTPClient(&http.Client{Transport: wire})))(t)
	return s3sdk.NewFromConfig(c, append(options, func(o *s3sdk.Options) { o.UsePathStyle = true })...)
}

func code(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

// TestObjects is the life of objects with the SDK as it is by default, which sends
// checksums.
func TestObjects(t *testing.T) {
	clock := newClock()
	s := StartAt(t, clock.Now)
	c := newS3(t)
	ctx := t.Context()
	bucket := aws.String("logs")
	put := func(key, text, condition string) error {
		in := &s3sdk.PutObjectInput{Bucket: bucket, Key: &key, Body: strings.NewReader(text)}
		if condition != "" {
			in.IfNoneMatch = &condition
		}
		_, err := c.PutObject(ctx, in)
		return err
	}
	if got := code(put("a", "1", "")); got != "NoSuchBucket" {
		t.Errorf("without a bucket: %s", got)
	}
	s.MakeBucket(HomeAccount, HomeRegion, "logs")
	for _, test := range []struct{ key, text, condition, code string }{
		{"a/é <&\"+ %.json", "1", "*", ""},
		{"a/é <&\"+ %.json", "2", "*", "PreconditionFailed"},
		{"a/2", "2", "*", ""},
		{"a/2", "3", "", ""},
		{"a/3", "", "*", ""},
		{"a/4", "3", `"etag"`, "NotImplemented"},
		{strings.Repeat("k", 1024), "4", "", ""},
		{strings.Repeat("k", 1025), "4", "", "KeyTooLongError"},
	} {
		if got := code(put(test.key, test.text, test.condition)); got != test.code {
			t.Errorf("%.20s %q %q: %s, want %s", test.key, test.text, test.condition, got, test.code)
		}
	}
	for key, want := range map[string]string{"a/é <&\"+ %.json": "1", "a/2": "3", "a/3": ""} {
		out := must(c.GetObject(ctx, &s3sdk.GetObjectInput{Bucket: bucket, Key: &key}))(t)
		var text bytes.Buffer
		_, err := text.ReadFrom(out.Body)
		if err = errors.Join(err, out.Body.Close()); err != nil || text.String() != want || !out.LastModified.Equal(clock.now) {
			t.Errorf("%s is %q of %v, %v", key, text.String(), out.LastModified, err)
		}
		head := must(c.HeadObject(ctx, &s3sdk.HeadObjectInput{Bucket: bucket, Key: &key}))(t)
		if *head.ContentLength != int64(len(want)) || *head.ETag != *out.ETag {
			t.Errorf("%s: head %+v", key, head)
		}
	}
	if _, err := c.GetObject(ctx, &s3sdk.GetObjectInput{Bucket: bucket, Key: aws.String("none")}); code(err) != "NoSuchKey" {
		t.Errorf("no object: %v", err)
	}
	if n := s.State().Accounts[HomeAccount].Regions[HomeRegion].Buckets["logs"].Bytes; n != 3 {
		t.Errorf("%d bytes", n)
	}
	// It outlives the program.
	path := filepath.Join(t.TempDir(), "state.json")
	if err := errors.Join(s.Save(path), s.Load(path)); err != nil {
		t.Fatal(err)
	}
	if got := code(put("a/3", "", "*")); got != "PreconditionFailed" {
		t.Errorf("after a restart: %s", got)
	}
	if n := s.Calls()["PutObject"]; n != 10 {
		t.Errorf("%d calls", n)
	}
}

func TestListObjects(t *testing.T) {
	s := Start(t)
	s.MakeBucket(HomeAccount, HomeRegion, "logs")
	c := newS3(t)
	ctx := t.Context()
	for i := range 12 {
		must(c.PutObject(ctx, &s3sdk.PutObjectInput{Bucket: aws.String("logs"), Key: aws.String(fmt.Sprintf("p/%02d", i)), Body: strings.NewReader("x")}))(t)
	}
	must(c.PutObject(ctx, &s3sdk.PutObjectInput{Bucket: aws.String("logs"), Key: aws.String("q/00"), Body: strings.NewReader("x")}))(t)
	for _, test := range []struct {
		prefix, after string
		max           int32
		want          string // first and last key, of all pages, and how many
		pages         int
	}{
		{"", "", 1000, "p/00 q/00 13", 1},
		{"p/", "", 1000, "p/00 p/11 12", 1},
		{"p/", "p/03", 1000, "p/04 p/11 8", 1},
		{"p/", "p/035", 4, "p/04 p/11 8", 2},
		{"p/", "p/035", 3, "p/04 p/11 8", 3},
		{"p/", "p/11", 3, "  0", 1},
		{"r", "", 3, "  0", 1},
	} {
		pages := s3sdk.NewListObjectsV2Paginator(c, &s3sdk.ListObjectsV2Input{
			Bucket: aws.String("logs"), Prefix: &test.prefix, StartAfter: &test.after, MaxKeys: &test.max})
		first, last, n, asked := "", "", 0, 0
		for pages.HasMorePages() {
			out := must(pages.NextPage(ctx))(t)
			asked++
			for _, o := range out.Contents {
				if first == "" {
					first = *o.Key
				}
				last = *o.Key
				n++
			}
		}
		if got := fmt.Sprint(first, " ", last, " ", n); got != test.want || asked != test.pages {
			t.Errorf("%+v: %s in %d pages", test, got, asked)
		}
	}
}

// TestBucketsOfOthers: a name is one bucket's, and of one region.
func TestBucketsOfOthers(t *testing.T) {
	s := Start(t)
	s.MakeBucket("444455556666", HomeRegion, "theirs")
	s.MakeBucket(HomeAccount, "eu-west-1", "away")
	c := newS3(t)
	for bucket, want := range map[string]string{"theirs": "AccessDenied", "away": "PermanentRedirect", "none": "NoSuchBucket"} {
		if _, err := c.GetObject(t.Context(), &s3sdk.GetObjectInput{Bucket: &bucket, Key: aws.String("k")}); code(err) != want {
			t.Errorf("%s: %v, want %s", bucket, err, want)
		}
	}
	if _, err := c.CreateBucket(t.Context(), &s3sdk.CreateBucketInput{Bucket: aws.String("theirs")}); code(err) != "BucketAlreadyExists" {
		t.Errorf("made twice: %v", err)
	}
	must(c.CreateBucket(t.Context(), &s3sdk.CreateBucketInput{Bucket: aws.String("none")}))(t)
	must(c.PutObject(t.Context(), &s3sdk.PutObjectInput{Bucket: aws.String("none"), Key: aws.String("k")}))(t)
	for kind, want := range map[Kind]string{Throttled: "SlowDown", Denied: "AccessDenied", Expired: "ExpiredToken", Internal: "InternalError"} {
		s.Fail(Fault{Operation: "GetObject", Kind: kind, Times: 1})
		if _, err := c.GetObject(t.Context(), &s3sdk.GetObjectInput{Bucket: aws.String("none"), Key: aws.String("k")}); code(err) != want {
			t.Errorf("fault %d: %v", kind, err)
		}
	}
}

// TestObjectRequests is what the SDK does not send.
func TestObjectRequests(t *testing.T) {
	chunked := http.Header{"Content-Encoding": {"aws-chunked"}, "X-Amz-Decoded-Content-Length": {"3"}}
	for _, test := range []struct {
		name, method, target string
		header               http.Header
		body                 string
		status               int
		want                 string
	}{
		{"no bucket", "GET", "/", nil, "", 501, "NotImplemented"},
		{"delete", "DELETE", "/b/k", nil, "", 501, "NotImplemented"},
		{"an old list", "GET", "/b", nil, "", 501, "NotImplemented"},
		{"acl", "GET", "/b/k?acl", nil, "", 501, "NotImplemented"},
		{"uploads", "PUT", "/b/k?uploadId=1&partNumber=1", nil, "", 501, "NotImplemented"},
		{"with delimiters", "GET", "/b?list-type=2&delimiter=/", nil, "", 501, "delimiter"},
		{"many keys", "GET", "/b?list-type=2&max-keys=5000", nil, "", 200, "<MaxKeys>1000</MaxKeys>"},
		{"no keys", "GET", "/b?list-type=2&max-keys=0", nil, "", 200, "<IsTruncated>false</IsTruncated>"},
		{"fewer keys", "GET", "/b?list-type=2&max-keys=-1", nil, "", 400, "InvalidArgument"},
		{"a token of nobody", "GET", "/b?list-type=2&continuation-token=!", nil, "", 400, "InvalidArgument"},
		{"chunks", "PUT", "/b/new", chunked, "2;chunk-signature=0\r\nab\r\n1\r\nc\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n", 200, ""},
		{"chunks that end", "PUT", "/b/d", chunked, "2\r\nab\r\n", 400, "IncompleteBody"},
		{"chunks of another length", "PUT", "/b/d", chunked, "2\r\nab\r\n0\r\n\r\n", 400, "IncompleteBody"},
		{"no chunks", "PUT", "/b/d", chunked, "abc", 400, "IncompleteBody"},
		{"an object", "GET", "/b/c?x-id=GetObject", nil, "", 200, "abc"},
		{"no object", "GET", "/b/d", nil, "", 404, "NoSuchKey"},
		{"head of none", "HEAD", "/b/d", nil, "", 404, ""},
	} {
		f := New(nil)
		f.MakeBucket(HomeAccount, HomeRegion, "b")
		f.Change(func(s *State) {
			s.Region(HomeAccount, HomeRegion).Buckets["b"].Objects = map[string]*Object{"c": {Data: []byte("abc")}}
		})
		r := httptest.NewRequest(test.method, test.target, strings.NewReader(test.body))
		for name, values := range test.header {
			r.Header[name] = values
		}
		r.Header.Set("Authorization", scopeS3)
		w := httptest.NewRecorder()
		f.ServeHTTP(w, r)
		if w.Code != test.status || !strings.Contains(w.Body.String(), test.want) || test.want == "" && w.Body.Len() > 0 {
			t.Errorf("%s: %d %s, want %d %s", test.name, w.Code, w.Body, test.status, test.want)
		}
		if o := f.State().Accounts[HomeAccount].Regions[HomeRegion].Buckets["b"].Objects; test.status == 200 && test.method == "PUT" && (o["new"] == nil || string(o["new"].Data) != "abc") {
			t.Errorf("%s: it holds %v", test.name, o)
		}
	}
}

// TestBucketIsBounded: what is replaced makes room.
func TestBucketIsBounded(t *testing.T) {
	f := New(nil)
	f.MakeBucket(HomeAccount, HomeRegion, "b")
	f.Change(func(s *State) { s.Region(HomeAccount, HomeRegion).Buckets["b"].Bytes = bucketLimit - 2 })
	put := func(key, body string) int {
		r := httptest.NewRequest("PUT", "/b/"+key, strings.NewReader(body))
		r.Header.Set("Authorization", scopeS3)
		w := httptest.NewRecorder()
		f.ServeHTTP(w, r)
		return w.Code
	}
	for _, step := range []struct {
		key, body string
		want      int
	}{{"a", "12", 200}, {"b", "1", 400}, {"a", "1", 200}, {"b", "12", 400}, {"b", "1", 200}} {
		if got := put(step.key, step.body); got != step.want {
			t.Errorf("%s %s: %d, want %d", step.key, step.body, got, step.want)
		}
	}
}
