package awsfake

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
)

// RunInstance starts an instance with one interface, whose name is a tag unless
// it is "". A zero address is the lowest free one.
func (f *Fake) RunInstance(account, region, name string, address netip.Addr) (Instance, Interface, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.on(account, region)
	subnet, err := c.subnet("")
	if err != nil {
		return Instance{}, Interface{}, err
	}
	card, err := c.attach(subnet, address)
	if err != nil {
		return Instance{}, Interface{}, err
	}
	i := &Instance{
		ID: c.id("i"), Type: "c6in.large", State: InstanceState{16, "running"}, Launched: c.now, Zone: subnet.Zone,
		Address: card.Address, SubnetID: subnet.ID, VPCID: subnet.VPCID,
	}
	if name != "" {
		i.Tags = Set[Tag]{{"Name", name}}
	}
	card.Attachment = &Attachment{
		ID: c.id("eni-attach"), InstanceID: i.ID, InstanceOwner: account, Status: "attached", Time: c.now, Delete: true,
	}
	put(&c.Instances, i.ID, i)
	return *i, *card, nil
}

// Mirror makes a session of the interface with the VNI, to a load balancer and
// through a filter that takes all, both made if the region has none.
func (f *Fake) Mirror(account, region, interfaceID string, vni uint32) (MirrorSession, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.on(account, region)
	target := lowest(c.Targets)
	if target == "" {
		target = c.id("tmt")
		put(&c.Targets, target, &MirrorTarget{
			ID: target, Type: "network-load-balancer", OwnerID: account,
			LoadBalancerARN: fmt.Sprintf("arn:aws:elasticloadbalancing:%s:%s:loadbalancer/net/mirror/%s", region, account, c.hex(16)),
		})
	}
	filter := lowest(c.Filters)
	if filter == "" {
		filter = c.id("tmf")
		made := put(&c.Filters, filter, &MirrorFilter{ID: filter, Services: Set[string]{"amazon-dns"}})
		for _, direction := range []string{"ingress", "egress"} {
			for n, cidr := range []string{"0.0.0.0/0", "::/0"} {
				made.set(FilterRule{
					ID: c.id("tmfr"), FilterID: filter, Direction: direction, Number: int32(n + 1), Action: "accept",
					SourceCIDR: cidr, DestinationCIDR: cidr,
				})
			}
		}
	}
	number := int32(1)
	for _, s := range c.index().sessions[interfaceID] {
		number = max(number, s.Number+1)
	}
	wanted := int32(vni)
	out, err := createSession(c, &createSessionIn{
		NetworkInterfaceID: interfaceID, TrafficMirrorTargetID: target, TrafficMirrorFilterID: filter,
		SessionNumber: number, VirtualNetworkID: &wanted,
	})
	if err != nil {
		return MirrorSession{}, err
	}
	return *out.(sessionOut).Session, nil
}

// DeleteInterface deletes an interface and its sessions, as AWS does. Without
// the interface it does nothing.
func (f *Fake) DeleteInterface(account, region, id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.on(account, region).detach(id)
}

func (c *call) detach(id string) {
	i := c.Interfaces[id]
	if i == nil {
		return
	}
	x := c.index()
	for _, s := range x.sessions[id] {
		delete(c.Sessions, s.ID)
		delete(c.hidden, s.ID)
	}
	delete(x.sessions, id)
	x.release(i)
	delete(c.Interfaces, id)
	delete(c.hidden, id)
}

// subnet returns the subnet of the id, or the first; where there is none, it
// makes a VPC with one of 65,531 addresses.
func (c *call) subnet(id string) (*Subnet, error) {
	if id == "" {
		id = lowest(c.Subnets)
	}
	if id != "" {
		if s := c.Subnets[id]; s != nil {
			return s, nil
		}
		return nil, fmt.Errorf("there is no subnet %s", id)
	}
	vpc := c.id("vpc")
	put(&c.VPCs, vpc, &VPC{
		ID: vpc, OwnerID: c.account, State: "available", CIDR: "10.0.0.0/16",
		CIDRs: Set[Association]{{c.id("vpc-cidr-assoc"), "10.0.0.0/16", "associated"}},
	})
	id = c.id("subnet")
	return put(&c.Subnets, id, &Subnet{
		ID: id, ARN: fmt.Sprintf("arn:aws:ec2:%s:%s:subnet/%s", c.region, c.account, id), VPCID: vpc, OwnerID: c.account,
		State: "available", CIDR: "10.0.0.0/16", Zone: c.region + "a", ZoneID: "use1-az1",
	}), nil
}

// attach makes an interface in the subnet, with the address or the lowest free
// one. AWS keeps the first four of a subnet, and the last.
func (c *call) attach(s *Subnet, address netip.Addr) (*Interface, error) {
	block, err := netip.ParsePrefix(s.CIDR)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.ID, err)
	}
	x := c.index()
	if !address.IsValid() {
		if address = x.free[s.ID]; !address.IsValid() {
			address = block.Masked().Addr()
			for range 4 {
				address = address.Next()
			}
		}
		for x.addresses[place{s.VPCID, address.String()}] {
			address = address.Next()
		}
		x.free[s.ID] = address
	}
	if x.addresses[place{s.VPCID, address.String()}] || !block.Contains(address) || !block.Contains(address.Next()) {
		return nil, fmt.Errorf("%s has no free address, or %s is not free", s.ID, address)
	}
	sum := c.serial()
	made := &Interface{
		ID: c.id("eni"), SubnetID: s.ID, VPCID: s.VPCID, Zone: s.Zone, ZoneID: s.ZoneID, OwnerID: c.account, Status: "in-use",
		MAC:     fmt.Sprintf("0a:%02x:%02x:%02x:%02x:%02x", byte(sum>>32), byte(sum>>24), byte(sum>>16), byte(sum>>8), byte(sum)),
		Address: address.String(), SourceDestCheck: true, Type: "interface",
		Addresses: Set[IPv4]{{address.String(), true}},
	}
	x.take(made)
	c.hide(made.ID)
	return put(&c.Interfaces, made.ID, made), nil
}

// lowest returns the first key in order, or "".
func lowest[T any](m map[string]T) string {
	if len(m) == 0 {
		return ""
	}
	return slices.Min(slices.Collect(maps.Keys(m)))
}
