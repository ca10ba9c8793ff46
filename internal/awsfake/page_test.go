package awsfake

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	ec2sdk "github.com/aws/aws-sdk-go-v2/service/ec2"
	ecssdk "github.com/aws/aws-sdk-go-v2/service/ecs"
)

// TestPages: pages have every one once, in order, also while some are deleted;
// there are no more pages than it takes.
func TestPages(t *testing.T) {
	s := Start(t)
	sdk := newClients(t)
	ctx := t.Context()
	var cards, tasks []string
	for range 105 {
		task := must(s.RunTask(Run{Account: HomeAccount, Region: HomeRegion, Cluster: "prod", Service: "web"}))(t)
		cards, tasks = append(cards, task.Interface()), append(tasks, task.ARN)
	}
	slices.Sort(tasks)

	var seen []string
	pages := ec2sdk.NewDescribeNetworkInterfacesPaginator(sdk.ec2, &ec2sdk.DescribeNetworkInterfacesInput{MaxResults: aws.Int32(35)})
	for pages.HasMorePages() {
		for _, i := range must(pages.NextPage(ctx))(t).NetworkInterfaces {
			seen = append(seen, *i.NetworkInterfaceId)
		}
	}
	if !slices.Equal(seen, cards) || s.Calls()["DescribeNetworkInterfaces"] != 3 {
		t.Errorf("%d interfaces in %d pages, want 105 in 3", len(seen), s.Calls()["DescribeNetworkInterfaces"])
	}

	seen = nil
	for pages := ecssdk.NewListTasksPaginator(sdk.ecs, &ecssdk.ListTasksInput{Cluster: aws.String("prod")}); pages.HasMorePages(); {
		page := must(pages.NextPage(ctx))(t).TaskArns
		seen = append(seen, page...)
		must(s.StopTask(page[len(page)-1]))(t) // from which the next page goes on
	}
	if !slices.Equal(seen, tasks) || s.Calls()["ListTasks"] != 2 {
		t.Errorf("%d tasks in %d pages, want 105 in 2", len(seen), s.Calls()["ListTasks"])
	}

	ask := func(n int) error {
		_, err := sdk.ecs.DescribeTasks(ctx, &ecssdk.DescribeTasksInput{Cluster: aws.String("prod"), Tasks: tasks[:n]})
		return err
	}
	wantCode(t, ask(0), "InvalidParameterException")
	wantCode(t, ask(100), "")
	wantCode(t, ask(101), "InvalidParameterException")
}

// TestTokens: metadata is for who has a token, and a token for who puts.
func TestTokens(t *testing.T) {
	f := New(nil)
	instance, _, err := f.RunInstance(HomeAccount, HomeRegion, "collector", Run{}.Address)
	if err != nil {
		t.Fatal(err)
	}
	f.Change(func(s *State) { s.Self = Self{HomeAccount, HomeRegion, instance.ID} })
	for _, test := range []struct {
		method, path, header, value string
		status                      int
	}{
		{"GET", "meta-data/instance-id", "", "", 401},
		{"GET", "meta-data/instance-id", "X-Aws-Ec2-Metadata-Token", "stale", 401},
		{"GET", "meta-data/instance-id", "X-Aws-Ec2-Metadata-Token", metadataToken, 200},
		{"GET", "meta-data/none", "X-Aws-Ec2-Metadata-Token", metadataToken, 404},
		{"PUT", "meta-data/instance-id", "X-Aws-Ec2-Metadata-Token", metadataToken, 405},
		{"GET", "api/token", "", "", 400},
		{"PUT", "api/token", "", "", 400},
		{"PUT", "api/token", "X-Aws-Ec2-Metadata-Token-Ttl-Seconds", "60", 200},
	} {
		r := httptest.NewRequest(test.method, "/latest/"+test.path, http.NoBody)
		r.Header.Set(test.header, test.value)
		w := httptest.NewRecorder()
		f.ServeHTTP(w, r)
		if w.Code != test.status {
			t.Errorf("%s %s with %s=%s: %d, want %d", test.method, test.path, test.header, test.value, w.Code, test.status)
		}
	}
}

// TestTenThousand: as many as an account has quota for are made, and no more.
func TestTenThousand(t *testing.T) {
	f := New(nil)
	for i := range 10001 {
		task, err := f.RunTask(Run{Account: HomeAccount, Region: HomeRegion, Cluster: "prod", Service: fmt.Sprint("s", i%10)})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Mirror(HomeAccount, HomeRegion, task.Interface(), uint32(i+1)); (err != nil) != (i == 10000) {
			t.Fatalf("session %d: %v", i+1, err)
		}
	}
	f.Change(func(s *State) {
		here := s.Region(HomeAccount, HomeRegion)
		if len(here.Sessions) != 10000 || len(here.Interfaces) != 10001 || len(here.Services) != 10 {
			t.Errorf("%d sessions, %d interfaces, %d services", len(here.Sessions), len(here.Interfaces), len(here.Services))
		}
	})
}
