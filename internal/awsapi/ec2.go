package awsapi

import (
	"context"
	"net/netip"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

// Limits of EC2: items of a page, and values of a filter.
const (
	ec2Page    = 1000
	idsAtATime = 200
)

// A MirrorSession is a traffic mirror session. Its identifiers of itself and of
// the interface are never empty.
type MirrorSession struct {
	ID, InterfaceID, TargetID, FilterID string

	VNI          uint32 // of 24 bits
	Number       int    // the lowest of an interface goes first
	PacketLength int    // bytes mirrored of a frame, 0 for all
	OwnerID      string // the account whose it is
	Tags         map[string]string
}

// A Target is what mirror sessions send to.
type Target struct {
	ID          string // never empty
	Type        string // network-interface, network-load-balancer or gateway-load-balancer-endpoint
	InterfaceID string // "" for a load balancer or its endpoint
}

// An Interface is a network interface.
type Interface struct {
	ID                      string // never empty
	Type                    string // interface, branch, lambda, ...
	OwnerID, VPCID          string
	SubnetID, AZID          string
	Description, InstanceID string
	MAC                     [6]byte
	Primary                 netip.Addr   // the primary IPv4 address, which mirrored traffic comes from; zero if it has none
	Addresses               []netip.Addr // all private ones of both families, the primary first
	Attached                time.Time    // zero if it is not attached
	Tags                    map[string]string
}

// Identity returns the number of the account that the credentials are of.
func (c *Client) Identity(ctx context.Context) (string, error) {
	ids, err := list(ctx, c, "GetCallerIdentity", text, func(ctx context.Context, s *sdk, _ *string) ([]string, *string, error) {
		out, err := s.sts.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
		if err != nil {
			return nil, nil, err
		}
		return []string{aws.ToString(out.Account)}, nil, nil
	})
	if err != nil {
		return "", err
	}
	if len(ids) == 0 {
		return "", c.failed(nil, "GetCallerIdentity", errNoAccount)
	}
	return ids[0], nil
}

// Sessions returns the mirror sessions that the account may see: its own, and
// those of others to targets that it shares.
func (c *Client) Sessions(ctx context.Context) ([]MirrorSession, error) {
	return list(ctx, c, "DescribeTrafficMirrorSessions", mirrorSession,
		func(ctx context.Context, s *sdk, token *string) ([]types.TrafficMirrorSession, *string, error) {
			out, err := s.ec2.DescribeTrafficMirrorSessions(ctx, &ec2.DescribeTrafficMirrorSessionsInput{
				MaxResults: aws.Int32(ec2Page), NextToken: token,
			})
			if err != nil {
				return nil, nil, err
			}
			return out.TrafficMirrorSessions, out.NextToken, nil
		})
}

// Targets returns the account's mirror targets, and those that others share with
// it.
func (c *Client) Targets(ctx context.Context) ([]Target, error) {
	return list(ctx, c, "DescribeTrafficMirrorTargets", target,
		func(ctx context.Context, s *sdk, token *string) ([]types.TrafficMirrorTarget, *string, error) {
			out, err := s.ec2.DescribeTrafficMirrorTargets(ctx, &ec2.DescribeTrafficMirrorTargetsInput{
				MaxResults: aws.Int32(ec2Page), NextToken: token,
			})
			if err != nil {
				return nil, nil, err
			}
			return out.TrafficMirrorTargets, out.NextToken, nil
		})
}

// Interfaces returns the network interfaces with the given identifiers, less
// those that are not there.
func (c *Client) Interfaces(ctx context.Context, ids []string) ([]Interface, error) {
	return inBatches(ids, idsAtATime, func(batch []string) ([]Interface, error) {
		return c.interfaces(ctx, only("network-interface-id", batch...))
	})
}

// InterfacesOf returns the network interfaces that are attached to the given
// instances.
func (c *Client) InterfacesOf(ctx context.Context, instances []string) ([]Interface, error) {
	return inBatches(instances, idsAtATime, func(batch []string) ([]Interface, error) {
		return c.interfaces(ctx, only("attachment.instance-id", batch...))
	})
}

// InterfacesInUse returns all network interfaces of type interface that are
// attached to something: an instance, a task, a managed service.
func (c *Client) InterfacesInUse(ctx context.Context) ([]Interface, error) {
	return c.interfaces(ctx, only("interface-type", string(types.NetworkInterfaceTypeInterface)),
		only("status", string(types.NetworkInterfaceStatusInUse)))
}

func (c *Client) interfaces(ctx context.Context, filters ...types.Filter) ([]Interface, error) {
	return list(ctx, c, "DescribeNetworkInterfaces", networkInterface,
		func(ctx context.Context, s *sdk, token *string) ([]types.NetworkInterface, *string, error) {
			out, err := s.ec2.DescribeNetworkInterfaces(ctx, &ec2.DescribeNetworkInterfacesInput{
				Filters: filters, MaxResults: aws.Int32(ec2Page), NextToken: token,
			})
			if err != nil {
				return nil, nil, err
			}
			return out.NetworkInterfaces, out.NextToken, nil
		})
}

// only is a filter for items one of whose values is among those given. Asked for
// by identifier, items are refused all together when one of them is gone.
func only(name string, values ...string) types.Filter {
	return types.Filter{Name: &name, Values: values}
}

func mirrorSession(from *types.TrafficMirrorSession) (MirrorSession, bool) {
	m := MirrorSession{
		ID:          aws.ToString(from.TrafficMirrorSessionId),
		InterfaceID: aws.ToString(from.NetworkInterfaceId),
		TargetID:    aws.ToString(from.TrafficMirrorTargetId),
		FilterID:    aws.ToString(from.TrafficMirrorFilterId),
		OwnerID:     aws.ToString(from.OwnerId),
		Tags:        ec2Tags(from.Tags),
	}
	vni, ok1 := small(from.VirtualNetworkId, 1<<24-1)
	number, ok2 := small(from.SessionNumber, 1<<16-1)
	length, ok3 := small(from.PacketLength, 1<<16-1)
	m.VNI, m.Number, m.PacketLength = uint32(vni), number, length
	return m, m.ID != "" && m.InterfaceID != "" && from.VirtualNetworkId != nil && ok1 && ok2 && ok3
}

func target(from *types.TrafficMirrorTarget) (Target, bool) {
	t := Target{
		ID:          aws.ToString(from.TrafficMirrorTargetId),
		Type:        string(from.Type),
		InterfaceID: aws.ToString(from.NetworkInterfaceId),
	}
	return t, t.ID != ""
}

func networkInterface(from *types.NetworkInterface) (Interface, bool) {
	i := Interface{
		ID:          aws.ToString(from.NetworkInterfaceId),
		Type:        string(from.InterfaceType),
		OwnerID:     aws.ToString(from.OwnerId),
		VPCID:       aws.ToString(from.VpcId),
		SubnetID:    aws.ToString(from.SubnetId),
		AZID:        aws.ToString(from.AvailabilityZoneId),
		Description: aws.ToString(from.Description),
		Tags:        ec2Tags(from.TagSet),
	}
	if from.Attachment != nil {
		i.InstanceID = aws.ToString(from.Attachment.InstanceId)
		attached, ok := instant(from.Attachment.AttachTime)
		if !ok {
			return i, false
		}
		i.Attached = attached
	}
	private := []*string{from.PrivateIpAddress}
	for k := range from.PrivateIpAddresses {
		private = append(private, from.PrivateIpAddresses[k].PrivateIpAddress)
	}
	for k := range from.Ipv6Addresses {
		private = append(private, from.Ipv6Addresses[k].Ipv6Address)
	}
	var ok bool
	if i.Addresses, ok = addresses(private); !ok {
		return i, false
	}
	if aws.ToString(from.PrivateIpAddress) != "" {
		i.Primary = i.Addresses[0]
	}
	i.MAC, ok = mac(from.MacAddress)
	return i, i.ID != "" && ok && (!i.Primary.IsValid() || i.Primary.Is4())
}

func ec2Tags(from []types.Tag) map[string]string {
	return tags(from, func(tag *types.Tag) (key, value *string) { return tag.Key, tag.Value })
}
