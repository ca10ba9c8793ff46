package awsfake

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	ec2sdk "github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	ecssdk "github.com/aws/aws-sdk-go-v2/service/ecs"
	ecstypes "github.com/aws/aws-sdk-go-v2/service/ecs/types"
	stssdk "github.com/aws/aws-sdk-go-v2/service/sts"
)

// script is the steps, on what furnish made. Ids count up from there.
func script(s State) []step {
	serial := s.Serial
	next := func(prefix string) string {
		serial++
		return fmt.Sprintf("%s-%017x", prefix, serial)
	}
	here := s.Region(HomeAccount, HomeRegion)
	cards := slices.Sorted(maps.Keys(here.Interfaces)) // the instance's, then tasks' by age
	tasks := slices.Sorted(maps.Keys(here.Tasks))
	noTask := strings.Repeat("0", 32)
	instance, vpc, subnet := lowest(here.Instances), lowest(here.VPCs), lowest(here.Subnets)
	arn := "arn:aws:elasticloadbalancing:us-east-1:111122223333:loadbalancer/net/mirror/0123456789abcdef"

	var target, balancer, filter, rule, session = next("tmt"), next("tmt"), next("tmf"), next("tmfr"), next("tms")
	second := mirrored{next("tms"), cards[2], target, filter}
	return slices.Concat([]step{
		{
			"ec2 create-traffic-mirror-target --network-interface-id " + cards[0] + " --description a<b>&\"é\"",
			func(ctx context.Context, c clients) (any, error) {
				return c.ec2.CreateTrafficMirrorTarget(ctx, &ec2sdk.CreateTrafficMirrorTargetInput{
					NetworkInterfaceId: &cards[0], Description: aws.String(`a<b>&"é"`),
				})
			}, "",
		}, {
			"ec2 create-traffic-mirror-target --network-load-balancer-arn " + arn + " --tag-specifications ResourceType=traffic-mirror-target,Tags=[{Key=b,Value=2},{Key=a,Value=1}]",
			func(ctx context.Context, c clients) (any, error) {
				return c.ec2.CreateTrafficMirrorTarget(ctx, &ec2sdk.CreateTrafficMirrorTargetInput{
					NetworkLoadBalancerArn: &arn,
					TagSpecifications:      tagged(types.ResourceTypeTrafficMirrorTarget, "b", "2", "a", "1"),
				})
			}, "",
		}, {
			"ec2 create-traffic-mirror-filter --description all",
			func(ctx context.Context, c clients) (any, error) {
				return c.ec2.CreateTrafficMirrorFilter(ctx, &ec2sdk.CreateTrafficMirrorFilterInput{Description: aws.String("all")})
			}, "",
		}, {
			"ec2 create-traffic-mirror-filter-rule --traffic-mirror-filter-id " + filter + " --traffic-direction egress --rule-number 10 --rule-action accept --protocol 6" +
				" --destination-port-range FromPort=443,ToPort=8443 --source-port-range FromPort=0,ToPort=65535 --destination-cidr-block 0.0.0.0/0 --source-cidr-block 10.0.0.0/8 --description web",
			func(ctx context.Context, c clients) (any, error) {
				return c.ec2.CreateTrafficMirrorFilterRule(ctx, &ec2sdk.CreateTrafficMirrorFilterRuleInput{
					TrafficMirrorFilterId: &filter, TrafficDirection: "egress", RuleNumber: aws.Int32(10), RuleAction: "accept", Protocol: aws.Int32(6),
					DestinationPortRange: &types.TrafficMirrorPortRangeRequest{FromPort: aws.Int32(443), ToPort: aws.Int32(8443)},
					SourcePortRange:      &types.TrafficMirrorPortRangeRequest{FromPort: aws.Int32(0), ToPort: aws.Int32(65535)},
					DestinationCidrBlock: aws.String("0.0.0.0/0"), SourceCidrBlock: aws.String("10.0.0.0/8"), Description: aws.String("web"),
				})
			}, "",
		}, {
			"ec2 create-traffic-mirror-filter-rule --traffic-mirror-filter-id " + filter + " --traffic-direction egress --rule-number 10 --rule-action reject --destination-cidr-block ::/0 --source-cidr-block ::/0",
			func(ctx context.Context, c clients) (any, error) {
				return c.ec2.CreateTrafficMirrorFilterRule(ctx, &ec2sdk.CreateTrafficMirrorFilterRuleInput{
					TrafficMirrorFilterId: &filter, TrafficDirection: "egress", RuleNumber: aws.Int32(10), RuleAction: "reject",
					DestinationCidrBlock: aws.String("::/0"), SourceCidrBlock: aws.String("::/0"),
				})
			}, "TrafficMirrorFilterRuleAlreadyExists",
		}, {
			"ec2 modify-traffic-mirror-filter-network-services --traffic-mirror-filter-id " + filter + " --add-network-services amazon-dns",
			func(ctx context.Context, c clients) (any, error) {
				return c.ec2.ModifyTrafficMirrorFilterNetworkServices(ctx, &ec2sdk.ModifyTrafficMirrorFilterNetworkServicesInput{
					TrafficMirrorFilterId: &filter, AddNetworkServices: []types.TrafficMirrorNetworkService{"amazon-dns"},
				})
			}, "",
		}, {
			"ec2 create-traffic-mirror-session --network-interface-id " + cards[1] + " --traffic-mirror-target-id " + balancer + " --traffic-mirror-filter-id " + filter +
				" --session-number 1 --tag-specifications ResourceType=traffic-mirror-session,Tags=[{Key=a,Value=1}]",
			func(ctx context.Context, c clients) (any, error) {
				return c.ec2.CreateTrafficMirrorSession(ctx, &ec2sdk.CreateTrafficMirrorSessionInput{
					NetworkInterfaceId: &cards[1], TrafficMirrorTargetId: &balancer, TrafficMirrorFilterId: &filter, SessionNumber: aws.Int32(1),
					TagSpecifications: tagged(types.ResourceTypeTrafficMirrorSession, "a", "1"),
				})
			}, "",
		}, {
			"ec2 create-traffic-mirror-session --network-interface-id eni-0 --traffic-mirror-target-id " + target + " --traffic-mirror-filter-id " + filter + " --session-number 1",
			func(ctx context.Context, c clients) (any, error) {
				return c.ec2.CreateTrafficMirrorSession(ctx, &ec2sdk.CreateTrafficMirrorSessionInput{
					NetworkInterfaceId: aws.String("eni-0"), TrafficMirrorTargetId: &target, TrafficMirrorFilterId: &filter, SessionNumber: aws.Int32(1),
				})
			}, "InvalidNetworkInterfaceID.NotFound",
		}, {
			"ec2 modify-traffic-mirror-session --traffic-mirror-session-id " + session + " --traffic-mirror-target-id " + target + " --packet-length 128 --virtual-network-id 662316 --description d",
			func(ctx context.Context, c clients) (any, error) {
				return c.ec2.ModifyTrafficMirrorSession(ctx, &ec2sdk.ModifyTrafficMirrorSessionInput{
					TrafficMirrorSessionId: &session, TrafficMirrorTargetId: &target, PacketLength: aws.Int32(128), VirtualNetworkId: aws.Int32(662316), Description: aws.String("d"),
				})
			}, "",
		}, {
			"ec2 modify-traffic-mirror-session --dry-run --traffic-mirror-session-id " + session,
			func(ctx context.Context, c clients) (any, error) {
				return c.ec2.ModifyTrafficMirrorSession(ctx, &ec2sdk.ModifyTrafficMirrorSessionInput{TrafficMirrorSessionId: &session, DryRun: aws.Bool(true)})
			}, "DryRunOperation",
		}, {
			"ec2 modify-traffic-mirror-filter-rule --traffic-mirror-filter-rule-id " + rule + " --traffic-direction ingress --rule-number 20 --remove-fields source-port-range description",
			func(ctx context.Context, c clients) (any, error) {
				return c.ec2.ModifyTrafficMirrorFilterRule(ctx, &ec2sdk.ModifyTrafficMirrorFilterRuleInput{
					TrafficMirrorFilterRuleId: &rule, TrafficDirection: "ingress", RuleNumber: aws.Int32(20),
					RemoveFields: []types.TrafficMirrorFilterRuleField{"source-port-range", "description"},
				})
			}, "",
		}, {
			"ec2 create-tags --resources " + filter + " " + rule + " " + cards[1] + " --tags Key=owner,Value=net",
			func(ctx context.Context, c clients) (any, error) {
				_, err := c.ec2.CreateTags(ctx, &ec2sdk.CreateTagsInput{
					Resources: []string{filter, rule, cards[1]}, Tags: []types.Tag{{Key: aws.String("owner"), Value: aws.String("net")}},
				})
				return nil, err
			}, "",
		},
	}, second.life(), []step{
		{
			"ec2 describe-traffic-mirror-sessions --filters Name=virtual-network-id,Values=1,662316 Name=description,Values=?",
			func(ctx context.Context, c clients) (any, error) {
				return c.ec2.DescribeTrafficMirrorSessions(ctx, &ec2sdk.DescribeTrafficMirrorSessionsInput{
					Filters: []types.Filter{only("virtual-network-id", "1", "662316"), only("description", "?")},
				})
			}, "",
		}, {
			"ec2 describe-traffic-mirror-sessions --traffic-mirror-session-ids " + session + " tms-0",
			func(ctx context.Context, c clients) (any, error) {
				return c.ec2.DescribeTrafficMirrorSessions(ctx, &ec2sdk.DescribeTrafficMirrorSessionsInput{TrafficMirrorSessionIds: []string{session, "tms-0"}})
			}, "InvalidTrafficMirrorSessionId.NotFound",
		}, {
			"ec2 describe-traffic-mirror-sessions --filters Name=tag:a,Values=1",
			func(ctx context.Context, c clients) (any, error) {
				return c.ec2.DescribeTrafficMirrorSessions(ctx, &ec2sdk.DescribeTrafficMirrorSessionsInput{Filters: []types.Filter{only("tag:a", "1")}})
			}, "InvalidParameterValue",
		}, {
			"ec2 describe-traffic-mirror-targets",
			func(ctx context.Context, c clients) (any, error) {
				return c.ec2.DescribeTrafficMirrorTargets(ctx, nil)
			}, "",
		}, {
			"ec2 describe-traffic-mirror-filters --traffic-mirror-filter-ids " + filter,
			func(ctx context.Context, c clients) (any, error) {
				return c.ec2.DescribeTrafficMirrorFilters(ctx, &ec2sdk.DescribeTrafficMirrorFiltersInput{TrafficMirrorFilterIds: []string{filter}})
			}, "",
		}, {
			"ec2 describe-network-interfaces --filters Name=description,Values=arn:aws:ecs:*:attachment/* Name=requester-managed,Values=true Name=attachment.status,Values=attached",
			func(ctx context.Context, c clients) (any, error) {
				return c.ec2.DescribeNetworkInterfaces(ctx, &ec2sdk.DescribeNetworkInterfacesInput{Filters: []types.Filter{
					only("description", "arn:aws:ecs:*:attachment/*"), only("requester-managed", "true"), only("attachment.status", "attached"),
				}})
			}, "",
		}, {
			"ec2 describe-network-interfaces --filters Name=interface-type,Values=interface Name=status,Values=in-use",
			func(ctx context.Context, c clients) (any, error) {
				return c.ec2.DescribeNetworkInterfaces(ctx, &ec2sdk.DescribeNetworkInterfacesInput{Filters: []types.Filter{
					only("interface-type", "interface"), only("status", "in-use"),
				}})
			}, "",
		}, {
			"ec2 describe-network-interfaces --filters Name=attachment.instance-id,Values=" + instance,
			func(ctx context.Context, c clients) (any, error) {
				return c.ec2.DescribeNetworkInterfaces(ctx, &ec2sdk.DescribeNetworkInterfacesInput{Filters: []types.Filter{only("attachment.instance-id", instance)}})
			}, "",
		}, {
			"ec2 describe-instances --filters Name=instance-state-name,Values=pending,running",
			func(ctx context.Context, c clients) (any, error) {
				return c.ec2.DescribeInstances(ctx, &ec2sdk.DescribeInstancesInput{Filters: []types.Filter{only("instance-state-name", "pending", "running")}})
			}, "",
		}, {
			"ec2 describe-instances --instance-ids " + instance,
			func(ctx context.Context, c clients) (any, error) {
				return c.ec2.DescribeInstances(ctx, &ec2sdk.DescribeInstancesInput{InstanceIds: []string{instance}})
			}, "",
		}, {
			"ec2 describe-vpcs --vpc-ids " + vpc,
			func(ctx context.Context, c clients) (any, error) {
				return c.ec2.DescribeVpcs(ctx, &ec2sdk.DescribeVpcsInput{VpcIds: []string{vpc}})
			}, "",
		}, {
			"ec2 describe-subnets --filters Name=vpc-id,Values=" + vpc + " Name=subnet-id,Values=" + subnet,
			func(ctx context.Context, c clients) (any, error) {
				return c.ec2.DescribeSubnets(ctx, &ec2sdk.DescribeSubnetsInput{Filters: []types.Filter{only("vpc-id", vpc), only("subnet-id", subnet)}})
			}, "",
		},

		{
			"ecs list-clusters",
			func(ctx context.Context, c clients) (any, error) { return c.ecs.ListClusters(ctx, nil) }, "",
		}, {
			"ecs describe-clusters --clusters prod none --include TAGS",
			func(ctx context.Context, c clients) (any, error) {
				return c.ecs.DescribeClusters(ctx, &ecssdk.DescribeClustersInput{Clusters: []string{"prod", "none"}, Include: []ecstypes.ClusterField{"TAGS"}})
			}, "",
		}, {
			"ecs list-services --cluster prod --launch-type FARGATE",
			func(ctx context.Context, c clients) (any, error) {
				return c.ecs.ListServices(ctx, &ecssdk.ListServicesInput{Cluster: aws.String("prod"), LaunchType: "FARGATE"})
			}, "",
		}, {
			"ecs describe-services --cluster prod --services web none",
			func(ctx context.Context, c clients) (any, error) {
				return c.ecs.DescribeServices(ctx, &ecssdk.DescribeServicesInput{Cluster: aws.String("prod"), Services: []string{"web", "none"}})
			}, "",
		}, {
			"ecs list-tasks --cluster prod --service-name web --page-size 1",
			func(ctx context.Context, c clients) (any, error) {
				return c.ecs.ListTasks(ctx, &ecssdk.ListTasksInput{Cluster: aws.String("prod"), ServiceName: aws.String("web")})
			}, "",
		}, {
			"ecs list-tasks --cluster prod --desired-status STOPPED --family old",
			func(ctx context.Context, c clients) (any, error) {
				return c.ecs.ListTasks(ctx, &ecssdk.ListTasksInput{Cluster: aws.String("prod"), DesiredStatus: "STOPPED", Family: aws.String("old")})
			}, "",
		}, {
			"ecs list-tasks --cluster none",
			func(ctx context.Context, c clients) (any, error) {
				return c.ecs.ListTasks(ctx, &ecssdk.ListTasksInput{Cluster: aws.String("none")})
			}, "ClusterNotFoundException",
		}, {
			"ecs describe-tasks --cluster prod --include TAGS --tasks " + strings.Join(tasks, " ") + " " + noTask,
			func(ctx context.Context, c clients) (any, error) {
				return c.ecs.DescribeTasks(ctx, &ecssdk.DescribeTasksInput{
					Cluster: aws.String("prod"), Tasks: append(slices.Clone(tasks), noTask), Include: []ecstypes.TaskField{"TAGS"},
				})
			}, "",
		}, {
			"ecs describe-task-definition --task-definition web",
			func(ctx context.Context, c clients) (any, error) {
				return c.ecs.DescribeTaskDefinition(ctx, &ecssdk.DescribeTaskDefinitionInput{TaskDefinition: aws.String("web")})
			}, "",
		},

		{
			"sts get-caller-identity",
			func(ctx context.Context, c clients) (any, error) { return c.sts.GetCallerIdentity(ctx, nil) }, "",
		}, {
			"sts assume-role --role-arn " + role + " --role-session-name collector --external-id word",
			func(ctx context.Context, c clients) (any, error) {
				return c.sts.AssumeRole(ctx, &stssdk.AssumeRoleInput{RoleArn: aws.String(role), RoleSessionName: aws.String("collector"), ExternalId: aws.String("word")})
			}, "",
		}, {
			"sts assume-role --role-arn " + role + " --role-session-name collector --external-id wrong",
			func(ctx context.Context, c clients) (any, error) {
				return c.sts.AssumeRole(ctx, &stssdk.AssumeRoleInput{RoleArn: aws.String(role), RoleSessionName: aws.String("collector"), ExternalId: aws.String("wrong")})
			}, "AccessDenied",
		},

		{
			"ec2 delete-traffic-mirror-target --traffic-mirror-target-id " + target,
			func(ctx context.Context, c clients) (any, error) {
				return c.ec2.DeleteTrafficMirrorTarget(ctx, &ec2sdk.DeleteTrafficMirrorTargetInput{TrafficMirrorTargetId: &target})
			}, "TrafficMirrorTargetInUseException",
		}, {
			"ec2 delete-traffic-mirror-session --traffic-mirror-session-id " + session,
			func(ctx context.Context, c clients) (any, error) {
				return c.ec2.DeleteTrafficMirrorSession(ctx, &ec2sdk.DeleteTrafficMirrorSessionInput{TrafficMirrorSessionId: &session})
			}, "",
		}, {
			"ec2 delete-traffic-mirror-session --traffic-mirror-session-id " + session,
			func(ctx context.Context, c clients) (any, error) {
				return c.ec2.DeleteTrafficMirrorSession(ctx, &ec2sdk.DeleteTrafficMirrorSessionInput{TrafficMirrorSessionId: &session})
			}, "InvalidTrafficMirrorSessionId.NotFound",
		}, {
			"ec2 delete-traffic-mirror-target --traffic-mirror-target-id " + target,
			func(ctx context.Context, c clients) (any, error) {
				return c.ec2.DeleteTrafficMirrorTarget(ctx, &ec2sdk.DeleteTrafficMirrorTargetInput{TrafficMirrorTargetId: &target})
			}, "",
		}, {
			"ec2 delete-traffic-mirror-filter-rule --traffic-mirror-filter-rule-id " + rule,
			func(ctx context.Context, c clients) (any, error) {
				return c.ec2.DeleteTrafficMirrorFilterRule(ctx, &ec2sdk.DeleteTrafficMirrorFilterRuleInput{TrafficMirrorFilterRuleId: &rule})
			}, "",
		}, {
			"ec2 delete-traffic-mirror-filter --traffic-mirror-filter-id " + filter,
			func(ctx context.Context, c clients) (any, error) {
				return c.ec2.DeleteTrafficMirrorFilter(ctx, &ec2sdk.DeleteTrafficMirrorFilterInput{TrafficMirrorFilterId: &filter})
			}, "",
		},
	})
}
