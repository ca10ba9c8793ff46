package awsapi

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

var errNoSession = errors.New("the answer has no session, or one with values out of range")

// CreateSession makes a mirror session of s, whose own id and owner do not count,
// and returns it as AWS says it is. The token, of 1 to 64 ASCII characters, makes
// of equal calls one: the second makes nothing and returns what the first made,
// also when that was deleted since. With other values it is refused.
func (c *Client) CreateSession(ctx context.Context, s MirrorSession, token string) (MirrorSession, error) {
	const operation = "CreateTrafficMirrorSession"
	in := &ec2.CreateTrafficMirrorSessionInput{
		NetworkInterfaceId:    &s.InterfaceID,
		TrafficMirrorTargetId: &s.TargetID,
		TrafficMirrorFilterId: &s.FilterID,
		SessionNumber:         aws.Int32(int32(s.Number)),
		VirtualNetworkId:      aws.Int32(int32(s.VNI)),
		PacketLength:          length(s.PacketLength),
		ClientToken:           &token,
	}
	if len(s.Tags) > 0 {
		in.TagSpecifications = []types.TagSpecification{{ResourceType: types.ResourceTypeTrafficMirrorSession, Tags: toTags(s.Tags)}}
	}
	var made MirrorSession
	err := c.act(ctx, operation, func(ctx context.Context, sdk *sdk) error {
		out, err := sdk.ec2.CreateTrafficMirrorSession(ctx, in)
		if err != nil {
			return err
		}
		var ok bool
		if out.TrafficMirrorSession != nil {
			made, ok = mirrorSession(out.TrafficMirrorSession)
		}
		if !ok {
			return errNoSession
		}
		return nil
	})
	return made, err
}

// ModifySession has the session of s's id become s. Its interface and its tags
// stay what they are; a PacketLength of 0 takes the bound away, if the target
// allows that.
func (c *Client) ModifySession(ctx context.Context, s MirrorSession) error {
	in := &ec2.ModifyTrafficMirrorSessionInput{
		TrafficMirrorSessionId: &s.ID,
		TrafficMirrorTargetId:  &s.TargetID,
		TrafficMirrorFilterId:  &s.FilterID,
		SessionNumber:          aws.Int32(int32(s.Number)),
		VirtualNetworkId:       aws.Int32(int32(s.VNI)),
		PacketLength:           length(s.PacketLength),
	}
	if s.PacketLength == 0 {
		in.RemoveFields = []types.TrafficMirrorSessionField{types.TrafficMirrorSessionFieldPacketLength}
	}
	return c.act(ctx, "ModifyTrafficMirrorSession", func(ctx context.Context, sdk *sdk) error {
		_, err := sdk.ec2.ModifyTrafficMirrorSession(ctx, in)
		return err
	})
}

// DeleteSession deletes a mirror session.
func (c *Client) DeleteSession(ctx context.Context, id string) error {
	return c.act(ctx, "DeleteTrafficMirrorSession", func(ctx context.Context, sdk *sdk) error {
		_, err := sdk.ec2.DeleteTrafficMirrorSession(ctx, &ec2.DeleteTrafficMirrorSessionInput{TrafficMirrorSessionId: &id})
		return err
	})
}

// act makes one call that changes something.
func (c *Client) act(ctx context.Context, operation string, do func(context.Context, *sdk) error) error {
	return c.call(context.WithValue(ctx, leftKey{}, newLeft(c.longest)), operation, do)
}

// length returns a packet length as the SDK sends it, nil for whole packets.
func length(n int) *int32 {
	if n == 0 {
		return nil
	}
	return aws.Int32(int32(n))
}

// toTags returns tags in the order of their keys: equal tags are equal requests.
func toTags(from map[string]string) []types.Tag {
	to := make([]types.Tag, 0, len(from))
	for _, key := range slices.Sorted(maps.Keys(from)) {
		to = append(to, types.Tag{Key: aws.String(key), Value: aws.String(from[key])})
	}
	return to
}
