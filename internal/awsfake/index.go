package awsfake

import "net/netip"

// An index finds what a region has by what it is sought for. It is made when it
// is needed, and dropped when a test changes things by itself.
type index struct {
	addresses map[place]bool
	free      map[string]netip.Addr       // by subnet: none that is lower is free
	sessions  map[string][]*MirrorSession // by interface
}

// A place is an address in a VPC.
type place struct{ vpc, address string }

// index returns the region's.
func (c *call) index() *index {
	if x := c.indexes[c.Region]; x != nil {
		return x
	}
	x := &index{make(map[place]bool), make(map[string]netip.Addr), make(map[string][]*MirrorSession)}
	for _, i := range c.Interfaces {
		x.take(i)
	}
	for _, s := range c.Sessions {
		x.sessions[s.InterfaceID] = append(x.sessions[s.InterfaceID], s)
	}
	c.indexes[c.Region] = x
	return x
}

func (x *index) take(i *Interface) {
	for _, a := range i.Addresses {
		x.addresses[place{i.VPCID, a.Address}] = true
	}
}

func (x *index) release(i *Interface) {
	for _, a := range i.Addresses {
		delete(x.addresses, place{i.VPCID, a.Address})
	}
	delete(x.free, i.SubnetID)
}
