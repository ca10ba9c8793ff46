package aws_test

import (
	"reflect"
	"strings"
	"testing"
)

var modes = []string{"single", "nlb", "gwlb"}

func mode(name string) map[string]any { return map[string]any{"Mode": name} }

// everything is a fleet that other accounts mirror to.
var everything = map[string]any{
	"Mode": "nlb", "SourceAccounts": []any{"444455556666"}, "SourceGroup": "web", "ManagedPolicyArns": []any{"arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore"},
	"Accounts": `[{}, {role_arn: "arn:aws:iam::444455556666:role/periscope-read", external_id: a-word-of-yours}]`,
}

// same fails the test unless two values are equal.
func same(t *testing.T, what string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s is %v, want %v", what, got, want)
	}
}

// TestEncryption: whatever keeps something is encrypted, and what is kept ends.
func TestEncryption(t *testing.T) {
	kept := 0
	for _, name := range templates {
		all := render(t, name, nil)
		for id, bucket := range resources(all, "AWS::S3::Bucket") {
			kept++
			rules := at(t, bucket, "BucketEncryption", "ServerSideEncryptionConfiguration").([]any)
			same(t, id, at(t, rules[0], "ServerSideEncryptionByDefault", "SSEAlgorithm"), any("AES256"))
			blocked := at(t, bucket, "PublicAccessBlockConfiguration").(object)
			same(t, id, blocked, object{"BlockPublicAcls": true, "BlockPublicPolicy": true, "IgnorePublicAcls": true, "RestrictPublicBuckets": true})
			same(t, id, bucket.(object)["VersioningConfiguration"], nil)
			rule := at(t, bucket, "LifecycleConfiguration", "Rules").([]any)[0]
			same(t, id, rule, object{"Id": "changes", "Status": "Enabled", "Prefix": "changes/", "ExpirationInDays": 30})
		}
		for id, queue := range resources(all, "AWS::SQS::Queue") {
			kept++
			same(t, id, at(t, queue, "SqsManagedSseEnabled"), any(true))
		}
		for id, log := range resources(all, "AWS::Logs::LogGroup") { // CloudWatch encrypts all
			kept++
			if days := at(t, log, "RetentionInDays").(int); days > 30 {
				t.Errorf("%s is kept for %d days", id, days)
			}
		}
		for id, template := range resources(all, "AWS::EC2::LaunchTemplate") {
			for _, volume := range at(t, template, "LaunchTemplateData", "BlockDeviceMappings").([]any) {
				kept++
				same(t, id, at(t, volume, "Ebs", "Encrypted"), any(true))
				same(t, id, at(t, volume, "Ebs", "VolumeType"), any("gp3"))
			}
		}
		for _, kind := range []string{"AWS::EC2::Volume", "AWS::SNS::Topic", "AWS::DynamoDB::Table", "AWS::EFS::FileSystem"} {
			if len(resources(all, kind)) > 0 {
				t.Errorf("%s: this test does not know %s", name, kind)
			}
		}
	}
	if kept != 6 {
		t.Errorf("%d things are kept, and 6 were: say how the others are encrypted", kept)
	}
}

// TestTLS: what has a policy of its own refuses requests without TLS.
func TestTLS(t *testing.T) {
	for name, kind := range map[string]string{"collector.yaml": "AWS::S3::BucketPolicy", "mirror.yaml": "AWS::SQS::QueuePolicy"} {
		for id, policy := range resources(render(t, name, nil), kind) {
			denied := false
			for _, statement := range at(t, policy, "PolicyDocument", "Statement").([]any) {
				if s := statement.(object); s["Effect"] == "Deny" && s["Principal"] == "*" && strings.HasSuffix(s["Action"].(string), ":*") {
					same(t, id, s["Condition"], object{"Bool": object{"aws:SecureTransport": "false"}})
					denied = true
				}
			}
			if !denied {
				t.Errorf("%s takes requests without TLS", id)
			}
		}
	}
}

// TestInstance: metadata by IMDSv2 alone and not for containers, no public address,
// monitoring, and captures that stay unless told otherwise.
func TestInstance(t *testing.T) {
	for _, m := range modes {
		data := at(t, resources(render(t, "collector.yaml", mode(m)), "AWS::EC2::LaunchTemplate"), "Template", "LaunchTemplateData")
		same(t, m, at(t, data, "MetadataOptions"), any(object{"HttpEndpoint": "enabled", "HttpTokens": "required", "HttpPutResponseHopLimit": 1}))
		same(t, m, at(t, data, "Monitoring"), any(object{"Enabled": true}))
		nic := at(t, data, "NetworkInterfaces").([]any)[0].(object)
		if m == "single" {
			same(t, m, nic, object{"DeviceIndex": 0, "NetworkInterfaceId": "Interface"})
		} else {
			same(t, m, nic, object{"DeviceIndex": 0, "AssociatePublicIpAddress": false, "DeleteOnTermination": true, "Groups": []any{"SecurityGroup"}})
		}
		captures := at(t, data, "BlockDeviceMappings").([]any)[1]
		same(t, m, at(t, captures, "Ebs", "DeleteOnTermination"), any(false))
	}
}

// TestSecurityGroup: who may send what, and where instances may go.
func TestSecurityGroup(t *testing.T) {
	type rule struct {
		protocol string
		port     int
		cidr     string
	}
	const sources, vpc = "10.0.0.0/16", "10.9.0.0/16"
	want := map[string][]rule{
		"single": {{"udp", 4789, sources}},
		"nlb":    {{"udp", 4789, sources}, {"tcp", 9478, vpc}},
		"gwlb":   {{"udp", 6081, vpc}, {"tcp", 9478, vpc}},
	}
	rules := func(all any) (got []rule) {
		for _, r := range all.([]any) {
			r := r.(object)
			same(t, "ToPort", r["ToPort"], r["FromPort"])
			got = append(got, rule{r["IpProtocol"].(string), r["FromPort"].(int), r["CidrIp"].(string)})
		}
		return got
	}
	for _, m := range modes {
		groups := resources(render(t, "collector.yaml", mode(m)), "AWS::EC2::SecurityGroup")
		same(t, m+" ingress", rules(at(t, groups, "SecurityGroup", "SecurityGroupIngress")), want[m])
		same(t, m+" egress", rules(at(t, groups, "SecurityGroup", "SecurityGroupEgress")), []rule{{"tcp", 443, "0.0.0.0/0"}})
		if len(groups) != 1 {
			t.Errorf("%s has %d security groups", m, len(groups))
		}
	}
}

// TestTarget: each mode has a target of its own kind, one that outlives instances,
// and a filter of all traffic.
func TestTarget(t *testing.T) {
	want := map[string]object{
		"single": {"NetworkInterfaceId": "Interface"},
		"nlb":    {"NetworkLoadBalancerArn": "NlbBalancer"},
		"gwlb":   {"GatewayLoadBalancerEndpointId": "Endpoint"},
	}
	for _, m := range modes {
		all := render(t, "collector.yaml", mode(m))
		target := at(t, resources(all, "AWS::EC2::TrafficMirrorTarget"), "Target").(object)
		delete(target, "Description")
		delete(target, "Tags")
		same(t, m, target, want[m])
		for _, id := range want[m] {
			at(t, all, "Resources", id.(string))
		}
	}
	for _, name := range []string{"collector.yaml", "cross-account.yaml"} {
		all := render(t, name, nil)
		same(t, name, at(t, resources(all, "AWS::EC2::TrafficMirrorFilter"), "Filter", "NetworkServices"), any([]any{"amazon-dns"}))
		accepted := make(map[[2]string]bool)
		for _, rule := range resources(all, "AWS::EC2::TrafficMirrorFilterRule") {
			r := rule.(object)
			same(t, name, []any{r["TrafficMirrorFilterId"], r["RuleAction"], r["SourceCidrBlock"]}, []any{"Filter", "accept", r["DestinationCidrBlock"]})
			accepted[[2]string{r["TrafficDirection"].(string), r["SourceCidrBlock"].(string)}] = true
		}
		same(t, name, accepted, map[[2]string]bool{
			{"ingress", "0.0.0.0/0"}: true, {"ingress", "::/0"}: true, {"egress", "0.0.0.0/0"}: true, {"egress", "::/0"}: true,
		})
	}
}
