package filter

import (
	"fmt"
	"net/netip"

	"github.com/periscope-collector/periscope/packet"
)

// awsDocument is what DescribeTrafficMirrorFilters says, as the AWS CLI prints
// it (EC2 API, TrafficMirrorFilter).
type awsDocument struct {
	Filters   []awsFilter `yaml:"TrafficMirrorFilters"`
	NextToken string      `yaml:"NextToken"`
}

type awsFilter struct {
	ID              string    `yaml:"TrafficMirrorFilterId"`
	Description     string    `yaml:"Description"`
	Ingress         []awsRule `yaml:"IngressFilterRules"`
	Egress          []awsRule `yaml:"EgressFilterRules"`
	NetworkServices []string  `yaml:"NetworkServices"`
	Tags            []awsTag  `yaml:"Tags"`
}

type awsRule struct {
	ID               string       `yaml:"TrafficMirrorFilterRuleId"`
	FilterID         string       `yaml:"TrafficMirrorFilterId"`
	Direction        direction    `yaml:"TrafficDirection"` // says what the list says
	Number           int          `yaml:"RuleNumber"`
	Action           action       `yaml:"RuleAction"`
	Protocol         *int         `yaml:"Protocol"`
	SourcePorts      awsPorts     `yaml:"SourcePortRange"`
	DestinationPorts awsPorts     `yaml:"DestinationPortRange"`
	Source           netip.Prefix `yaml:"SourceCidrBlock"`
	Destination      netip.Prefix `yaml:"DestinationCidrBlock"`
	Description      string       `yaml:"Description"`
	Tags             []awsTag     `yaml:"Tags"`
}

type awsPorts struct {
	From uint16 `yaml:"FromPort"`
	To   uint16 `yaml:"ToPort"`
}

type awsTag struct {
	Key   string `yaml:"Key"`
	Value string `yaml:"Value"`
}

// awsKeys are AWS's names of what a fault calls a field.
var awsKeys = map[string]string{
	"number": "RuleNumber", "action": "RuleAction", "direction": "TrafficDirection", "protocol": "Protocol",
	"source": "SourceCidrBlock", "destination": "DestinationCidrBlock",
	"source_ports": "SourcePortRange", "destination_ports": "DestinationPortRange",
}

// aws reads what the AWS CLI prints.
func (c *checker) aws() (*File, error) {
	var d awsDocument
	if err := c.doc.Decode(&d); err != nil {
		return nil, err
	}
	file := &File{Filters: make([]Filter, len(d.Filters))}
	names := make(map[string]*Filter, len(d.Filters))
	for i := range d.Filters {
		at := fmt.Sprintf("TrafficMirrorFilters[%d]", i)
		from, f := &d.Filters[i], &file.Filters[i]
		*f = Filter{Name: from.ID, Description: from.describe()}
		f.AmazonDNS = c.services(at+".NetworkServices", from.NetworkServices)
		for j := range from.Ingress {
			f.Rules = append(f.Rules, from.Ingress[j].rule(packet.Ingress))
		}
		for j := range from.Egress {
			f.Rules = append(f.Rules, from.Egress[j].rule(packet.Egress))
		}
		c.name(at+".TrafficMirrorFilterId", f, names)
		for j, fault := range f.faults() {
			list := "IngressFilterRules"
			if n := len(from.Ingress); j >= n {
				list, j = "EgressFilterRules", j-n
			}
			c.errorf(fmt.Sprintf("%s.%s[%d].%s", at, list, j, awsKeys[fault.field]), "%s", fault.message)
		}
	}
	return file, nil
}

// describe returns what people call the filter.
func (f *awsFilter) describe() string {
	for _, tag := range f.Tags {
		if tag.Key == "Name" && tag.Value != "" {
			return tag.Value
		}
	}
	return f.Description
}

func (r *awsRule) rule(d packet.Direction) Rule {
	rule := Rule{
		Number:           r.Number,
		Action:           Action(r.Action),
		Direction:        d,
		Protocol:         AllProtocols,
		Source:           r.Source,
		Destination:      r.Destination,
		SourcePorts:      Ports(r.SourcePorts),
		DestinationPorts: Ports(r.DestinationPorts),
		ID:               r.ID,
		Description:      r.Description,
	}
	if r.Protocol != nil {
		rule.Protocol = *r.Protocol
	}
	return rule
}
