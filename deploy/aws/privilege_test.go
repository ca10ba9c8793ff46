package aws_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

// anywhere are the actions that AWS lets nobody narrow to a resource, or that only
// look; all others are of named resources.
var anywhere = []string{
	"cloudwatch:PutMetricData", // with its namespace
	"ec2:DescribeInstances", "ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets", "ec2:DescribeTrafficMirrorFilters",
	"ec2:DescribeTrafficMirrorSessions", "ec2:DescribeTrafficMirrorTargets", "ec2:DescribeVpcs",
	"ecs:DescribeTasks", "ecs:ListClusters", "ecs:ListTasks",
}

// A statement is one of a policy, rendered.
type statement struct {
	actions, resources []string
	condition          object
}

func statements(t *testing.T, all object, role string) map[string]statement {
	t.Helper()
	found := make(map[string]statement)
	for _, policy := range at(t, resources(all, "AWS::IAM::Role"), role, "Policies").([]any) {
		for _, s := range at(t, policy, "PolicyDocument", "Statement").([]any) {
			s := s.(object)
			if s["Effect"] != "Allow" || s["NotAction"] != nil || s["NotResource"] != nil {
				t.Errorf("%v is not plainly allowed", s["Sid"])
			}
			condition, _ := s["Condition"].(object)
			found[s["Sid"].(string)] = statement{text(t, s["Action"]), text(t, s["Resource"]), condition}
		}
	}
	return found
}

// TestNoWildcards: no role may do all of something, or anything anywhere but look.
func TestNoWildcards(t *testing.T) {
	roles := 0
	for _, name := range templates {
		more := map[string]any(nil)
		if name == "collector.yaml" {
			more = everything
		}
		all := render(t, name, more)
		for role := range resources(all, "AWS::IAM::Role") {
			roles++
			for sid, s := range statements(t, all, role) {
				for _, action := range s.actions {
					if strings.Contains(action, "*") {
						t.Errorf("%s, %s: %s is too much", name, sid, action)
					}
					if slices.Contains(s.resources, "*") && !slices.Contains(anywhere, action) {
						t.Errorf("%s, %s: %s anywhere", name, sid, action)
					}
				}
				for _, resource := range s.resources {
					if service := strings.Split(resource, ":"); resource != "*" && len(service) > 2 && strings.Contains(service[2], "*") {
						t.Errorf("%s, %s: %s", name, sid, resource)
					}
				}
			}
		}
		for _, kind := range []string{"AWS::IAM::Policy", "AWS::IAM::ManagedPolicy", "AWS::IAM::User"} {
			if len(resources(all, kind)) > 0 {
				t.Errorf("%s: this test does not know %s", name, kind)
			}
		}
	}
	if roles != 3 {
		t.Errorf("%d roles, want 3", roles)
	}
}

// TestCollectorRole: a collector looks, reads its release and the changes, leaves
// its group, writes its metrics, and that is all.
func TestCollectorRole(t *testing.T) {
	all := statements(t, render(t, "collector.yaml", nil), "Role")
	look := all["Look"]
	delete(all, "Look")
	same(t, "Look", look.actions, page(t))
	same(t, "the rest", all, map[string]statement{
		"Release":     {[]string{"s3:GetObject"}, []string{"arn:aws:s3:::releases/0.1.0/periscope-linux-arm64.tar.gz"}, nil},
		"ReadChanges": {[]string{"s3:GetObject"}, []string{"Bucket.Arn/changes/*"}, nil},
		"ListChanges": {[]string{"s3:ListBucket"}, []string{"Bucket.Arn"}, object{"StringLike": object{"s3:prefix": "changes/*"}}},
		"Leave": {[]string{"autoscaling:CompleteLifecycleAction"},
			[]string{"arn:aws:autoscaling:eu-central-1:111122223333:autoScalingGroup:*:autoScalingGroupName/periscope"}, nil},
		"Metrics": {[]string{"logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"},
			[]string{"MetricsLog.Arn", "arn:aws:logs:eu-central-1:111122223333:log-group:MetricsLog:log-stream:*"}, nil},
		"Disk": {[]string{"cloudwatch:PutMetricData"}, []string{"*"}, object{"StringEquals": object{"cloudwatch:namespace": "Periscope"}}},
	})

	other := statements(t, render(t, "collector.yaml", everything), "Role")["OtherAccounts"]
	same(t, "OtherAccounts", other, statement{[]string{"sts:AssumeRole"}, []string{"arn:aws:iam::*:role/periscope-read"},
		object{"StringEquals": object{"aws:ResourceAccount": []any{"444455556666"}}}})
	read := render(t, "cross-account.yaml", nil)
	same(t, "the role it takes on", at(t, resources(read, "AWS::IAM::Role"), "Read", "RoleName"), any("periscope-read"))
	same(t, "what that may do", statements(t, read, "Read"), map[string]statement{"Look": look})
	trust := at(t, resources(read, "AWS::IAM::Role"), "Read", "AssumeRolePolicyDocument", "Statement").([]any)
	same(t, "its trust", trust, []any{object{"Effect": "Allow", "Action": "sts:AssumeRole",
		"Principal": object{"AWS": "arn:aws:iam::111122223333:role/collector"},
		"Condition": object{"StringEquals": object{"sts:ExternalId": "a-word-of-yours"}}}})
}

// page returns what docs/operations.md says that a collector's role needs.
func page(t *testing.T) []string {
	t.Helper()
	_, policy, _ := strings.Cut(string(read(t, "../../docs/operations.md")), `"Action": [`)
	policy, _, _ = strings.Cut(policy, "]")
	return strings.Split(strings.Trim(strings.Join(strings.Fields(policy), ""), `"`), `","`)
}

// TestMirrorRole: sessions are made to named targets with named filters, only with
// the owner's tag, and no other session is touched.
func TestMirrorRole(t *testing.T) {
	const (
		here     = "arn:aws:ec2:eu-central-1:111122223333:"
		sessions = here + "traffic-mirror-session/*"
	)
	filter, target := given["mirror.yaml"]["FilterArns"].([]any)[0].(string), given["mirror.yaml"]["TargetArns"].([]any)[0].(string)
	all := statements(t, render(t, "mirror.yaml", nil), "Role")
	delete(all, "Look") // held by TestMirrorCalls
	create, modify := "ec2:CreateTrafficMirrorSession", "ec2:ModifyTrafficMirrorSession"
	same(t, "the role", all, map[string]statement{
		"MirrorThese": {[]string{create}, []string{here + "network-interface/*"}, nil},
		"MirrorSo":    {[]string{create, modify}, []string{filter}, nil},
		"MirrorThere": {[]string{create, modify}, []string{target}, nil},
		"Own":         {[]string{create}, []string{sessions}, object{"StringEquals": object{"aws:RequestTag/periscope:owner": "periscope"}}},
		"Tag":         {[]string{"ec2:CreateTags"}, []string{sessions}, object{"StringEquals": object{"ec2:CreateAction": "CreateTrafficMirrorSession"}}},
		"OnlyOwn":     {[]string{modify, "ec2:DeleteTrafficMirrorSession"}, []string{sessions}, object{"StringEquals": object{"aws:ResourceTag/periscope:owner": "periscope"}}},
		"Rules":       {[]string{"s3:GetObject"}, []string{"arn:aws:s3:::changes/rules/111122223333.yaml"}, nil},
		"Changes":     {[]string{"s3:GetObject", "s3:PutObject"}, []string{"arn:aws:s3:::changes/changes/111122223333/*"}, nil},
		"ListChanges": {[]string{"s3:ListBucket"}, []string{"arn:aws:s3:::changes"}, object{"StringLike": object{"s3:prefix": "changes/*"}}},
		"Log":         {[]string{"logs:CreateLogStream", "logs:PutLogEvents"}, []string{"arn:aws:logs:eu-central-1:111122223333:log-group:Log:log-stream:*"}, nil},
		"Fail":        {[]string{"sqs:SendMessage"}, []string{"DeadLetters.Arn"}, nil},
	})
}

// TestBucketPolicy: an account that mirrors to the collector writes its own changes
// and reads its own rules.
func TestBucketPolicy(t *testing.T) {
	all := render(t, "collector.yaml", everything)
	got := make(map[string][]string)
	for _, s := range at(t, resources(all, "AWS::S3::BucketPolicy"), "BucketPolicy", "PolicyDocument", "Statement").([]any) {
		if s := s.(object); s["Effect"] == "Allow" {
			same(t, "who", s["Principal"], object{"AWS": []any{"444455556666"}})
			got[s["Sid"].(string)] = append(text(t, s["Action"]), text(t, s["Resource"])...)
		}
	}
	same(t, "the policy", got, map[string][]string{
		"WriteChanges": {"s3:GetObject", "s3:PutObject", "Bucket.Arn/changes/${aws:PrincipalAccount}/*"},
		"ListChanges":  {"s3:ListBucket", "Bucket.Arn"},
		"ReadRules":    {"s3:GetObject", "Bucket.Arn/rules/${aws:PrincipalAccount}.yaml"},
	})
	alone := at(t, resources(render(t, "collector.yaml", nil), "AWS::S3::BucketPolicy"), "BucketPolicy", "PolicyDocument", "Statement").([]any)
	if len(alone) != 1 {
		t.Errorf("without other accounts the bucket's policy has %d statements", len(alone))
	}
	if shares := slices.Collect(maps.Keys(resources(render(t, "collector.yaml", nil), "AWS::RAM::ResourceShare"))); len(shares) > 0 {
		t.Errorf("without other accounts the target is shared by %q", shares)
	}
}
