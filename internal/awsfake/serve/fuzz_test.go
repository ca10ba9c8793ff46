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

// FuzzObjects is FuzzRequest for S3.
func FuzzObjects(f *testing.F) {
	f.Add("PUT", "/b/k", "x-id=PutObject", "", "", "text")
	f.Add("PUT", "/b/k", "", "*", "aws-chunked", "2;chunk-signature=0\r\nab\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n")
	f.Add("PUT", "/new", "", "", "", "")
	f.Add("GET", "/b/k", "", "", "", "")
	f.Add("HEAD", "/b/none", "", "", "", "")
	f.Add("GET", "/b", "list-type=2&prefix=k&start-after=a&max-keys=1&continuation-token=aw==", "", "", "")
	fake := awsfake.New(nil)
	fake.MakeBucket(awsfake.HomeAccount, awsfake.HomeRegion, "b")
	f.Fuzz(func(t *testing.T, method, path, query, condition, encoding, body string) {
		r := httptest.NewRequest(http.MethodGet, "/", strings.NewReader(body))
		r.Method, r.URL.Path, r.URL.RawQuery = method, path, query
		r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=AKIA111122223333/20260115/us-east-1/s3/aws4_request")
		r.Header.Set("If-None-Match", condition)
		r.Header.Set("Content-Encoding", encoding)
		r.Header.Set("X-Amz-Decoded-Content-Length", "2")
		w := httptest.NewRecorder()
		fake.ServeHTTP(w, r)
		if w.Code >= 500 && w.Code != http.StatusNotImplemented {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	})
}
