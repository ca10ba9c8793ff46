package awsfake

import (
	"cmp"
	"slices"
)

var filters = &noun[*MirrorFilter]{
	name: "trafficMirrorFilter", missing: "InvalidTrafficMirrorFilterId.NotFound",
	fields: map[string]func(*MirrorFilter) []string{
		"description":              func(f *MirrorFilter) []string { return []string{f.Description} },
		"traffic-mirror-filter-id": func(f *MirrorFilter) []string { return []string{f.ID} },
	},
}

type describeFiltersIn struct {
	listing
	TrafficMirrorFilterID []string `query:"TrafficMirrorFilterId"`
}

type describeFiltersOut struct {
	Filters Set[*MirrorFilter] `xml:"trafficMirrorFilterSet"`
	Next    string             `xml:"nextToken,omitempty"`
}

func describeFilters(c *call, in *describeFiltersIn) (any, error) {
	page, next, err := list(c, filters, c.Filters, in.TrafficMirrorFilterID, in.listing)
	return describeFiltersOut{page, next}, err
}

type filterOut struct {
	Filter      *MirrorFilter `xml:"trafficMirrorFilter"`
	ClientToken string        `xml:"clientToken,omitempty"`
}

type createFilterIn struct {
	Description      string
	ClientToken      string
	TagSpecification []tagSpecification
}

func createFilter(c *call, in *createFilterIn) (any, error) {
	tags, err := tagsOf("traffic-mirror-filter", in.TagSpecification)
	if err != nil {
		return nil, err
	}
	if len(c.Filters) >= cmp.Or(c.state.Quotas.Filters, 10000) {
		return nil, refuse("TrafficMirrorFilterLimitExceeded", "Filter limit reached (%d)", len(c.Filters)+1)
	}
	made := &MirrorFilter{ID: c.id("tmf"), Description: in.Description, Tags: tags}
	return filterOut{put(&c.Filters, made.ID, made), in.ClientToken}, nil
}

type deleteFilterIn struct {
	TrafficMirrorFilterID string `query:"TrafficMirrorFilterId,required"`
}

type deleteFilterOut struct {
	ID string `xml:"trafficMirrorFilterId"`
}

func deleteFilter(c *call, in *deleteFilterIn) (any, error) {
	id := in.TrafficMirrorFilterID
	if c.Filters[id] == nil {
		return nil, filters.absent(id)
	}
	for session, s := range c.Sessions {
		if s.FilterID == id {
			return nil, refuse("TrafficMirrorFilterInUse", "%s is in use by %s", id, session)
		}
	}
	delete(c.Filters, id)
	return deleteFilterOut{id}, nil
}

type modifyServicesIn struct {
	TrafficMirrorFilterID string   `query:"TrafficMirrorFilterId,required"`
	Add                   []string `query:"AddNetworkService"`
	Remove                []string `query:"RemoveNetworkService"`
}

func modifyServices(c *call, in *modifyServicesIn) (any, error) {
	f := c.Filters[in.TrafficMirrorFilterID]
	if f == nil {
		return nil, filters.absent(in.TrafficMirrorFilterID)
	}
	for _, name := range slices.Concat(in.Add, in.Remove) {
		if name != "amazon-dns" {
			return nil, refuse("InvalidParameterValue", "Value (%s) for parameter NetworkServices is invalid.", name)
		}
	}
	f.Services = slices.DeleteFunc(f.Services, func(name string) bool { return slices.Contains(in.Remove, name) })
	for _, name := range in.Add {
		if !slices.Contains(f.Services, name) {
			f.Services = append(f.Services, name)
		}
	}
	return filterOut{Filter: f}, nil
}
