package awsapi_test

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/periscope-collector/periscope/internal/awsapi"
)

// policy holds the page of operations to the operations that were used: the
// collector's policy names those and no other.
func policy(t *testing.T, used []string) {
	t.Helper()
	services := func(operation string) string {
		switch {
		case operation == "GetCallerIdentity": // needs no permission
			return ""
		case strings.HasPrefix(operation, "List"), operation == "DescribeTasks":
			return "ecs:" + operation
		}
		return "ec2:" + operation
	}
	var want []string
	for _, operation := range used {
		if action := services(operation); action != "" {
			want = append(want, action)
		}
	}
	slices.Sort(want)
	documents := policies(t)
	if len(documents) != 3 {
		t.Fatalf("%d policies in docs/operations.md, not 3", len(documents))
	}
	for i, want := range [][]string{want, {"sts:AssumeRole"}, {"sts:AssumeRole"}} {
		if got := documents[i].actions(); !slices.Equal(got, want) {
			t.Errorf("policy %d of docs/operations.md allows %q, and the operations are %q", i+1, got, want)
		}
	}
}

// The page has every kind.
func TestKindsOnPage(t *testing.T) {
	for k := awsapi.None + 1; k < awsapi.NumKinds; k++ {
		if !strings.Contains(section(t), "\n| `"+k.String()+"` | ") {
			t.Errorf("docs/operations.md does not say what %v means", k)
		}
	}
}

type document struct {
	Version   string
	Statement []struct {
		Effect    string
		Action    json.RawMessage // a string or a list
		Resource  any
		Principal map[string]string
		Condition map[string]map[string]string
	}
}

func (d *document) actions() []string {
	var all []string
	for _, s := range d.Statement {
		var list []string
		var one string
		if json.Unmarshal(s.Action, &one) == nil {
			list = []string{one}
		} else {
			_ = json.Unmarshal(s.Action, &list) // what is neither gives nothing
		}
		all = append(all, list...)
	}
	slices.Sort(all)
	return all
}

// section returns what is below the heading "What AWS is asked" of the page.
func section(t *testing.T) string {
	t.Helper()
	page, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "\n## What AWS is asked\n")
	section, _, _ = strings.Cut(section, "\n## ")
	return section
}

// policies returns the section's JSON documents.
func policies(t *testing.T) []document {
	t.Helper()
	var all []document
	for i, part := range strings.Split(section(t), "```json\n") {
		if i == 0 {
			continue
		}
		text, _, _ := strings.Cut(part, "```")
		decoder := json.NewDecoder(strings.NewReader(text))
		decoder.DisallowUnknownFields()
		var d document
		if err := decoder.Decode(&d); err != nil || d.Version != "2012-10-17" {
			t.Fatalf("policy %d: version %q, %v", i, d.Version, err)
		}
		all = append(all, d)
	}
	return all
}
