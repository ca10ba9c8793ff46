package discovery

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"hash/maphash"
	"slices"
	"strings"

	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/session"
)

// bind returns what a sender says of itself, said of the VNI and source that it
// came with and of nothing else, and cleaned as what AWS says is.
func bind(said *session.Entry, id session.Identity) session.Entry {
	s := &said.Workload
	w := packet.Workload{
		InterfaceID: word(s.InterfaceID), AccountID: word(s.AccountID), Region: word(s.Region), AZID: word(s.AZID),
		VPCID: word(s.VPCID), SubnetID: word(s.SubnetID), InstanceID: word(s.InstanceID),
		VPCCIDRs: prefixes(s.VPCCIDRs), SubnetCIDRs: prefixes(s.SubnetCIDRs), PacketLength: s.PacketLength,
		Cluster: clean(s.Cluster, maxLabelValue), ClusterARN: word(s.ClusterARN), Service: clean(s.Service, maxLabelValue),
		TaskARN: word(s.TaskARN), TaskDefinitionARN: word(s.TaskDefinitionARN), ContainerInstARN: word(s.ContainerInstARN),
		Labels: labels(s.Labels),
	}
	for _, c := range s.ContainerIDs {
		if c = word(c); c != "" && len(w.ContainerIDs) < maxContainers {
			w.ContainerIDs = append(w.ContainerIDs, c)
		}
	}
	slices.Sort(w.ContainerIDs)
	e := session.Entry{
		Name: clean(said.Name, maxName), VNI: id.VNI, Source: id.Source, MAC: said.MAC,
		From: said.From, Until: said.Until, Learned: true, Announced: true, Workload: w,
	}
	for _, a := range said.Addresses {
		if len(e.Addresses) < maxAddresses {
			e.Addresses = append(e.Addresses, a)
		}
	}
	slices.SortFunc(e.Addresses, func(a, b packet.Addr) int { return slices.Compare(a[:], b[:]) })
	if e.Name == "" || session.Reserved(e.Name) {
		e.Name = nameOfClaim(&e)
	}
	return e
}

// nameOfClaim returns the name of a sender that says none: its task's, as discovery
// calls it, else that of where it sends from.
func nameOfClaim(e *session.Entry) string {
	w := &e.Workload
	if id := last(w.TaskARN); id != "" {
		family, _, _ := strings.Cut(last(w.TaskDefinitionARN), ":")
		return clean(cmp.Or(w.Service, family, w.Cluster, "task")+"-"+id[:min(8, len(id))], maxName)
	}
	return fmt.Sprintf("sender-%d-%s", e.VNI, e.Source)
}

// An nth is one of the names of an identity.
type nth struct {
	session.Identity
	n int
}

// nameBeside returns a name of a claim whose own is taken: with the end of its MAC
// address, or if somebody has that too with what nobody can know before.
func (c *claims) nameBeside(n *claim, taken map[string]bool) string {
	name := session.NameApart(n.called, hex.EncodeToString(n.MAC[:]))
	for i := 0; taken[name]; i++ { // which as a rule is not so twice
		name = session.NameApart(n.called, fmt.Sprintf("%08x", uint32(maphash.Comparable(c.seed, nth{n.Identity(), i}))))
	}
	return name
}
