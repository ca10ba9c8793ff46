package aws_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

// names are those that a template declares and uses.
type names struct {
	parameters, conditions, mappings, resources, used map[string]bool
}

func namesOf(template object) *names {
	keys := func(section string) map[string]bool {
		all := make(map[string]bool)
		m, _ := template[section].(object)
		for key := range m {
			all[key] = true
		}
		return all
	}
	return &names{keys("Parameters"), keys("Conditions"), keys("Mappings"), keys("Resources"), make(map[string]bool)}
}

// TestReferences: what a template names is there, and what is there is used.
func TestReferences(t *testing.T) {
	for _, name := range templates {
		t.Run(name, func(t *testing.T) {
			template := load(t, name)
			n := namesOf(template)
			for _, section := range []string{"Conditions", "Resources", "Outputs"} {
				n.walk(t, template[section])
			}
			for _, declared := range []map[string]bool{n.parameters, n.conditions, n.mappings} {
				for key := range declared {
					if !n.used[key] {
						t.Errorf("%s is not used", key)
					}
				}
			}
			for id, r := range template["Resources"].(object) {
				if other, ok := r.(object)["DependsOn"]; ok && !n.resources[other.(string)] {
					t.Errorf("%s depends on %v, which is not there", id, other)
				}
			}
		})
	}
}

func (n *names) walk(t *testing.T, v any) {
	t.Helper()
	switch v := v.(type) {
	case []any:
		for _, item := range v {
			n.walk(t, item)
		}
	case object:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			n.function(t, key, v[key])
			n.walk(t, v[key])
		}
	}
}

func (n *names) function(t *testing.T, key string, arguments any) {
	t.Helper()
	switch key {
	case "Ref":
		n.ref(t, arguments.(string), nil)
	case "Fn::GetAtt":
		id, attribute, ok := strings.Cut(arguments.(string), ".")
		if !ok || attribute == "" || !n.resources[id] {
			t.Errorf("GetAtt %v is of nothing", arguments)
		}
	case "Fn::Sub":
		all := list(arguments)
		local := object{}
		if len(all) == 2 {
			local = all[1].(object)
		}
		for _, found := range substitution.FindAllStringSubmatch(all[0].(string), -1) {
			if !strings.HasPrefix(found[1], "!") {
				n.ref(t, found[1], local)
			}
		}
		for key := range local {
			if !strings.Contains(all[0].(string), "${"+key+"}") {
				t.Errorf("%s of a Sub is not used", key)
			}
		}
	case "Fn::If", "Condition":
		if id, ok := list(arguments)[0].(string); ok { // the condition of a policy is no name
			n.used[id] = true
			if !n.conditions[id] {
				t.Errorf("there is no condition %s", id)
			}
		}
	case "Fn::FindInMap":
		id := list(arguments)[0].(string)
		n.used[id] = true
		if !n.mappings[id] {
			t.Errorf("there is no mapping %s", id)
		}
	}
}

// ref is a name in a Ref or a Sub, the latter also of an attribute.
func (n *names) ref(t *testing.T, name string, local object) {
	t.Helper()
	n.used[name] = true
	id, _, _ := strings.Cut(name, ".")
	if _, ok := local[name]; !ok && pseudo[name] == nil && name != "AWS::NoValue" && !n.parameters[name] && !n.resources[id] {
		t.Errorf("%s is neither a parameter nor a resource", name)
	}
}

// TestShape: sections and attributes are those that CloudFormation has, and all that
// a user gives or gets says what it is.
func TestShape(t *testing.T) {
	sections := strings.Fields("AWSTemplateFormatVersion Description Parameters Conditions Mappings Resources Outputs")
	attributes := strings.Fields("Type Properties Condition DependsOn Metadata DeletionPolicy UpdateReplacePolicy CreationPolicy UpdatePolicy")
	for _, name := range templates {
		template := load(t, name)
		for section := range template {
			if !slices.Contains(sections, section) {
				t.Errorf("%s: there is no section %s", name, section)
			}
		}
		for id, r := range template["Resources"].(object) {
			for attribute := range r.(object) {
				if !slices.Contains(attributes, attribute) {
					t.Errorf("%s: %s has %s", name, id, attribute)
				}
			}
		}
		for id, output := range template["Outputs"].(object) {
			if output.(object)["Description"] == nil || output.(object)["Value"] == nil {
				t.Errorf("%s: output %s lacks a value or a description", name, id)
			}
		}
		if data := read(t, name); len(data) > 51200 {
			t.Errorf("%s has %d bytes; create-stack takes 51,200", name, len(data))
		}
	}
}
