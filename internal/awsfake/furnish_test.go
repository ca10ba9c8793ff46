package awsfake

import (
	"net/netip"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

const role = "arn:aws:iam::444455556666:role/periscope"

// furnish makes what the script's ids name.
func furnish(t *testing.T, s *Server) {
	t.Helper()
	_, _, err := s.RunInstance(HomeAccount, HomeRegion, "collector", netip.Addr{})
	if err != nil {
		t.Fatal(err)
	}
	tags := []Tag{{"team", "shop"}}
	for _, service := range []string{"web", "web", "api"} {
		must(s.RunTask(Run{Account: HomeAccount, Region: HomeRegion, Cluster: "prod", Service: service, Containers: []string{"app", "log"}, Tags: tags}))(t)
	}
	old := must(s.RunTask(Run{Account: HomeAccount, Region: HomeRegion, Cluster: "prod", Service: "old"}))(t)
	must(s.StopTask(old.ARN))(t)
	s.Change(func(state *State) {
		r := state.Region(HomeAccount, HomeRegion)
		for _, v := range r.VPCs {
			v.CIDRs = append(v.CIDRs, Association{"vpc-cidr-assoc-2", "10.1.0.0/16", "associated"})
			v.IPv6 = Set[IPv6Block]{{"vpc-cidr-assoc-3", "2001:db8::/56", "associated"}}
		}
		for _, i := range r.Interfaces {
			i.IPv6 = Set[IPv6]{{"2001:db8::" + i.ID[len(i.ID)-2:]}}
		}
		state.Region("444455556666", HomeRegion)
		state.Accounts["444455556666"].Roles = map[string]Role{role: {ExternalID: "word"}}
	})
}

func only(name string, values ...string) types.Filter {
	return types.Filter{Name: &name, Values: values}
}

// tagged is the tags of what is made, keys and values in turn.
func tagged(kind types.ResourceType, pairs ...string) []types.TagSpecification {
	s := types.TagSpecification{ResourceType: kind}
	for i := 0; i < len(pairs); i += 2 {
		s.Tags = append(s.Tags, types.Tag{Key: &pairs[i], Value: &pairs[i+1]})
	}
	return []types.TagSpecification{s}
}
