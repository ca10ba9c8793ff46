package awsfake

import (
	"encoding/xml"
	"time"
)

// A State is all that the endpoint knows. Maps may be nil.
type State struct {
	Accounts map[string]*Account // by number, twelve digits
	Self     Self
	Quotas   Quotas
	Serial   uint64 // of the last thing made; ids come of it
}

// Self is the instance whose metadata is served; without an instance there is
// no metadata.
type Self struct{ Account, Region, Instance string }

// Quotas are the most of each; 0 is AWS's number.
type Quotas struct {
	Sessions, Targets, Filters int // of an account in a region; 10,000 each
	SessionsPerInterface       int // 3
	SourcesPerTarget           int // of a target that is an interface; 10
	RulesPerFilter             int // 10
}

// An Account is one AWS account.
type Account struct {
	Roles   map[string]Role    // by ARN: those that anyone may assume
	Regions map[string]*Region // by name
}

// A Role may be assumed by who gives its external id; "" asks for none.
type Role struct{ ExternalID string }

// A Region is what one account has in one region. The zero value is empty.
type Region struct {
	// By id.
	Sessions   map[string]*MirrorSession
	Targets    map[string]*MirrorTarget
	Filters    map[string]*MirrorFilter
	Interfaces map[string]*Interface
	Instances  map[string]*Instance
	VPCs       map[string]*VPC
	Subnets    map[string]*Subnet
	// By name.
	Buckets map[string]*Bucket
	// By ARN.
	Clusters        map[string]*Cluster
	Services        map[string]*Service
	TaskDefinitions map[string]*TaskDefinition
	Tasks           map[string]*Task
}

// A Set is a list that is in a reply even when it is empty.
type Set[T any] []T

// MarshalXML writes the list as EC2 does, each element an item.
func (s Set[T]) MarshalXML(e *xml.Encoder, start xml.StartElement) error {
	if err := e.EncodeToken(start); err != nil {
		return err
	}
	for _, item := range s {
		if err := e.EncodeElement(item, xml.StartElement{Name: xml.Name{Local: "item"}}); err != nil {
			return err
		}
	}
	return e.EncodeToken(start.End())
}

// A Tag is one of a resource. EC2 and ECS name its fields alike.
type Tag struct {
	Key   string `xml:"key" json:"key"`
	Value string `xml:"value" json:"value"`
}

// A MirrorSession is a traffic mirror session.
type MirrorSession struct {
	ID           string   `xml:"trafficMirrorSessionId"`
	TargetID     string   `xml:"trafficMirrorTargetId"`
	FilterID     string   `xml:"trafficMirrorFilterId"`
	InterfaceID  string   `xml:"networkInterfaceId"`
	OwnerID      string   `xml:"ownerId"`
	PacketLength *int32   `xml:"packetLength" json:",omitempty"` // bytes; nil: whole packets
	Number       int32    `xml:"sessionNumber"`
	VNI          uint32   `xml:"virtualNetworkId"`
	Description  string   `xml:"description,omitempty" json:",omitempty"`
	Tags         Set[Tag] `xml:"tagSet" json:",omitempty"`
}

// A MirrorTarget is a traffic mirror target: exactly one of interface, network
// load balancer and gateway load balancer endpoint.
type MirrorTarget struct {
	ID              string   `xml:"trafficMirrorTargetId"`
	InterfaceID     string   `xml:"networkInterfaceId,omitempty" json:",omitempty"`
	LoadBalancerARN string   `xml:"networkLoadBalancerArn,omitempty" json:",omitempty"`
	EndpointID      string   `xml:"gatewayLoadBalancerEndpointId,omitempty" json:",omitempty"`
	Type            string   `xml:"type"`
	Description     string   `xml:"description,omitempty" json:",omitempty"`
	OwnerID         string   `xml:"ownerId"`
	Tags            Set[Tag] `xml:"tagSet" json:",omitempty"`
	SharedWith      []string `xml:"-" json:",omitempty"` // accounts that may mirror to it
}

// A MirrorFilter is a traffic mirror filter. Rules are in the order of their
// numbers.
type MirrorFilter struct {
	ID          string          `xml:"trafficMirrorFilterId"`
	Ingress     Set[FilterRule] `xml:"ingressFilterRuleSet" json:",omitempty"`
	Egress      Set[FilterRule] `xml:"egressFilterRuleSet" json:",omitempty"`
	Services    Set[string]     `xml:"networkServiceSet" json:",omitempty"`
	Description string          `xml:"description,omitempty" json:",omitempty"`
	Tags        Set[Tag]        `xml:"tagSet" json:",omitempty"`
}

// A FilterRule is one rule of a filter.
type FilterRule struct {
	ID               string   `xml:"trafficMirrorFilterRuleId"`
	FilterID         string   `xml:"trafficMirrorFilterId"`
	Direction        string   `xml:"trafficDirection"` // ingress or egress
	Number           int32    `xml:"ruleNumber"`
	Action           string   `xml:"ruleAction"`                 // accept or reject
	Protocol         *int32   `xml:"protocol" json:",omitempty"` // nil: all
	DestinationPorts *Ports   `xml:"destinationPortRange" json:",omitempty"`
	SourcePorts      *Ports   `xml:"sourcePortRange" json:",omitempty"`
	DestinationCIDR  string   `xml:"destinationCidrBlock"`
	SourceCIDR       string   `xml:"sourceCidrBlock"`
	Description      string   `xml:"description,omitempty" json:",omitempty"`
	Tags             Set[Tag] `xml:"tagSet" json:",omitempty"`
}

// Ports is a range of ports, both ends included.
type Ports struct {
	From int32 `xml:"fromPort" query:"FromPort,required"`
	To   int32 `xml:"toPort" query:"ToPort,required"`
}

// An Interface is a network interface.
type Interface struct {
	ID               string      `xml:"networkInterfaceId"`
	SubnetID         string      `xml:"subnetId"`
	VPCID            string      `xml:"vpcId"`
	Zone             string      `xml:"availabilityZone"`
	ZoneID           string      `xml:"availabilityZoneId"`
	Description      string      `xml:"description"`
	OwnerID          string      `xml:"ownerId"`
	RequesterID      string      `xml:"requesterId,omitempty" json:",omitempty"`
	RequesterManaged bool        `xml:"requesterManaged"`
	Status           string      `xml:"status"` // in-use or available
	MAC              string      `xml:"macAddress"`
	Address          string      `xml:"privateIpAddress"`
	SourceDestCheck  bool        `xml:"sourceDestCheck"`
	Type             string      `xml:"interfaceType"`
	Attachment       *Attachment `xml:"attachment" json:",omitempty"`
	Addresses        Set[IPv4]   `xml:"privateIpAddressesSet"` // the primary one too
	IPv6             Set[IPv6]   `xml:"ipv6AddressesSet" json:",omitempty"`
	Tags             Set[Tag]    `xml:"tagSet" json:",omitempty"`
}

// An IPv4 is one private address of an interface.
type IPv4 struct {
	Address string `xml:"privateIpAddress"`
	Primary bool   `xml:"primary"`
}

// An IPv6 is one address of an interface.
type IPv6 struct {
	Address string `xml:"ipv6Address"`
}

// An Attachment is of an interface to an instance. That of a Fargate task has
// none, and another owner.
type Attachment struct {
	ID            string    `xml:"attachmentId"`
	InstanceID    string    `xml:"instanceId,omitempty" json:",omitempty"`
	InstanceOwner string    `xml:"instanceOwnerId"`
	Device        int32     `xml:"deviceIndex"`
	Status        string    `xml:"status"`
	Time          time.Time `xml:"attachTime"`
	Delete        bool      `xml:"deleteOnTermination"`
}

// An Instance is an EC2 instance. Its interfaces are those attached to it.
type Instance struct {
	ID       string        `xml:"instanceId"`
	Type     string        `xml:"instanceType"`
	State    InstanceState `xml:"instanceState"`
	Launched time.Time     `xml:"launchTime"`
	Zone     string        `xml:"placement>availabilityZone"`
	Address  string        `xml:"privateIpAddress,omitempty" json:",omitempty"`
	SubnetID string        `xml:"subnetId"`
	VPCID    string        `xml:"vpcId"`
	Tags     Set[Tag]      `xml:"tagSet" json:",omitempty"`
}

// An InstanceState is where an instance is in its life.
type InstanceState struct {
	Code int32  `xml:"code"`
	Name string `xml:"name"`
}

// A VPC is a virtual private cloud. CIDRs has the primary one too.
type VPC struct {
	ID      string           `xml:"vpcId"`
	OwnerID string           `xml:"ownerId"`
	State   string           `xml:"state"`
	CIDR    string           `xml:"cidrBlock"`
	CIDRs   Set[Association] `xml:"cidrBlockAssociationSet"`
	IPv6    Set[IPv6Block]   `xml:"ipv6CidrBlockAssociationSet" json:",omitempty"`
	Default bool             `xml:"isDefault"`
	Tags    Set[Tag]         `xml:"tagSet" json:",omitempty"`
}

// An Association is of an IPv4 network with a VPC.
type Association struct {
	ID    string `xml:"associationId"`
	CIDR  string `xml:"cidrBlock"`
	State string `xml:"cidrBlockState>state"`
}

// An IPv6Block is the association of an IPv6 network with a VPC or a subnet.
type IPv6Block struct {
	ID    string `xml:"associationId"`
	CIDR  string `xml:"ipv6CidrBlock"`
	State string `xml:"ipv6CidrBlockState>state"`
}

// A Subnet is part of a VPC.
type Subnet struct {
	ID      string         `xml:"subnetId"`
	ARN     string         `xml:"subnetArn"`
	VPCID   string         `xml:"vpcId"`
	OwnerID string         `xml:"ownerId"`
	State   string         `xml:"state"`
	CIDR    string         `xml:"cidrBlock"`
	IPv6    Set[IPv6Block] `xml:"ipv6CidrBlockAssociationSet" json:",omitempty"`
	Zone    string         `xml:"availabilityZone"`
	ZoneID  string         `xml:"availabilityZoneId"`
	Tags    Set[Tag]       `xml:"tagSet" json:",omitempty"`
}
