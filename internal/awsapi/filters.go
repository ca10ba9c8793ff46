package awsapi

import (
	"cmp"
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/periscope-collector/periscope/filter"
	"github.com/periscope-collector/periscope/packet"
)

// Filters returns the account's mirror filters, whose names are their
// identifiers. A filter with a rule that cannot be read is left out as a whole,
// since it would be another one without.
func (c *Client) Filters(ctx context.Context) ([]filter.Filter, error) {
	return filters(ctx, c, mirrorFilter)
}

// FilterIDs returns the identifiers of the account's mirror filters, also of those
// that Filters leaves out.
func (c *Client) FilterIDs(ctx context.Context) ([]string, error) {
	return filters(ctx, c, func(from *types.TrafficMirrorFilter) (string, bool) {
		id := aws.ToString(from.TrafficMirrorFilterId)
		return id, id != ""
	})
}

func filters[Out any](ctx context.Context, c *Client, convert func(*types.TrafficMirrorFilter) (Out, bool)) ([]Out, error) {
	return list(ctx, c, "DescribeTrafficMirrorFilters", convert,
		func(ctx context.Context, s *sdk, token *string) ([]types.TrafficMirrorFilter, *string, error) {
			out, err := s.ec2.DescribeTrafficMirrorFilters(ctx, &ec2.DescribeTrafficMirrorFiltersInput{
				MaxResults: aws.Int32(ec2Page), NextToken: token,
			})
			if err != nil {
				return nil, nil, err
			}
			return out.TrafficMirrorFilters, out.NextToken, nil
		})
}

func mirrorFilter(from *types.TrafficMirrorFilter) (filter.Filter, bool) {
	f := filter.Filter{
		Name:        aws.ToString(from.TrafficMirrorFilterId),
		Description: cmp.Or(ec2Tags(from.Tags)["Name"], aws.ToString(from.Description)),
	}
	for _, service := range from.NetworkServices {
		f.AmazonDNS = f.AmazonDNS || service == types.TrafficMirrorNetworkServiceAmazonDns
	}
	for _, direction := range []struct {
		packet.Direction
		rules []types.TrafficMirrorFilterRule
	}{{packet.Ingress, from.IngressFilterRules}, {packet.Egress, from.EgressFilterRules}} {
		for i := range direction.rules {
			rule, ok := mirrorRule(&direction.rules[i], direction.Direction)
			if !ok {
				return f, false
			}
			f.Rules = append(f.Rules, rule)
		}
	}
	_, err := f.Compile()
	return f, f.Name != "" && err == nil
}

var actions = map[types.TrafficMirrorRuleAction]filter.Action{
	types.TrafficMirrorRuleActionAccept: filter.Accept,
	types.TrafficMirrorRuleActionReject: filter.Reject,
}

// mirrorRule leaves to the filter's compiler what it refuses anyway.
func mirrorRule(from *types.TrafficMirrorFilterRule, d packet.Direction) (filter.Rule, bool) {
	r := filter.Rule{
		Number:      int(aws.ToInt32(from.RuleNumber)),
		Action:      actions[from.RuleAction],
		Direction:   d,
		Protocol:    filter.AllProtocols,
		ID:          aws.ToString(from.TrafficMirrorFilterRuleId),
		Description: aws.ToString(from.Description),
	}
	if from.Protocol != nil {
		r.Protocol = int(*from.Protocol)
	}
	var ok [4]bool
	r.Source, ok[0] = prefix(from.SourceCidrBlock)
	r.Destination, ok[1] = prefix(from.DestinationCidrBlock)
	r.SourcePorts, ok[2] = ports(from.SourcePortRange)
	r.DestinationPorts, ok[3] = ports(from.DestinationPortRange)
	return r, ok == [4]bool{true, true, true, true} && (from.Protocol == nil || r.Protocol >= 0)
}

// ports returns a range, every port for nil. Port 0 alone, which no packet has,
// cannot be said.
func ports(from *types.TrafficMirrorPortRange) (filter.Ports, bool) {
	if from == nil {
		return filter.Ports{}, true
	}
	first, ok1 := small(from.FromPort, 1<<16-1)
	last, ok2 := small(from.ToPort, 1<<16-1)
	return filter.Ports{From: uint16(first), To: uint16(last)}, ok1 && ok2 && last > 0
}
