package awsfake

import "strconv"

var interfaces = &noun[*Interface]{
	name: "networkInterface", missing: "InvalidNetworkInterfaceID.NotFound", exclusive: true,
	tags: func(i *Interface) []Tag { return i.Tags },
	fields: map[string]func(*Interface) []string{
		"network-interface-id": func(i *Interface) []string { return []string{i.ID} },
		"private-ip-address":   func(i *Interface) []string { return []string{i.Address} },
		"addresses.private-ip-address": func(i *Interface) (all []string) {
			for _, a := range i.Addresses {
				all = append(all, a.Address)
			}
			return all
		},
		"mac-address":       func(i *Interface) []string { return []string{i.MAC} },
		"description":       func(i *Interface) []string { return []string{i.Description} },
		"subnet-id":         func(i *Interface) []string { return []string{i.SubnetID} },
		"vpc-id":            func(i *Interface) []string { return []string{i.VPCID} },
		"owner-id":          func(i *Interface) []string { return []string{i.OwnerID} },
		"availability-zone": func(i *Interface) []string { return []string{i.Zone} },
		"requester-managed": func(i *Interface) []string { return []string{strconv.FormatBool(i.RequesterManaged)} },
		"requester-id":      func(i *Interface) []string { return []string{i.RequesterID} },
		"interface-type":    func(i *Interface) []string { return []string{i.Type} },
		"status":            func(i *Interface) []string { return []string{i.Status} },
		"attachment.status": func(i *Interface) []string {
			if i.Attachment == nil {
				return nil
			}
			return []string{i.Attachment.Status}
		},
		"attachment.instance-id": func(i *Interface) []string {
			if i.Attachment == nil {
				return nil
			}
			return []string{i.Attachment.InstanceID}
		},
	},
}

type describeInterfacesIn struct {
	listing
	NetworkInterfaceID []string `query:"NetworkInterfaceId"`
}

type describeInterfacesOut struct {
	Interfaces Set[*Interface] `xml:"networkInterfaceSet"`
	Next       string          `xml:"nextToken,omitempty"`
}

func describeInterfaces(c *call, in *describeInterfacesIn) (any, error) {
	page, next, err := list(c, interfaces, c.Interfaces, in.NetworkInterfaceID, in.listing)
	return describeInterfacesOut{page, next}, err
}

var instances = &noun[*Instance]{
	name: "instance", missing: "InvalidInstanceID.NotFound", exclusive: true,
	tags: func(i *Instance) []Tag { return i.Tags },
	fields: map[string]func(*Instance) []string{
		"instance-id":         func(i *Instance) []string { return []string{i.ID} },
		"instance-type":       func(i *Instance) []string { return []string{i.Type} },
		"instance-state-name": func(i *Instance) []string { return []string{i.State.Name} },
		"private-ip-address":  func(i *Instance) []string { return []string{i.Address} },
		"subnet-id":           func(i *Instance) []string { return []string{i.SubnetID} },
		"vpc-id":              func(i *Instance) []string { return []string{i.VPCID} },
	},
}

type describeInstancesIn struct {
	listing
	InstanceID []string `query:"InstanceId"`
}

type describeInstancesOut struct {
	Reservations Set[reservation] `xml:"reservationSet"`
	Next         string           `xml:"nextToken,omitempty"`
}

// A reservation is of one instance here.
type reservation struct {
	ID        string         `xml:"reservationId"`
	OwnerID   string         `xml:"ownerId"`
	Instances Set[*Instance] `xml:"instancesSet"`
}

func describeInstances(c *call, in *describeInstancesIn) (any, error) {
	page, next, err := list(c, instances, c.Instances, in.InstanceID, in.listing)
	out := describeInstancesOut{Next: next}
	for _, i := range page {
		out.Reservations = append(out.Reservations, reservation{"r" + i.ID[1:], c.account, Set[*Instance]{i}})
	}
	return out, err
}

var vpcs = &noun[*VPC]{
	name: "vpc", missing: "InvalidVpcID.NotFound",
	tags: func(v *VPC) []Tag { return v.Tags },
	fields: map[string]func(*VPC) []string{
		"vpc-id":   func(v *VPC) []string { return []string{v.ID} },
		"owner-id": func(v *VPC) []string { return []string{v.OwnerID} },
		"cidr":     func(v *VPC) []string { return []string{v.CIDR} },
		"state":    func(v *VPC) []string { return []string{v.State} },
	},
}

type describeVPCsIn struct {
	listing
	VPCID []string `query:"VpcId"`
}

type describeVPCsOut struct {
	VPCs Set[*VPC] `xml:"vpcSet"`
	Next string    `xml:"nextToken,omitempty"`
}

func describeVPCs(c *call, in *describeVPCsIn) (any, error) {
	page, next, err := list(c, vpcs, c.VPCs, in.VPCID, in.listing)
	return describeVPCsOut{page, next}, err
}

var subnets = &noun[*Subnet]{
	name: "subnet", missing: "InvalidSubnetID.NotFound",
	tags: func(s *Subnet) []Tag { return s.Tags },
	fields: map[string]func(*Subnet) []string{
		"subnet-id":         func(s *Subnet) []string { return []string{s.ID} },
		"vpc-id":            func(s *Subnet) []string { return []string{s.VPCID} },
		"owner-id":          func(s *Subnet) []string { return []string{s.OwnerID} },
		"cidr-block":        func(s *Subnet) []string { return []string{s.CIDR} },
		"availability-zone": func(s *Subnet) []string { return []string{s.Zone} },
		"state":             func(s *Subnet) []string { return []string{s.State} },
	},
}

type describeSubnetsIn struct {
	listing
	SubnetID []string `query:"SubnetId"`
}

type describeSubnetsOut struct {
	Subnets Set[*Subnet] `xml:"subnetSet"`
	Next    string       `xml:"nextToken,omitempty"`
}

func describeSubnets(c *call, in *describeSubnetsIn) (any, error) {
	page, next, err := list(c, subnets, c.Subnets, in.SubnetID, in.listing)
	return describeSubnetsOut{page, next}, err
}
