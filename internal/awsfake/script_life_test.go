package awsfake

import (
	"context"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"
	ec2sdk "github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// A mirrored is a session with a token.
type mirrored struct{ id, face, target, filter string }

// create asks for it, with a number that is 1 the first time.
func (m mirrored) create(number, code string) step {
	return step{
		"ec2 create-traffic-mirror-session --client-token once --network-interface-id " + m.face + " --traffic-mirror-target-id " + m.target +
			" --traffic-mirror-filter-id " + m.filter + " --packet-length 100 --virtual-network-id 77 --session-number " + number +
			" --tag-specifications ResourceType=traffic-mirror-session,Tags=[{Key=periscope:owner,Value=me},{Key=periscope:task,Value=1}]",
		func(ctx context.Context, c clients) (any, error) {
			n, err := strconv.Atoi(number)
			if err != nil {
				return nil, err
			}
			return c.ec2.CreateTrafficMirrorSession(ctx, &ec2sdk.CreateTrafficMirrorSessionInput{
				ClientToken: aws.String("once"), NetworkInterfaceId: &m.face, TrafficMirrorTargetId: &m.target, TrafficMirrorFilterId: &m.filter,
				PacketLength: aws.Int32(100), VirtualNetworkId: aws.Int32(77), SessionNumber: aws.Int32(int32(n)),
				TagSpecifications: tagged(types.ResourceTypeTrafficMirrorSession, "periscope:owner", "me", "periscope:task", "1"),
			})
		}, code,
	}
}

// life makes the session, changes and deletes it.
func (m mirrored) life() []step {
	return []step{
		m.create("1", ""), m.create("1", ""), // the second makes none
		m.create("2", "IdempotentParameterMismatch"),
		{
			"ec2 modify-traffic-mirror-session --traffic-mirror-session-id " + m.id + " --session-number 7 --virtual-network-id 78 --remove-fields packet-length",
			func(ctx context.Context, c clients) (any, error) {
				return c.ec2.ModifyTrafficMirrorSession(ctx, &ec2sdk.ModifyTrafficMirrorSessionInput{
					TrafficMirrorSessionId: &m.id, SessionNumber: aws.Int32(7), VirtualNetworkId: aws.Int32(78),
					RemoveFields: []types.TrafficMirrorSessionField{types.TrafficMirrorSessionFieldPacketLength},
				})
			}, "",
		}, {
			"ec2 describe-traffic-mirror-sessions",
			func(ctx context.Context, c clients) (any, error) {
				return c.ec2.DescribeTrafficMirrorSessions(ctx, nil)
			}, "",
		}, {
			"ec2 delete-traffic-mirror-session --traffic-mirror-session-id " + m.id,
			func(ctx context.Context, c clients) (any, error) {
				return c.ec2.DeleteTrafficMirrorSession(ctx, &ec2sdk.DeleteTrafficMirrorSessionInput{TrafficMirrorSessionId: &m.id})
			}, "",
		},
		m.create("1", ""), // it makes none again, and says what the first made
	}
}
