package awsfake

import (
	"cmp"
	"slices"
)

var targets = &noun[*MirrorTarget]{
	name: "trafficMirrorTarget", missing: "InvalidTrafficMirrorTargetId.NotFound",
	fields: map[string]func(*MirrorTarget) []string{
		"description":               func(t *MirrorTarget) []string { return []string{t.Description} },
		"network-interface-id":      func(t *MirrorTarget) []string { return []string{t.InterfaceID} },
		"network-load-balancer-arn": func(t *MirrorTarget) []string { return []string{t.LoadBalancerARN} },
		"owner-id":                  func(t *MirrorTarget) []string { return []string{t.OwnerID} },
		"traffic-mirror-target-id":  func(t *MirrorTarget) []string { return []string{t.ID} },
	},
}

type describeTargetsIn struct {
	listing
	TrafficMirrorTargetID []string `query:"TrafficMirrorTargetId"`
}

type describeTargetsOut struct {
	Targets Set[*MirrorTarget] `xml:"trafficMirrorTargetSet"`
	Next    string             `xml:"nextToken,omitempty"`
}

// describeTargets shows the account's targets, and those that others share with
// it.
func describeTargets(c *call, in *describeTargetsIn) (any, error) {
	all := make(map[string]*MirrorTarget)
	for _, account := range c.state.Accounts {
		if there := account.Regions[c.region]; there != nil {
			for id := range there.Targets {
				if t := c.target(id); t != nil {
					all[id] = t
				}
			}
		}
	}
	page, next, err := list(c, targets, all, in.TrafficMirrorTargetID, in.listing)
	return describeTargetsOut{page, next}, err
}

// target returns the target, of the account or shared with it; nil if there is
// none.
func (c *call) target(id string) *MirrorTarget {
	if t := c.Targets[id]; t != nil {
		return t
	}
	for _, account := range c.state.Accounts {
		there := account.Regions[c.region]
		if there == nil {
			continue
		}
		if t := there.Targets[id]; t != nil && slices.Contains(t.SharedWith, c.account) {
			return t
		}
	}
	return nil
}

type targetOut struct {
	Target      *MirrorTarget `xml:"trafficMirrorTarget"`
	ClientToken string        `xml:"clientToken,omitempty"`
}

type createTargetIn struct {
	NetworkInterfaceID            string `query:"NetworkInterfaceId"`
	NetworkLoadBalancerARN        string `query:"NetworkLoadBalancerArn"`
	GatewayLoadBalancerEndpointID string `query:"GatewayLoadBalancerEndpointId"`
	Description                   string
	ClientToken                   string
	TagSpecification              []tagSpecification
}

func createTarget(c *call, in *createTargetIn) (any, error) {
	tags, err := tagsOf("traffic-mirror-target", in.TagSpecification)
	if err != nil {
		return nil, err
	}
	if len(c.Targets) >= cmp.Or(c.state.Quotas.Targets, 10000) {
		return nil, refuse("TrafficMirrorTargetLimitExceeded", "Target limit reached (%d)", len(c.Targets)+1)
	}
	made := &MirrorTarget{
		InterfaceID: in.NetworkInterfaceID, LoadBalancerARN: in.NetworkLoadBalancerARN,
		EndpointID: in.GatewayLoadBalancerEndpointID, Description: in.Description, OwnerID: c.account, Tags: tags,
	}
	given := 0
	for kind, id := range map[string]string{
		"network-interface":              made.InterfaceID,
		"network-load-balancer":          made.LoadBalancerARN,
		"gateway-load-balancer-endpoint": made.EndpointID,
	} {
		if id != "" {
			made.Type = kind
			given++
		}
	}
	if given != 1 {
		return nil, refuse("InvalidParameterCombination", "Specify exactly one of NetworkInterfaceId, NetworkLoadBalancerArn and GatewayLoadBalancerEndpointId")
	}
	if id := made.InterfaceID; id != "" {
		if c.Interfaces[id] == nil {
			return nil, interfaces.absent(id)
		}
		for session, s := range c.Sessions {
			if s.InterfaceID == id {
				return nil, refuse("InvalidParameterValue", "%s is the source of %s and cannot be a target", id, session)
			}
		}
	}
	made.ID = c.id("tmt")
	return targetOut{put(&c.Targets, made.ID, made), in.ClientToken}, nil
}

type deleteTargetIn struct {
	TrafficMirrorTargetID string `query:"TrafficMirrorTargetId,required"`
}

type deleteTargetOut struct {
	ID string `xml:"trafficMirrorTargetId"`
}

func deleteTarget(c *call, in *deleteTargetIn) (any, error) {
	id := in.TrafficMirrorTargetID
	if c.Targets[id] == nil {
		return nil, targets.absent(id)
	}
	for _, account := range c.state.Accounts {
		there := account.Regions[c.region]
		if there == nil {
			continue
		}
		for session, s := range there.Sessions {
			if s.TargetID == id {
				return nil, refuse("TrafficMirrorTargetInUseException", "%s is in use by %s", id, session)
			}
		}
	}
	delete(c.Targets, id)
	return deleteTargetOut{id}, nil
}
