package awsapi

import (
	"context"
	"net/netip"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// An Instance is an EC2 instance.
type Instance struct {
	ID    string // never empty
	Name  string // of its tag Name, or ""
	State string // pending, running, shutting-down, terminated, stopping or stopped
	Tags  map[string]string
}

// A VPC is a virtual private cloud.
type VPC struct {
	ID    string         // never empty
	CIDRs []netip.Prefix // associated blocks of both families, the primary one first
}

// A Subnet is a subnet of a VPC.
type Subnet struct {
	ID    string         // never empty
	CIDRs []netip.Prefix // associated blocks of both families, IPv4 first
}

// Instances returns the instances with the given identifiers, less those that are
// not there.
func (c *Client) Instances(ctx context.Context, ids []string) ([]Instance, error) {
	return inBatches(ids, idsAtATime, func(batch []string) ([]Instance, error) {
		return c.instances(ctx, only("instance-id", batch...))
	})
}

// RunningInstances returns all instances that run or are about to.
func (c *Client) RunningInstances(ctx context.Context) ([]Instance, error) {
	return c.instances(ctx, only("instance-state-name", string(types.InstanceStateNamePending), string(types.InstanceStateNameRunning)))
}

func (c *Client) instances(ctx context.Context, filters ...types.Filter) ([]Instance, error) {
	return list(ctx, c, "DescribeInstances", instance,
		func(ctx context.Context, s *sdk, token *string) ([]types.Instance, *string, error) {
			out, err := s.ec2.DescribeInstances(ctx, &ec2.DescribeInstancesInput{
				Filters: filters, MaxResults: aws.Int32(ec2Page), NextToken: token,
			})
			if err != nil {
				return nil, nil, err
			}
			var instances []types.Instance
			for _, r := range out.Reservations {
				instances = append(instances, r.Instances...)
			}
			return instances, out.NextToken, nil
		})
}

// VPCs returns the VPCs with the given identifiers, less those that are not there.
func (c *Client) VPCs(ctx context.Context, ids []string) ([]VPC, error) {
	return inBatches(ids, idsAtATime, func(batch []string) ([]VPC, error) {
		return list(ctx, c, "DescribeVpcs", vpc,
			func(ctx context.Context, s *sdk, token *string) ([]types.Vpc, *string, error) {
				out, err := s.ec2.DescribeVpcs(ctx, &ec2.DescribeVpcsInput{
					Filters: []types.Filter{only("vpc-id", batch...)}, MaxResults: aws.Int32(ec2Page), NextToken: token,
				})
				if err != nil {
					return nil, nil, err
				}
				return out.Vpcs, out.NextToken, nil
			})
	})
}

// Subnets returns the subnets with the given identifiers, less those that are not
// there.
func (c *Client) Subnets(ctx context.Context, ids []string) ([]Subnet, error) {
	return inBatches(ids, idsAtATime, func(batch []string) ([]Subnet, error) {
		return list(ctx, c, "DescribeSubnets", subnet,
			func(ctx context.Context, s *sdk, token *string) ([]types.Subnet, *string, error) {
				out, err := s.ec2.DescribeSubnets(ctx, &ec2.DescribeSubnetsInput{
					Filters: []types.Filter{only("subnet-id", batch...)}, MaxResults: aws.Int32(ec2Page), NextToken: token,
				})
				if err != nil {
					return nil, nil, err
				}
				return out.Subnets, out.NextToken, nil
			})
	})
}

func instance(from *types.Instance) (Instance, bool) {
	i := Instance{ID: aws.ToString(from.InstanceId), Tags: ec2Tags(from.Tags)}
	i.Name = i.Tags["Name"]
	if from.State != nil {
		i.State = string(from.State.Name)
	}
	return i, i.ID != ""
}

func vpc(from *types.Vpc) (VPC, bool) {
	v := VPC{ID: aws.ToString(from.VpcId)}
	blocks := []*string{from.CidrBlock}
	for _, a := range from.CidrBlockAssociationSet {
		if a.CidrBlockState != nil && a.CidrBlockState.State == types.VpcCidrBlockStateCodeAssociated &&
			aws.ToString(a.CidrBlock) != aws.ToString(from.CidrBlock) {
			blocks = append(blocks, a.CidrBlock)
		}
	}
	for _, a := range from.Ipv6CidrBlockAssociationSet {
		if a.Ipv6CidrBlockState != nil && a.Ipv6CidrBlockState.State == types.VpcCidrBlockStateCodeAssociated {
			blocks = append(blocks, a.Ipv6CidrBlock)
		}
	}
	for _, block := range blocks {
		p, ok := prefix(block)
		if !ok {
			return v, false
		}
		v.CIDRs = append(v.CIDRs, p)
	}
	return v, v.ID != ""
}

func subnet(from *types.Subnet) (Subnet, bool) {
	s := Subnet{ID: aws.ToString(from.SubnetId)}
	var blocks []*string
	if aws.ToString(from.CidrBlock) != "" { // a subnet may have IPv6 alone
		blocks = append(blocks, from.CidrBlock)
	}
	for _, a := range from.Ipv6CidrBlockAssociationSet {
		if a.Ipv6CidrBlockState != nil && a.Ipv6CidrBlockState.State == types.SubnetCidrBlockStateCodeAssociated {
			blocks = append(blocks, a.Ipv6CidrBlock)
		}
	}
	for _, block := range blocks {
		p, ok := prefix(block)
		if !ok {
			return s, false
		}
		s.CIDRs = append(s.CIDRs, p)
	}
	return s, s.ID != ""
}
