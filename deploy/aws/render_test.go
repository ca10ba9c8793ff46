package aws_test

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// A stack is a template with values for its parameters.
type stack struct {
	t        *testing.T
	template object
	values   map[string]any
}

// given are parameters as a user has them.
var given = map[string]map[string]any{
	"collector.yaml": {
		"Mode": "single", "VpcId": "vpc-0a", "VpcCidr": "10.9.0.0/16", "SubnetIds": []any{"subnet-0a", "subnet-0b"},
		"AvailabilityZone": "eu-central-1a", "SourceCidr": "10.0.0.0/16",
		"ReleaseBucket": "releases", "ReleaseKey": "0.1.0/periscope-linux-arm64.tar.gz", "ReleaseSha256": strings.Repeat("0a", 32),
		"AlarmTopicArn": "arn:aws:sns:eu-central-1:111122223333:alarms",
	},
	"mirror.yaml": {
		"CodeBucket": "releases", "CodeKey": "0.1.0/periscope-mirror-arm64.zip", "ChangesBucket": "changes",
		"TargetArns":    []any{"arn:aws:ec2:eu-central-1:111122223333:traffic-mirror-target/tmt-0a1b2c3d4e5f60718"},
		"FilterArns":    []any{"arn:aws:ec2:eu-central-1:111122223333:traffic-mirror-filter/tmf-0a1b2c3d4e5f60718"},
		"AlarmTopicArn": "arn:aws:sns:eu-central-1:111122223333:alarms",
	},
	"cross-account.yaml": {"CollectorRoleArn": "arn:aws:iam::111122223333:role/collector", "ExternalId": "a-word-of-yours"},
}

var pseudo = map[string]any{
	"AWS::AccountId": "111122223333", "AWS::Partition": "aws", "AWS::Region": "eu-central-1", "AWS::StackName": "periscope",
}

// noValue is what CloudFormation leaves out.
type noValue struct{}

// render returns the resources and outputs that a template has with the given
// parameters and these.
func render(t *testing.T, name string, more map[string]any) object {
	t.Helper()
	s := stack{t: t, template: load(t, name), values: maps.Clone(pseudo)}
	for parameter, declared := range at(t, s.template, "Parameters").(object) {
		s.values[parameter] = declared.(object)["Default"]
		if declared.(object)["Type"] == "CommaDelimitedList" && s.values[parameter] != nil {
			s.values[parameter] = []any{s.values[parameter]}
		}
	}
	maps.Copy(s.values, given[name])
	maps.Copy(s.values, more)
	for parameter, declared := range at(t, s.template, "Parameters").(object) {
		s.check(parameter, declared.(object))
	}
	rendered := object{}
	for _, section := range []string{"Resources", "Outputs"} {
		all := object{}
		for id, item := range at(t, s.template, section).(object) {
			if condition, ok := item.(object)["Condition"]; !ok || s.is(condition.(string)) {
				all[id] = s.value(item)
			}
		}
		rendered[section] = all
	}
	return rendered
}

// check says whether a parameter's value is one that it allows.
func (s *stack) check(parameter string, declared object) {
	value := s.values[parameter]
	if value == nil {
		s.t.Fatalf("%s has no value", parameter)
	}
	if pattern, ok := declared["AllowedPattern"]; ok && !regexp.MustCompile(pattern.(string)).MatchString(fmt.Sprint(value)) {
		s.t.Fatalf("%s: %v is not %s", parameter, value, pattern)
	}
	if allowed, ok := declared["AllowedValues"]; ok && !slices.Contains(allowed.([]any), value) {
		s.t.Fatalf("%s: %v is none of %v", parameter, value, allowed)
	}
}

func (s *stack) is(condition string) bool {
	return s.value(at(s.t, s.template, "Conditions", condition)).(bool)
}

// value evaluates what there is of intrinsic functions. Resources are their ids.
func (s *stack) value(v any) any {
	switch v := v.(type) {
	case []any:
		all := []any{}
		for _, item := range v {
			if item := s.value(item); item != any(noValue{}) {
				all = append(all, item)
			}
		}
		return all
	case object:
		for name, arguments := range v {
			if len(v) == 1 && (name == "Ref" || name == "Condition" || strings.HasPrefix(name, "Fn::")) {
				return s.call(name, arguments)
			}
		}
		all := object{}
		for key, item := range v {
			if item := s.value(item); item != any(noValue{}) {
				all[key] = item
			}
		}
		return all
	}
	return v
}

func (s *stack) call(name string, arguments any) any {
	switch name {
	case "Ref":
		return s.ref(arguments.(string))
	case "Condition":
		return s.is(arguments.(string))
	case "Fn::GetAtt":
		return arguments
	case "Fn::Sub":
		return s.sub(arguments)
	case "Fn::If":
		branches := arguments.([]any)
		if s.is(branches[0].(string)) {
			return s.value(branches[1])
		}
		return s.value(branches[2])
	}
	all := list(s.value(arguments))
	switch name {
	case "Fn::Base64":
		return all[0]
	case "Fn::Equals":
		return all[0] == all[1]
	case "Fn::Not":
		return !all[0].(bool)
	case "Fn::Select":
		return all[1].([]any)[all[0].(int)]
	case "Fn::Join":
		return strings.Join(text(s.t, all[1]), all[0].(string))
	case "Fn::FindInMap":
		return at(s.t, s.template, append([]string{"Mappings"}, text(s.t, all)...)...)
	}
	s.t.Fatalf("%s is not known", name)
	return nil
}

func (s *stack) ref(name string) any {
	if name == "AWS::NoValue" {
		return noValue{}
	}
	if value, ok := s.values[name]; ok {
		return value
	}
	return name
}

var substitution = regexp.MustCompile(`\$\{([^}]*)\}`)

func (s *stack) sub(arguments any) string {
	all := list(arguments)
	local := object{}
	if len(all) == 2 {
		local = s.value(all[1]).(object)
	}
	return substitution.ReplaceAllStringFunc(all[0].(string), func(found string) string {
		name := found[2 : len(found)-1]
		if literal, ok := strings.CutPrefix(name, "!"); ok {
			return "${" + literal + "}"
		}
		if value, ok := local[name]; ok {
			return fmt.Sprint(value)
		}
		return fmt.Sprint(s.ref(name))
	})
}

// resources returns those of a type, by id.
func resources(rendered object, kind string) object {
	all := object{}
	for id, r := range rendered["Resources"].(object) {
		if r.(object)["Type"] == kind {
			all[id] = r.(object)["Properties"]
		}
	}
	return all
}
