package mirror

import (
	"errors"
	"slices"
	"strings"
	"unicode/utf8"
)

// A Match says which interfaces a rule is about. Each list holds if one of its
// patterns does; all lists that are not empty must hold. Patterns have * for any
// characters and ? for one. What an interface does not have matches none of them. The
// zero value matches nothing.
type Match struct {
	All bool // every interface; the lists are empty

	Cluster          []string // name of it
	Service          []string // of ECS
	Family           []string // of the task definition
	TaskTag          []string // key, or key=value
	Instance         []string // id, of its own interfaces
	InstanceName     []string
	AutoScalingGroup []string
	Interface        []string // id
	Tag              []string // key, or key=value, of task, instance or interface
	VPC              []string // id
	Subnet           []string // id
}

// match is a Match as it is written: all, or a mapping.
type match struct {
	All              bool
	Cluster          []string `yaml:"cluster"`
	Service          []string `yaml:"service"`
	Family           []string `yaml:"family"`
	TaskTag          []string `yaml:"task_tag"`
	Instance         []string `yaml:"instance"`
	InstanceName     []string `yaml:"instance_name"`
	AutoScalingGroup []string `yaml:"auto_scaling_group"`
	Interface        []string `yaml:"interface"`
	Tag              []string `yaml:"tag"`
	VPC              []string `yaml:"vpc"`
	Subnet           []string `yaml:"subnet"`
}

// UnmarshalText reads all.
func (m *match) UnmarshalText(text []byte) error {
	if string(text) != "all" {
		return errors.New("must be a mapping such as {service: [web]}, or all for every interface")
	}
	m.All = true
	return nil
}

// A list is one key of a Match.
type list struct {
	key      string
	id       string // the kind of id its patterns are for, or ""
	patterns []string
	value    func(*Source) string // "" for none; nil for tags
}

// lists returns what a Match has by key; tags are last.
func (m *Match) lists() [11]list {
	return [...]list{
		{"cluster", "", m.Cluster, func(s *Source) string { return s.task().Cluster }},
		{"service", "", m.Service, func(s *Source) string { return s.task().Service }},
		{"family", "", m.Family, func(s *Source) string { return s.task().Family }},
		{"instance", "i", m.Instance, func(s *Source) string { return s.instance().ID }},
		{"instance_name", "", m.InstanceName, func(s *Source) string { return s.instance().Name }},
		{"auto_scaling_group", "", m.AutoScalingGroup, func(s *Source) string { return s.instance().Group }},
		{"interface", "eni", m.Interface, func(s *Source) string { return s.InterfaceID }},
		{"vpc", "vpc", m.VPC, func(s *Source) string { return s.VPCID }},
		{"subnet", "subnet", m.Subnet, func(s *Source) string { return s.SubnetID }},
		{"task_tag", "", m.TaskTag, nil},
		{"tag", "", m.Tag, nil},
	}
}

// Meets reports whether a rule with this match is about s.
func (m *Match) Meets(s *Source) bool {
	meets := m.All
	for _, l := range m.lists() {
		if len(l.patterns) == 0 {
			continue
		}
		switch l.key {
		case "task_tag":
			meets = tagged(l.patterns, s.task().Tags)
		case "tag":
			meets = tagged(l.patterns, s.task().Tags) || tagged(l.patterns, s.instance().Tags) || tagged(l.patterns, s.Tags)
		default:
			value := l.value(s)
			meets = value != "" && slices.ContainsFunc(l.patterns, func(p string) bool { return fits(p, value) })
		}
		if !meets {
			return false
		}
	}
	return meets
}

// tagged reports whether one of the patterns fits one of the tags.
func tagged(patterns []string, tags map[string]string) bool {
	for _, p := range patterns {
		key, value, valued := strings.Cut(p, "=")
		for k, v := range tags {
			if fits(key, k) && (!valued || fits(value, v)) {
				return true
			}
		}
	}
	return false
}

// fits reports whether a pattern fits the whole of s. What a star stands for grows
// only when nothing else helps, and only that of the last star, so it takes at most
// len(pattern) * len(s) steps.
func fits(pattern, s string) bool {
	star, from := -1, 0 // the last star, and the end of what it stands for
	p, i := 0, 0
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, from = p, i
			p++
		case p < len(pattern) && pattern[p] == '?':
			_, size := utf8.DecodeRuneInString(s[i:])
			p, i = p+1, i+size
		case p < len(pattern) && pattern[p] == s[i]:
			p, i = p+1, i+1
		case star >= 0:
			_, size := utf8.DecodeRuneInString(s[from:])
			from += size
			p, i = star+1, from
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}

// task returns the task of s, or an empty one.
func (s *Source) task() *Task {
	if s.Task == nil {
		return &Task{}
	}
	return s.Task
}

// instance returns the instance of s, or an empty one.
func (s *Source) instance() *Instance {
	if s.Instance == nil {
		return &Instance{}
	}
	return s.Instance
}
