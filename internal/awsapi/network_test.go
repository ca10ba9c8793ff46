package awsapi_test

import (
	"context"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"github.com/periscope-collector/periscope/filter"
	"github.com/periscope-collector/periscope/internal/awsapi"
	"github.com/periscope-collector/periscope/packet"
)

const (
	name = `<tagSet><item><key>Name</key><value>web</value></item></tagSet>`

	target1 = `<trafficMirrorTargetId>tmt-1</trafficMirrorTargetId><type>network-interface</type><ownerId>1</ownerId>` +
		`<networkInterfaceId>eni-1</networkInterfaceId>`
	instance1 = `<instanceId>i-1</instanceId>` + name
	vpc1      = `<vpcId>vpc-1</vpcId><ownerId>1</ownerId><cidrBlock>10.0.0.0/16</cidrBlock><cidrBlockAssociationSet>` +
		`<item><cidrBlock>10.1.0.0/16</cidrBlock><cidrBlockState><state>associated</state></cidrBlockState></item>` +
		`<item><cidrBlock>10.2.0.0/16</cidrBlock><cidrBlockState><state>disassociated</state></cidrBlockState></item>` +
		`<item><cidrBlock>10.0.0.0/16</cidrBlock><cidrBlockState><state>associated</state></cidrBlockState></item>` +
		`</cidrBlockAssociationSet><ipv6CidrBlockAssociationSet><item><ipv6CidrBlock>2001:db8::/56</ipv6CidrBlock>` +
		`<ipv6CidrBlockState><state>associated</state></ipv6CidrBlockState></item></ipv6CidrBlockAssociationSet>`
	subnet1 = `<subnetId>subnet-1</subnetId><vpcId>vpc-1</vpcId><cidrBlock>10.0.1.0/24</cidrBlock>`
	filter1 = `<trafficMirrorFilterId>tmf-1</trafficMirrorFilterId><description>d</description>` + name +
		`<networkServiceSet><item>amazon-dns</item></networkServiceSet>` +
		`<ingressFilterRuleSet><item><trafficMirrorFilterRuleId>tmfr-1</trafficMirrorFilterRuleId><ruleNumber>10</ruleNumber>` +
		`<ruleAction>accept</ruleAction><protocol>6</protocol><sourceCidrBlock>0.0.0.0/0</sourceCidrBlock>` +
		`<destinationCidrBlock>10.0.0.0/16</destinationCidrBlock>` +
		`<destinationPortRange><fromPort>443</fromPort><toPort>444</toPort></destinationPortRange></item></ingressFilterRuleSet>` +
		`<egressFilterRuleSet><item><ruleNumber>10</ruleNumber><ruleAction>reject</ruleAction><description>r</description>` +
		`<sourceCidrBlock>::/0</sourceCidrBlock><destinationCidrBlock>2001:db8::/56</destinationCidrBlock></item></egressFilterRuleSet>`
)

// Of each operation there are two pages: a good item and those that are left out,
// then one with nothing but its identifier.
func TestOtherOperations(t *testing.T) {
	swap := func(item, old, new string) string { return strings.Replace(item, old, new, 1) }
	for _, test := range []struct {
		operation, set string
		first          []string
		second         string
		ask            func(context.Context, *awsapi.Client) (any, error)
		filter         string // that identifiers are asked for by
		want           any
	}{
		{"DescribeTrafficMirrorTargets", "trafficMirrorTargetSet",
			[]string{target1, swap(target1, "tmt-1", "")}, "<trafficMirrorTargetId>tmt-2</trafficMirrorTargetId>",
			func(ctx context.Context, c *awsapi.Client) (any, error) { return c.Targets(ctx) }, "",
			[]awsapi.Target{{ID: "tmt-1", Type: "network-interface", InterfaceID: "eni-1"}, {ID: "tmt-2"}}},
		{"DescribeTrafficMirrorFilters", "trafficMirrorFilterSet",
			[]string{filter1, swap(filter1, "tmf-1", ""), swap(filter1, "10.0.0.0/16", "10.0.0.0/33"), swap(filter1, "10.0.0.0/16", "::/0"),
				swap(filter1, "accept", "mirror"), swap(filter1, ">10<", ">-1<"), swap(filter1, ">6<", ">256<"), swap(filter1, ">6<", ">-1<"),
				swap(filter1, ">443<", ">445<"), swap(filter1, ">444<", ">65536<"), swap(swap(filter1, ">443<", ">0<"), ">444<", ">0<")},
			"<trafficMirrorFilterId>tmf-2</trafficMirrorFilterId>",
			func(ctx context.Context, c *awsapi.Client) (any, error) { return c.Filters(ctx) }, "",
			[]filter.Filter{{Name: "tmf-1", Description: "web", AmazonDNS: true, Rules: []filter.Rule{
				{ID: "tmfr-1", Number: 10, Action: filter.Accept, Direction: packet.Ingress, Protocol: 6,
					Source: netip.MustParsePrefix("0.0.0.0/0"), Destination: netip.MustParsePrefix("10.0.0.0/16"),
					DestinationPorts: filter.Ports{From: 443, To: 444}},
				{Number: 10, Action: filter.Reject, Direction: packet.Egress, Protocol: filter.AllProtocols, Description: "r",
					Source: netip.MustParsePrefix("::/0"), Destination: netip.MustParsePrefix("2001:db8::/56")},
			}}, {Name: "tmf-2"}}},
		{"DescribeInstances", "reservationSet",
			[]string{"<instancesSet><item>" + instance1 + "</item><item></item></instancesSet>", ""},
			"<instancesSet><item><instanceId>i-2</instanceId></item></instancesSet>",
			func(ctx context.Context, c *awsapi.Client) (any, error) {
				return c.Instances(ctx, []string{"i-1", "i-2"})
			}, "instance-id",
			[]awsapi.Instance{{ID: "i-1", Name: "web", Tags: map[string]string{"Name": "web"}}, {ID: "i-2"}}},
		{"DescribeVpcs", "vpcSet",
			[]string{vpc1, swap(vpc1, "vpc-1", ""), swap(vpc1, "10.1.0.0/16", "10.1.0.0"), "<vpcId>vpc-3</vpcId>"},
			"<vpcId>vpc-2</vpcId><cidrBlock>10.9.8.7/8</cidrBlock>",
			func(ctx context.Context, c *awsapi.Client) (any, error) { return c.VPCs(ctx, []string{"vpc-1"}) }, "vpc-id",
			[]awsapi.VPC{{ID: "vpc-1", CIDRs: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/16"),
				netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("2001:db8::/56")}},
				{ID: "vpc-2", CIDRs: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}}},
		{"DescribeSubnets", "subnetSet", []string{subnet1, ""}, "<subnetId>subnet-2</subnetId>",
			func(ctx context.Context, c *awsapi.Client) (any, error) { return c.Subnets(ctx, []string{"subnet-1"}) }, "subnet-id",
			[]awsapi.Subnet{{ID: "subnet-1", CIDRs: []netip.Prefix{netip.MustParsePrefix("10.0.1.0/24")}}, {ID: "subnet-2"}}},
	} {
		t.Run(test.operation, func(t *testing.T) {
			e := serve(t, map[string][]answer{test.operation: {
				page(test.operation, test.set, "two", test.first...), page(test.operation, test.set, "", test.second)}})
			c := e.client(t, awsapi.Config{})
			got, err := test.ask(t.Context(), c)
			if err != nil || !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %+v, %v; want %+v", got, err, test.want)
			}
			asked := e.requests(test.operation)
			if len(asked) != 2 || asked[1].form.Get("NextToken") != "two" || asked[0].form.Get("MaxResults") != "1000" {
				t.Errorf("asked %v", asked)
			}
			if len(asked) > 0 && asked[0].form.Get("Filter.1.Name") != test.filter {
				t.Errorf("asked for %v", asked[0].form)
			}
			if !strings.Contains(e.log.String(), "operation="+test.operation) {
				t.Errorf("logged: %s", e.log.String())
			}
		})
	}
}
