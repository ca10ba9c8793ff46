// Package aws_test holds the CloudFormation templates, the scripts and the page
// about them: that they are well formed, give no right that is not needed, encrypt
// what they keep, and that numbers which must fit do. It needs neither AWS nor a
// tool; "make lint" asks cfn-lint too, where there is one.
package aws_test

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"
)

var templates = []string{"collector.yaml", "cross-account.yaml", "mirror.yaml"}

type object = map[string]any

// load reads a template: intrinsic functions in their long form, and no key twice.
func load(t *testing.T, name string) object {
	t.Helper()
	var document yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(read(t, name)))
	if err := decoder.Decode(&document); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	root, err := plain(document.Content[0])
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return root.(object)
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// functions are those of CloudFormation that templates use.
var functions = []string{"Base64", "Equals", "FindInMap", "GetAtt", "If", "Join", "Not", "Select", "Sub"}

// plain turns a node into maps, lists and scalars.
func plain(n *yaml.Node) (any, error) {
	value, err := untagged(n)
	short, tagged := strings.CutPrefix(n.Tag, "!")
	switch {
	case err != nil:
		return nil, err
	case !tagged || strings.HasPrefix(n.Tag, "!!"):
		return value, nil
	case short == "Ref" || short == "Condition":
		return object{short: value}, nil
	case slices.Contains(functions, short):
		return object{"Fn::" + short: value}, nil
	}
	return nil, fmt.Errorf("line %d: unknown function !%s", n.Line, short)
}

func untagged(n *yaml.Node) (any, error) {
	switch n.Kind {
	case yaml.MappingNode:
		all := object{}
		for i := 0; i < len(n.Content); i += 2 {
			key := n.Content[i].Value
			if _, twice := all[key]; twice {
				return nil, fmt.Errorf("line %d: %s is there twice", n.Content[i].Line, key)
			}
			value, err := plain(n.Content[i+1])
			if err != nil {
				return nil, err
			}
			all[key] = value
		}
		return all, nil
	case yaml.SequenceNode:
		all := []any{}
		for _, item := range n.Content {
			value, err := plain(item)
			if err != nil {
				return nil, err
			}
			all = append(all, value)
		}
		return all, nil
	case yaml.ScalarNode:
		if !strings.HasPrefix(n.Tag, "!!") {
			return n.Value, nil
		}
		var value any
		err := n.Decode(&value)
		return value, err
	}
	return nil, fmt.Errorf("line %d: CloudFormation takes no aliases", n.Line)
}

// at follows keys through maps, and fails the test where there is none.
func at(t *testing.T, value any, path ...string) any {
	t.Helper()
	for i, key := range path {
		m, ok := value.(object)
		if value, ok = m[key], ok && m[key] != nil; !ok {
			t.Fatalf("nothing at %s", strings.Join(path[:i+1], "."))
		}
	}
	return value
}

// list returns a value that is a list, or the one that stands for a list of itself.
func list(value any) []any {
	if all, ok := value.([]any); ok {
		return all
	}
	return []any{value}
}

// text returns a list of strings, or one string, as a list.
func text(t *testing.T, value any) []string {
	t.Helper()
	var all []string
	for _, item := range list(value) {
		s, ok := item.(string)
		if !ok {
			t.Fatalf("%v is no string", item)
		}
		all = append(all, s)
	}
	return all
}
