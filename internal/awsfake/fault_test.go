package awsfake

import (
	"context"
	"errors"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	ec2sdk "github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// wantCode fails the test unless the error is a service's with the code; "" wants
// none.
func wantCode(t *testing.T, err error, code string) {
	t.Helper()
	var refused smithy.APIError
	if got := errors.As(err, &refused); code == "" && err != nil || code != "" && (!got || refused.ErrorCode() != code) {
		t.Errorf("the error is %v, want %q", err, code)
	}
}

// TestFaults: each service says each kind in its own way, as often as ordered.
func TestFaults(t *testing.T) {
	s := Start(t)
	sdk := newClients(t)
	ctx := t.Context()
	asks := map[service]func() error{
		ec2: func() error { _, err := sdk.ec2.DescribeTrafficMirrorSessions(ctx, nil); return err },
		ecs: func() error { _, err := sdk.ecs.ListClusters(ctx, nil); return err },
		sts: func() error { _, err := sdk.sts.GetCallerIdentity(ctx, nil); return err },
	}
	for _, test := range []struct {
		service service
		kind    Kind
		code    string
		status  int
	}{
		{ec2, Throttled, "RequestLimitExceeded", 503},
		{ecs, Throttled, "ThrottlingException", 400},
		{sts, Throttled, "Throttling", 400},
		{ec2, Denied, "UnauthorizedOperation", 403},
		{ecs, Denied, "AccessDeniedException", 400},
		{sts, Denied, "AccessDenied", 403},
		{ec2, Expired, "RequestExpired", 400},
		{ecs, Expired, "ExpiredTokenException", 400},
		{sts, Expired, "ExpiredToken", 403},
		{ec2, Internal, "InternalError", 500},
		{ecs, Internal, "ServerException", 500},
		{sts, Internal, "InternalFailure", 500},
		{ec2, Refused, "TrafficMirrorSessionLimitExceeded", 400},
	} {
		s.Fail(Fault{Kind: test.kind, Times: 2, Error: Error{Code: test.code, Message: "as ordered"}})
		for range 2 {
			err := asks[test.service]()
			wantCode(t, err, test.code)
			var answer *smithyhttp.ResponseError
			if errors.As(err, &answer); answer == nil || answer.HTTPStatusCode() != test.status {
				t.Errorf("%v: want status %d", err, test.status)
			}
		}
		wantCode(t, asks[test.service](), "")
	}
	for name, n := range map[string]int{"DescribeTrafficMirrorSessions": 15, "ListClusters": 12, "GetCallerIdentity": 12} {
		if got := s.Calls()[name]; got != n {
			t.Errorf("%s was asked %d times, want %d", name, got, n)
		}
	}
}

// TestFaultIsWhoseItIs: a fault is of an operation, an account and a region, and
// lasts until it is removed.
func TestFaultIsWhoseItIs(t *testing.T) {
	s := Start(t)
	sdk := newClients(t)
	ctx := t.Context()
	s.Fail(Fault{Operation: "DescribeTrafficMirrorTargets", Kind: Denied})
	s.Fail(Fault{Account: "444455556666", Kind: Denied})
	remove := s.Fail(Fault{Region: "eu-central-1", Kind: Expired})
	there := func(o *ec2sdk.Options) { o.Region = "eu-central-1" }
	for range 2 {
		_, err := sdk.ec2.DescribeTrafficMirrorSessions(ctx, nil)
		wantCode(t, err, "")
		_, err = sdk.ec2.DescribeTrafficMirrorTargets(ctx, nil)
		wantCode(t, err, "UnauthorizedOperation")
		_, err = sdk.ec2.DescribeTrafficMirrorSessions(ctx, nil, there)
		wantCode(t, err, "RequestExpired")
	}
	remove()
	_, err := sdk.ec2.DescribeTrafficMirrorSessions(ctx, nil, there)
	wantCode(t, err, "")
}

// TestBadConnections: an answer that breaks off, a connection that does, one that
// hangs, one refused; and all is well afterwards.
func TestBadConnections(t *testing.T) {
	s := Start(t)
	must(s.RunTask(Run{Account: HomeAccount, Region: HomeRegion}))(t)
	sdk := newClients(t)
	ask := func(ctx context.Context) error {
		_, err := sdk.ec2.DescribeNetworkInterfaces(ctx, nil)
		if _, other := sdk.ecs.ListClusters(ctx, nil); (err == nil) != (other == nil) {
			t.Errorf("EC2: %v, ECS: %v", err, other)
		}
		return err
	}
	for _, kind := range []Kind{Broken, Reset} {
		remove := s.Fail(Fault{Kind: kind})
		if err := ask(t.Context()); err == nil {
			t.Errorf("kind %d is an answer", kind)
		}
		remove()
	}
	hangs := s.Fail(Fault{Kind: Hang})
	ctx, leave := context.WithCancel(t.Context())
	before := s.Calls()["DescribeNetworkInterfaces"]
	go func() {
		s.asked("DescribeNetworkInterfaces", before)
		leave()
	}()
	if err := ask(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("an answer that hangs: %v", err)
	}
	hangs()
	s.Down()
	if err := ask(t.Context()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("without a server: %v, want it refused", err)
	}
	s.Up()
	if err := ask(t.Context()); err != nil {
		t.Error(err)
	}
}

// asked returns when an operation was asked for more often than before.
func (s *Server) asked(operation string, before int) {
	for s.Calls()[operation] == before {
		runtime.Gosched()
	}
}

// TestDownEndsWhatHangs: a test that ends does not wait for an answer that never
// comes.
func TestDownEndsWhatHangs(t *testing.T) {
	s := Start(t)
	s.Fail(Fault{Kind: Hang})
	sdk := newClients(t)
	ended := make(chan error)
	go func() {
		_, err := sdk.ec2.DescribeVpcs(t.Context(), nil)
		ended <- err
	}()
	s.asked("DescribeVpcs", 0)
	s.Down()
	if err := <-ended; err == nil {
		t.Error("there was an answer")
	}
}

// TestDelay: what was made shows only after some Describes, and some time; it is
// there for all but them.
func TestDelay(t *testing.T) {
	clock := newClock()
	s := StartAt(t, clock.Now)
	sdk := newClients(t)
	ctx := t.Context()
	s.SetDelay(Delay{Describes: 2})
	first := must(s.RunTask(Run{Account: HomeAccount, Region: HomeRegion}))(t)
	byID := &ec2sdk.DescribeNetworkInterfacesInput{NetworkInterfaceIds: []string{first.Interface()}}
	for range 2 {
		_, err := sdk.ec2.DescribeNetworkInterfaces(ctx, byID)
		wantCode(t, err, "InvalidNetworkInterfaceID.NotFound")
	}
	if _, err := sdk.ec2.DescribeNetworkInterfaces(ctx, byID); err != nil {
		t.Error(err)
	}

	s.SetDelay(Delay{For: time.Minute})
	made := must(s.Mirror(HomeAccount, HomeRegion, first.Interface(), 1))(t)
	s.SetDelay(Delay{})
	count := func() int {
		return len(must(sdk.ec2.DescribeTrafficMirrorSessions(ctx, nil))(t).TrafficMirrorSessions)
	}
	clock.now = clock.now.Add(time.Minute - 1)
	if n := count(); n != 0 {
		t.Errorf("%d sessions just before the delay is over", n)
	}
	_, err := sdk.ec2.ModifyTrafficMirrorSession(ctx, &ec2sdk.ModifyTrafficMirrorSessionInput{
		TrafficMirrorSessionId: &made.ID, Description: aws.String("seen by its id"),
	})
	wantCode(t, err, "")
	clock.now = clock.now.Add(1)
	if n := count(); n != 1 {
		t.Errorf("%d sessions after the delay", n)
	}
}
