package awsfake

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	ec2sdk "github.com/aws/aws-sdk-go-v2/service/ec2"
)

const (
	scopeEC2 = "AWS4-HMAC-SHA256 Credential=AKIA111122223333/20260115/us-east-1/ec2/aws4_request, SignedHeaders=host, Signature=0"
	scopeECS = "AWS4-HMAC-SHA256 Credential=AKIA111122223333/20260115/us-east-1/ecs/aws4_request, SignedHeaders=host, Signature=0"
)

// ask sends a request to a Fake that knows the account and a filter.
func ask(f *Fake, scope, target, body string) (int, string) {
	f.Change(func(s *State) {
		r := s.Region(HomeAccount, HomeRegion)
		put(&r.Filters, "tmf-1", &MirrorFilter{ID: "tmf-1"})
	})
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
	r.Header.Set("Authorization", scope)
	r.Header.Set("X-Amz-Target", target)
	w := httptest.NewRecorder()
	f.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

// TestRefusals is what a client of this world would send only by mistake.
func TestRefusals(t *testing.T) {
	const describe = "Action=DescribeTrafficMirrorFilters&Version=2016-11-15"
	for _, test := range []struct {
		name, scope, target, body string
		status                    int
		code                      string
	}{
		{"OK", scopeEC2, "", describe, 200, "tmf-1"},
		{"OK, empty pages", scopeEC2, "", describe + "&Filter.1.Name=description&Filter.1.Value.1=x", 200, "<trafficMirrorFilterSet></trafficMirrorFilterSet>"},
		{"no such operation", scopeEC2, "", "Action=RunInstances&Version=2016-11-15", 400, "InvalidAction"},
		{"another version", scopeEC2, "", "Action=DescribeTrafficMirrorFilters&Version=2014-10-01", 400, "InvalidAction"},
		{"signed for ECS", scopeECS, "", describe, 400, "InvalidAction"},
		{"an operation of ECS", scopeEC2, "", "Action=ListTasks&Version=2016-11-15", 400, "InvalidAction"},
		{"no credentials", "", "", describe, 401, "AuthFailure"},
		{"a stranger's", strings.Replace(scopeEC2, "1111", "9999", 1), "", describe, 401, "AuthFailure"},
		{"half a credential", "AWS4-HMAC-SHA256 Credential=AKIA111122223333/20260115", "", describe, 401, "AuthFailure"},
		{"not a form", scopeEC2, "", "%", 400, "MalformedQueryString"},
		{"nothing", scopeEC2, "", "", 400, "InvalidAction"},
		{"unknown parameter", scopeEC2, "", describe + "&Colour=red", 400, "UnknownParameter"},
		{"an element from 0", scopeEC2, "", describe + "&TrafficMirrorFilterId.0=tmf-1", 400, "UnknownParameter"},
		{"an element left out", scopeEC2, "", describe + "&TrafficMirrorFilterId.1=tmf-1&TrafficMirrorFilterId.3=tmf-1", 400, "UnknownParameter"},
		{"a filter without values", scopeEC2, "", describe + "&Filter.1.Name=description", 400, "MissingParameter"},
		{"missing parameter", scopeEC2, "", "Action=DeleteTrafficMirrorFilter&Version=2016-11-15", 400, "MissingParameter"},
		{"a word for a number", scopeEC2, "", describe + "&MaxResults=many", 400, "InvalidParameterValue"},
		{"more than 32 bits", scopeEC2, "", describe + "&MaxResults=4294967301", 400, "InvalidParameterValue"},
		{"4 a page", scopeEC2, "", describe + "&MaxResults=4", 400, "InvalidParameterValue"},
		{"5 a page", scopeEC2, "", describe + "&MaxResults=5", 200, "tmf-1"},
		{"1000 a page", scopeEC2, "", describe + "&MaxResults=1000", 200, "tmf-1"},
		{"1001 a page", scopeEC2, "", describe + "&MaxResults=1001", 400, "InvalidParameterValue"},
		{"no token of ours", scopeEC2, "", describe + "&NextToken=!", 400, "InvalidNextToken"},
		{"pages of ids", scopeEC2, "", "Action=DescribeInstances&Version=2016-11-15&InstanceId.1=i-1&MaxResults=5", 400, "InvalidParameterCombination"},
		{"no such ids", scopeEC2, "", "Action=DescribeVpcs&Version=2016-11-15&VpcId.1=vpc-1&VpcId.2=vpc-2", 400, "The vpc IDs &#39;vpc-1, vpc-2&#39; do not exist"},
		{"services are one", scopeEC2, "", "Action=ModifyTrafficMirrorFilterNetworkServices&Version=2016-11-15&TrafficMirrorFilterId=tmf-1&AddNetworkService.1=ntp", 400, "InvalidParameterValue"},
		{"tag of AWS's", scopeEC2, "", "Action=CreateTags&Version=2016-11-15&ResourceId.1=tmf-1&Tag.1.Key=aws:x&Tag.1.Value=y", 400, "InvalidParameterValue"},
		{"tags of nothing", scopeEC2, "", "Action=CreateTags&Version=2016-11-15&ResourceId.1=tmf-2&Tag.1.Key=x&Tag.1.Value=y", 400, "InvalidID"},
		{"OK, ECS", scopeECS, ecsTarget + "ListClusters", "{}", 200, `{"clusterArns":[]}`},
		{"no such operation of ECS", scopeECS, ecsTarget + "RunTask", "{}", 400, "UnknownOperationException"},
		{"not JSON", scopeECS, ecsTarget + "ListClusters", "{", 400, "SerializationException"},
		{"unknown member", scopeECS, ecsTarget + "ListClusters", `{"colour":"red"}`, 400, "SerializationException"},
		{"101 a page", scopeECS, ecsTarget + "ListClusters", `{"maxResults":101}`, 400, "InvalidParameterException"},
		{"no tasks", scopeECS, ecsTarget + "DescribeTasks", `{}`, 400, "ClusterNotFoundException"},
		{"a form of STS", strings.Replace(scopeEC2, "/ec2/", "/sts/", 1), "", "Action=AssumeRole&Version=2011-06-15", 400, "MissingParameter"},
	} {
		status, text := ask(New(nil), test.scope, test.target, test.body)
		if status != test.status || !strings.Contains(text, test.code) {
			t.Errorf("%s: %d %s, want %d %s", test.name, status, text, test.status, test.code)
		}
	}
}

func TestBodyIsBounded(t *testing.T) {
	body := "Action=DescribeTrafficMirrorFilters&Version=2016-11-15&Filter.1.Name=description&Filter.1.Value.1="
	body += strings.Repeat("x", bodyLimit-len(body))
	if status, text := ask(New(nil), scopeEC2, "", body); status != http.StatusOK {
		t.Errorf("a body at the bound: %d %s", status, text)
	}
	if status, _ := ask(New(nil), scopeEC2, "", body+"x"); status != http.StatusRequestEntityTooLarge {
		t.Errorf("a body beyond the bound: %d", status)
	}
}

func TestMatch(t *testing.T) {
	for _, test := range []struct {
		pattern, s string
		want       bool
	}{
		{"", "", true}, {"", "a", false}, {"*", "", true}, {"**", "ab", true}, {"?", "", false}, {"?", "a", true},
		{"a*c", "abbc", true}, {"a*c", "abb", false}, {"*b*c", "abcbc", true}, {"a?c*", "abc/d", true}, {"A", "a", false},
		{"arn:aws:ecs:*:attachment/*", "arn:aws:ecs:us-east-1:1:attachment/5f", true},
	} {
		if match(test.pattern, test.s) != test.want {
			t.Errorf("%q and %q: want %v", test.pattern, test.s, test.want)
		}
	}
}

// TestRulesOfFilters: what DescribeTrafficMirrorFilterRules tells is what the
// filters have; the command line does not know it.
func TestRulesOfFilters(t *testing.T) {
	s := Start(t)
	sdk := newClients(t)
	task := must(s.RunTask(Run{Account: HomeAccount, Region: HomeRegion}))(t)
	session := must(s.Mirror(HomeAccount, HomeRegion, task.Interface(), 1))(t)
	out := must(sdk.ec2.DescribeTrafficMirrorFilterRules(t.Context(), &ec2sdk.DescribeTrafficMirrorFilterRulesInput{TrafficMirrorFilterId: &session.FilterID}))(t)
	filter := s.State().Accounts[HomeAccount].Regions[HomeRegion].Filters[session.FilterID]
	want := append(filter.Ingress, filter.Egress...)
	if len(out.TrafficMirrorFilterRules) != 4 {
		t.Fatalf("%d rules, want 4", len(out.TrafficMirrorFilterRules))
	}
	for i, got := range out.TrafficMirrorFilterRules {
		if *got.TrafficMirrorFilterRuleId != want[i].ID || *got.RuleNumber != want[i].Number || string(got.TrafficDirection) != want[i].Direction ||
			*got.SourceCidrBlock != want[i].SourceCIDR || got.Protocol != nil {
			t.Errorf("rule %d is %+v, want %+v", i, got, want[i])
		}
	}
	if bytes.Contains(sdk.wire.body, []byte("nextToken")) {
		t.Error("there is another page")
	}
}
