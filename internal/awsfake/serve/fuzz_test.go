package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/periscope-collector/periscope/internal/awsfake"
)

// FuzzRequest: whatever comes has an answer, and none is the server's fault. It
// is here because the SDK, which the package's own tests have, takes minutes to
// be built for fuzzing.
func FuzzRequest(f *testing.F) {
	const (
		ec2 = "AWS4-HMAC-SHA256 Credential=AKIA111122223333/20260115/us-east-1/ec2/aws4_request"
		ecs = "AWS4-HMAC-SHA256 Credential=AKIA111122223333/20260115/us-east-1/ecs/aws4_request"
	)
	f.Add("/", ec2, "", "Action=CreateTrafficMirrorFilter&Version=2016-11-15&TagSpecification.1.ResourceType=traffic-mirror-filter&TagSpecification.1.Tag.1.Key=a&TagSpecification.1.Tag.1.Value=b")
	f.Add("/", ec2, "", "Action=CreateTrafficMirrorFilterRule&Version=2016-11-15&TrafficMirrorFilterId=tmf-1&TrafficDirection=egress&RuleNumber=1&RuleAction=accept&Protocol=6&SourcePortRange.FromPort=1&SourcePortRange.ToPort=2&SourceCidrBlock=::/0&DestinationCidrBlock=::/0")
	f.Add("/", ec2, "", "Action=DescribeNetworkInterfaces&Version=2016-11-15&Filter.1.Name=tag:a&Filter.1.Value.1=*&MaxResults=5")
	f.Add("/", ecs, "AmazonEC2ContainerServiceV20141113.DescribeTasks", `{"cluster":"prod","tasks":["x"]}`)
	f.Add("/", ecs, "AmazonEC2ContainerServiceV20141113.ListTasks", `{"nextToken":"AA=="}`)
	f.Add("/latest/meta-data/", "", "", "")
	fake := awsfake.New(nil)
	if _, err := fake.RunTask(awsfake.Run{Account: awsfake.HomeAccount, Region: awsfake.HomeRegion, Cluster: "prod"}); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, path, scope, target, body string) {
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
		r.URL.Path = path
		r.Header.Set("Authorization", scope)
		r.Header.Set("X-Amz-Target", target)
		w := httptest.NewRecorder()
		fake.ServeHTTP(w, r)
		if w.Code >= 500 {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	})
}
