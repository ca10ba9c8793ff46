package awsapi_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/periscope-collector/periscope/internal/awsapi"
)

// Each fault is met by EC2, ECS and STS alike.
func TestKinds(t *testing.T) {
	for code, want := range map[string]struct {
		status   int
		kind     awsapi.Kind
		attempts int
	}{
		"UnauthorizedOperation":              {403, awsapi.Denied, 1},
		"AccessDenied":                       {403, awsapi.Denied, 1},
		"AccessDeniedException":              {400, awsapi.Denied, 1},
		"ExpiredToken":                       {403, awsapi.Expired, 1},
		"ExpiredTokenException":              {400, awsapi.Expired, 1},
		"RequestExpired":                     {400, awsapi.Expired, 1},
		"AuthFailure":                        {401, awsapi.Expired, 1},
		"InvalidClientTokenId":               {403, awsapi.Expired, 1},
		"UnrecognizedClientException":        {400, awsapi.Expired, 1},
		"RequestLimitExceeded":               {503, awsapi.Throttled, 3},
		"ThrottlingException":                {400, awsapi.Throttled, 3},
		"Throttling":                         {400, awsapi.Throttled, 3},
		"InvalidNetworkInterfaceID.NotFound": {400, awsapi.NotFound, 1},
		"ClusterNotFoundException":           {400, awsapi.NotFound, 1},
		"InternalError":                      {500, awsapi.Unreachable, 3},
		"ServerException":                    {500, awsapi.Unreachable, 3},
		"Unavailable":                        {503, awsapi.Unreachable, 3},
		"InvalidParameterValue":              {400, awsapi.Other, 1},
		"":                                   {418, awsapi.Other, 1},
	} {
		t.Run(code, func(t *testing.T) {
			fault := []answer{{status: want.status, code: code, text: "no"}}
			e := serve(t, map[string][]answer{
				"DescribeTrafficMirrorSessions": fault, "ListClusters": fault, "GetCallerIdentity": fault})
			c := e.client(t, awsapi.Config{})
			for name, err := range map[string]error{
				"DescribeTrafficMirrorSessions": second(c.Sessions(t.Context())),
				"ListClusters":                  second(c.Clusters(t.Context())),
				"GetCallerIdentity":             second(c.Identity(t.Context())),
			} {
				if kind := awsapi.KindOf(fmt.Errorf("wrapped: %w", err)); kind != want.kind {
					t.Errorf("%s: %v, not %v: %v", name, kind, want.kind, err)
				}
				if line := err.Error(); !strings.HasPrefix(line, "aws: "+name+" in eu-central-1: ") || strings.Contains(line, "\n") {
					t.Errorf("%s: %s", name, line)
				}
				if n := c.Calls()[name]; n != uint64(want.attempts) {
					t.Errorf("%s: %d attempts, not %d", name, n, want.attempts)
				}
			}
		})
	}
}

func second[T any](_ T, err error) error { return err }

func TestKindWords(t *testing.T) {
	seen := map[string]bool{"": true}
	for k := awsapi.None + 1; k < awsapi.NumKinds; k++ {
		if seen[k.String()] {
			t.Errorf("kind %d: %q", k, k)
		}
		seen[k.String()] = true
	}
	if awsapi.KindOf(nil) != awsapi.None || awsapi.None.String() != "" || awsapi.KindOf(errors.New("x")) != awsapi.Other {
		t.Error("kinds of nil and of others' errors")
	}
}

func TestThrottledThenAnswered(t *testing.T) {
	limit := answer{status: 503, code: "RequestLimitExceeded", text: "Request limit exceeded."}
	e := serve(t, map[string][]answer{"DescribeTrafficMirrorSessions": {limit, limit,
		page("DescribeTrafficMirrorSessions", "trafficMirrorSessionSet", "", session1)}})
	c := e.client(t, awsapi.Config{})
	got, err := c.Sessions(t.Context())
	if err != nil || len(got) != 1 || c.Calls()["DescribeTrafficMirrorSessions"] != 3 {
		t.Errorf("got %v, %v after %v", got, err, c.Calls())
	}
}

// A later page that fails leaves nothing of the pages before.
func TestNoHalfList(t *testing.T) {
	e := serve(t, map[string][]answer{"DescribeTrafficMirrorSessions": {
		page("DescribeTrafficMirrorSessions", "trafficMirrorSessionSet", "two", session1),
		{status: 403, code: "UnauthorizedOperation", text: "no"}}})
	got, err := e.client(t, awsapi.Config{}).Sessions(t.Context())
	if got != nil || awsapi.KindOf(err) != awsapi.Denied {
		t.Errorf("got %v, %v", got, err)
	}
}

// hangs returns a client of an endpoint that has answered one call, by which the SDK is
// set up, and answers no other.
func hangs(t *testing.T) *awsapi.Client {
	t.Helper()
	e := serve(t, map[string][]answer{"DescribeTrafficMirrorSessions": {
		page("DescribeTrafficMirrorSessions", "trafficMirrorSessionSet", "", session1), {hang: true}}})
	c := e.client(t, awsapi.Config{})
	if _, err := c.Sessions(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestHangingEndpoint(t *testing.T) {
	c := hangs(t)
	attempts := func() uint64 { return c.Calls()["DescribeTrafficMirrorSessions"] - 1 }
	for d := 50 * time.Millisecond; attempts() == 0; d *= 2 { // until that is enough to ask
		_, err := c.Within(d).Sessions(t.Context())
		if awsapi.KindOf(err) != awsapi.Unreachable || !strings.Contains(err.Error(), "no answer in time") {
			t.Errorf("%v: %v", awsapi.KindOf(err), err)
		}
	}
	if n := attempts(); n != 1 {
		t.Errorf("%d attempts", n)
	}
}

func TestCancelled(t *testing.T) {
	e := serve(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := e.client(t, awsapi.Config{}).Sessions(ctx)
	if !errors.Is(err, context.Canceled) || awsapi.KindOf(err) != awsapi.Other {
		t.Errorf("%v: %v", awsapi.KindOf(err), err)
	}
}

// nobody listens there: it is no port that others are given.
const nobody = "127.0.0.1:1"

func TestNobodyListens(t *testing.T) {
	e := serve(t, nil)
	t.Setenv("AWS_ENDPOINT_URL", "http://user:"+secret+"@"+nobody+"/"+secret)
	_, err := e.client(t, awsapi.Config{}).Sessions(t.Context())
	if awsapi.KindOf(err) != awsapi.Unreachable || !strings.Contains(err.Error(), "no answer from "+nobody+": ") {
		t.Errorf("%v: %v", awsapi.KindOf(err), err)
	}
	silent(t, e, err)
}

// AWS may repeat the request in what it says of it.
func TestNoSecrets(t *testing.T) {
	for _, code := range []string{"SignatureDoesNotMatch", "IncompleteSignature", "UnauthorizedOperation", "Weird"} {
		t.Run(code, func(t *testing.T) {
			fault := []answer{{status: 403, code: code, text: "your secret " + secret + " ", echo: true}}
			if strings.Contains(code, "Signature") {
				fault[0].text = "The canonical string should have been 'POST / x-amz-date:20260115T100000Z' "
			}
			e := serve(t, map[string][]answer{"DescribeTrafficMirrorSessions": fault, "ListClusters": fault})
			c := e.client(t, awsapi.Config{})
			silent(t, e, second(c.Sessions(t.Context())))
			silent(t, e, second(c.Clusters(t.Context())))
		})
	}
}

// silent fails the test if an error or the log has credentials, or more of others'
// words than it should.
func silent(t *testing.T, e *endpoint, err error) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	for _, word := range []string{keyID, secret, token, "SignedHeaders", "x-amz-date"} {
		if strings.Contains(err.Error(), word) {
			t.Errorf("%q is in the error: %v", word, err)
		}
		if strings.Contains(e.log.String(), word) {
			t.Errorf("%q is in the log: %s", word, e.log.String())
		}
	}
	if len(err.Error()) > awsapi.MaxReason+300 {
		t.Errorf("%d bytes: %v", len(err.Error()), err)
	}
}

// What an error advises is about what went wrong.
func TestRemedies(t *testing.T) {
	for name, want := range map[string]struct {
		fault answer
		end   string
	}{
		"denied":  {answer{status: 403, code: "UnauthorizedOperation", text: "You may not."}, "UnauthorizedOperation: You may not; let the role's policy allow ec2:DescribeTrafficMirrorSessions"},
		"failed":  {answer{status: 500, code: "InternalError", text: "An internal error."}, "InternalError: An internal error; AWS failed, and it is tried again"},
		"quota":   {answer{status: 400, code: "TrafficMirrorSourcesPerTargetLimitExceeded", text: "(11)"}, "(11); it is a quota: use another target or a load balancer as one, or make room"},
		"throttl": {answer{status: 503, code: "RequestLimitExceeded", text: "no"}, "no; it is tried again; see what else uses the account's rate"},
		"other":   {answer{status: 400, code: "Weird", text: "no."}, "Weird: no; see what AWS says of it"},
	} {
		e := serve(t, map[string][]answer{"DescribeTrafficMirrorSessions": {want.fault}})
		if _, err := e.client(t, awsapi.Config{}).Sessions(t.Context()); err == nil || !strings.HasSuffix(err.Error(), want.end) {
			t.Errorf("%s: %v", name, err)
		}
	}
	c := hangs(t)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := c.Sessions(ctx); err == nil || !strings.HasSuffix(err.Error(), "no answer in time; the time of the caller was over, and it is tried again") {
		t.Errorf("at the caller's end: %v", err)
	}
}
