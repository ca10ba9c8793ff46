package awsfake

import (
	"cmp"
	"net/netip"
	"slices"
)

var rules = &noun[FilterRule]{
	name: "trafficMirrorFilterRule", missing: "InvalidTrafficMirrorFilterRuleId.NotFound",
	fields: map[string]func(FilterRule) []string{
		"traffic-mirror-filter-rule-id": func(r FilterRule) []string { return []string{r.ID} },
		"traffic-mirror-filter-id":      func(r FilterRule) []string { return []string{r.FilterID} },
		"rule-number":                   func(r FilterRule) []string { return number(&r.Number) },
		"rule-action":                   func(r FilterRule) []string { return []string{r.Action} },
		"traffic-direction":             func(r FilterRule) []string { return []string{r.Direction} },
		"protocol":                      func(r FilterRule) []string { return number(r.Protocol) },
		"source-cidr-block":             func(r FilterRule) []string { return []string{r.SourceCIDR} },
		"destination-cidr-block":        func(r FilterRule) []string { return []string{r.DestinationCIDR} },
		"description":                   func(r FilterRule) []string { return []string{r.Description} },
	},
}

type describeRulesIn struct {
	listing
	TrafficMirrorFilterID     string   `query:"TrafficMirrorFilterId"`
	TrafficMirrorFilterRuleID []string `query:"TrafficMirrorFilterRuleId"`
}

type describeRulesOut struct {
	Rules Set[FilterRule] `xml:"trafficMirrorFilterRuleSet"`
	Next  string          `xml:"nextToken,omitempty"`
}

func describeRules(c *call, in *describeRulesIn) (any, error) {
	if id := in.TrafficMirrorFilterID; id != "" && c.Filters[id] == nil {
		return nil, filters.absent(id)
	}
	all := make(map[string]FilterRule)
	for id, f := range c.Filters {
		if in.TrafficMirrorFilterID != "" && in.TrafficMirrorFilterID != id {
			continue
		}
		for _, r := range slices.Concat(f.Ingress, f.Egress) {
			all[r.ID] = r
		}
	}
	page, next, err := list(c, rules, all, in.TrafficMirrorFilterRuleID, in.listing)
	return describeRulesOut{page, next}, err
}

type ruleOut struct {
	Rule        FilterRule `xml:"trafficMirrorFilterRule"`
	ClientToken string     `xml:"clientToken,omitempty"`
}

type createRuleIn struct {
	TrafficMirrorFilterID string `query:"TrafficMirrorFilterId,required"`
	TrafficDirection      string `query:",required"`
	RuleNumber            int32  `query:",required"`
	RuleAction            string `query:",required"`
	Protocol              *int32
	DestinationPortRange  *Ports
	SourcePortRange       *Ports
	DestinationCIDRBlock  string `query:"DestinationCidrBlock,required"`
	SourceCIDRBlock       string `query:"SourceCidrBlock,required"`
	Description           string
	ClientToken           string
	TagSpecification      []tagSpecification
}

func createRule(c *call, in *createRuleIn) (any, error) {
	tags, err := tagsOf("traffic-mirror-filter-rule", in.TagSpecification)
	if err != nil {
		return nil, err
	}
	f := c.Filters[in.TrafficMirrorFilterID]
	if f == nil {
		return nil, filters.absent(in.TrafficMirrorFilterID)
	}
	if n := len(f.Ingress) + len(f.Egress); n >= cmp.Or(c.state.Quotas.RulesPerFilter, 10) {
		return nil, refuse("TrafficMirrorFilterRuleLimitExceeded", "Rules per filter limit reached (%d)", n+1)
	}
	made := FilterRule{
		FilterID: f.ID, Direction: in.TrafficDirection, Number: in.RuleNumber, Action: in.RuleAction, Protocol: in.Protocol,
		DestinationPorts: in.DestinationPortRange, SourcePorts: in.SourcePortRange,
		DestinationCIDR: in.DestinationCIDRBlock, SourceCIDR: in.SourceCIDRBlock, Description: in.Description, Tags: tags,
	}
	if err := f.check(&made); err != nil {
		return nil, err
	}
	made.ID = c.id("tmfr")
	f.set(made)
	return ruleOut{made, in.ClientToken}, nil
}

type modifyRuleIn struct {
	TrafficMirrorFilterRuleID string `query:"TrafficMirrorFilterRuleId,required"`
	TrafficDirection          string
	RuleNumber                int32
	RuleAction                string
	Protocol                  *int32
	DestinationPortRange      *Ports
	SourcePortRange           *Ports
	DestinationCIDRBlock      string `query:"DestinationCidrBlock"`
	SourceCIDRBlock           string `query:"SourceCidrBlock"`
	Description               *string
	RemoveField               []string
}

func modifyRule(c *call, in *modifyRuleIn) (any, error) {
	f, old := c.rule(in.TrafficMirrorFilterRuleID)
	if old == nil {
		return nil, rules.absent(in.TrafficMirrorFilterRuleID)
	}
	r := *old
	r.Direction = cmp.Or(in.TrafficDirection, r.Direction)
	r.Number = cmp.Or(in.RuleNumber, r.Number)
	r.Action = cmp.Or(in.RuleAction, r.Action)
	r.Protocol = cmp.Or(in.Protocol, r.Protocol)
	r.DestinationPorts = cmp.Or(in.DestinationPortRange, r.DestinationPorts)
	r.SourcePorts = cmp.Or(in.SourcePortRange, r.SourcePorts)
	r.DestinationCIDR = cmp.Or(in.DestinationCIDRBlock, r.DestinationCIDR)
	r.SourceCIDR = cmp.Or(in.SourceCIDRBlock, r.SourceCIDR)
	r.Description = *cmp.Or(in.Description, &r.Description)
	for _, field := range in.RemoveField {
		switch field {
		case "destination-port-range":
			r.DestinationPorts = nil
		case "source-port-range":
			r.SourcePorts = nil
		case "protocol":
			r.Protocol = nil
		case "description":
			r.Description = ""
		default:
			return nil, refuse("InvalidParameterValue", "Value (%s) for parameter RemoveFields is invalid.", field)
		}
	}
	if err := f.check(&r); err != nil {
		return nil, err
	}
	f.remove(r.ID)
	f.set(r)
	return ruleOut{Rule: r}, nil
}

type deleteRuleIn struct {
	TrafficMirrorFilterRuleID string `query:"TrafficMirrorFilterRuleId,required"`
}

type deleteRuleOut struct {
	ID string `xml:"trafficMirrorFilterRuleId"`
}

func deleteRule(c *call, in *deleteRuleIn) (any, error) {
	f, old := c.rule(in.TrafficMirrorFilterRuleID)
	if old == nil {
		return nil, rules.absent(in.TrafficMirrorFilterRuleID)
	}
	f.remove(in.TrafficMirrorFilterRuleID)
	return deleteRuleOut{in.TrafficMirrorFilterRuleID}, nil
}

// rule returns the rule and its filter, or nil. The rule is valid until the
// filter's rules change.
func (r *Region) rule(id string) (*MirrorFilter, *FilterRule) {
	for _, f := range r.Filters {
		for _, set := range []Set[FilterRule]{f.Ingress, f.Egress} {
			for i := range set {
				if set[i].ID == id {
					return f, &set[i]
				}
			}
		}
	}
	return nil, nil
}

func (f *MirrorFilter) set(r FilterRule) {
	set := &f.Ingress
	if r.Direction == "egress" {
		set = &f.Egress
	}
	*set = append(*set, r)
	slices.SortFunc(*set, func(a, b FilterRule) int { return cmp.Compare(a.Number, b.Number) })
}

func (f *MirrorFilter) remove(id string) {
	named := func(r FilterRule) bool { return r.ID == id }
	f.Ingress = slices.DeleteFunc(f.Ingress, named)
	f.Egress = slices.DeleteFunc(f.Egress, named)
}

// check refuses a rule that AWS would, beside the others of the filter.
func (f *MirrorFilter) check(r *FilterRule) error {
	source, err := netip.ParsePrefix(r.SourceCIDR)
	if err != nil {
		return refuse("InvalidParameterValue", "Value (%s) for parameter SourceCidrBlock is invalid.", r.SourceCIDR)
	}
	destination, err := netip.ParsePrefix(r.DestinationCIDR)
	if err != nil || source.Addr().Is4() != destination.Addr().Is4() {
		return refuse("InvalidParameterValue", "Value (%s) for parameter DestinationCidrBlock is invalid.", r.DestinationCIDR)
	}
	ports := r.Protocol != nil && (*r.Protocol == 6 || *r.Protocol == 17)
	for _, bad := range []struct {
		is   bool
		name string
	}{
		{r.Number < 1 || r.Number > 32766, "RuleNumber"},
		{r.Action != "accept" && r.Action != "reject", "RuleAction"},
		{r.Direction != "ingress" && r.Direction != "egress", "TrafficDirection"},
		{r.Protocol != nil && (*r.Protocol < 0 || *r.Protocol > 255), "Protocol"},
		{r.SourcePorts != nil && !(ports && r.SourcePorts.valid()), "SourcePortRange"},
		{r.DestinationPorts != nil && !(ports && r.DestinationPorts.valid()), "DestinationPortRange"},
	} {
		if bad.is {
			return refuse("InvalidParameterValue", "The value for parameter %s is invalid.", bad.name)
		}
	}
	for _, other := range slices.Concat(f.Ingress, f.Egress) {
		if other.ID != r.ID && other.Direction == r.Direction && other.Number == r.Number {
			return refuse("TrafficMirrorFilterRuleAlreadyExists", "%s rule %d of %s is %s", r.Direction, r.Number, f.ID, other.ID)
		}
	}
	return nil
}

func (p *Ports) valid() bool { return 0 <= p.From && p.From <= p.To && p.To <= 65535 }
