package awsfake

import (
	"slices"
	"strings"
)

// maxTags is how many tags a resource has at most.
const maxTags = 50

// A tagSpecification is the tags of what an operation makes.
type tagSpecification struct {
	ResourceType string `query:",required"`
	Tag          []Tag
}

// tagsOf returns the tags given to what is made, which is of the kind.
func tagsOf(kind string, given []tagSpecification) (Set[Tag], error) {
	var tags Set[Tag]
	for _, s := range given {
		if s.ResourceType != kind {
			return nil, refuse("InvalidParameterValue", "'%s' is not a valid taggable resource type for this operation.", s.ResourceType)
		}
		if err := add(&tags, s.Tag); err != nil {
			return nil, err
		}
	}
	return tags, nil
}

// add sets tags, in the order of their keys.
func add(tags *Set[Tag], more []Tag) error {
	set := slices.Clone(*tags)
	for _, t := range more {
		if strings.HasPrefix(t.Key, "aws:") || t.Key == "" || len(t.Key) > 128 || len(t.Value) > 256 {
			return refuse("InvalidParameterValue", "The tag key %q or its value is invalid. Keys starting with 'aws:' are reserved for internal use", t.Key)
		}
		i, found := slices.BinarySearchFunc(set, t.Key, func(a Tag, key string) int { return strings.Compare(a.Key, key) })
		if found {
			set[i] = t
		} else {
			set = slices.Insert(set, i, t)
		}
	}
	if len(set) > maxTags {
		return refuse("TagLimitExceeded", "The maximum number of tags is %d", maxTags)
	}
	*tags = set
	return nil
}

type createTagsIn struct {
	ResourceID []string `query:"ResourceId,required"`
	Tag        []Tag    `query:",required"`
}

type createTagsOut struct {
	Return bool `xml:"return"`
}

func createTags(c *call, in *createTagsIn) (any, error) {
	var sets []*Set[Tag]
	for _, id := range in.ResourceID {
		set := c.tags(id)
		if set == nil {
			return nil, refuse("InvalidID", "The ID '%s' is not valid", id)
		}
		sets = append(sets, set)
	}
	for _, set := range sets {
		if err := add(set, in.Tag); err != nil {
			return nil, err
		}
	}
	return createTagsOut{true}, nil
}

// tags returns the tags of what has the id, nil if nothing has.
func (r *Region) tags(id string) *Set[Tag] {
	if s := r.Sessions[id]; s != nil {
		return &s.Tags
	}
	if t := r.Targets[id]; t != nil {
		return &t.Tags
	}
	if f := r.Filters[id]; f != nil {
		return &f.Tags
	}
	if _, rule := r.rule(id); rule != nil {
		return &rule.Tags
	}
	if i := r.Interfaces[id]; i != nil {
		return &i.Tags
	}
	if i := r.Instances[id]; i != nil {
		return &i.Tags
	}
	if v := r.VPCs[id]; v != nil {
		return &v.Tags
	}
	if s := r.Subnets[id]; s != nil {
		return &s.Tags
	}
	return nil
}
