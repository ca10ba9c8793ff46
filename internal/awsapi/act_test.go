package awsapi_test

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/periscope-collector/periscope/internal/awsapi"
)

func acted(operation, session string) answer {
	return answer{body: "<" + operation + "Response><requestId>0</requestId><trafficMirrorSession>" + session +
		"</trafficMirrorSession></" + operation + "Response>"}
}

// sent is the only request of an operation, less what all have.
func sent(t *testing.T, e *endpoint, operation string) map[string]string {
	t.Helper()
	asked := e.requests(operation)
	if len(asked) != 1 {
		t.Fatalf("%d requests", len(asked))
	}
	got := make(map[string]string)
	for key := range asked[0].form {
		got[key] = asked[0].form.Get(key)
	}
	maps.DeleteFunc(got, func(key, _ string) bool { return key == "Action" || key == "Version" })
	return got
}

func TestCreateSession(t *testing.T) {
	const operation = "CreateTrafficMirrorSession"
	for name, test := range map[string]struct {
		s    awsapi.MirrorSession
		want map[string]string // beside what every request has
	}{
		"whole packets, no tags": {awsapi.MirrorSession{}, nil},
		"cut, tags in their order": {awsapi.MirrorSession{PacketLength: 128, Tags: map[string]string{"b": "2", "a": "1", "": ""}},
			map[string]string{"PacketLength": "128", "TagSpecification.1.ResourceType": "traffic-mirror-session",
				"TagSpecification.1.Tag.1.Key": "", "TagSpecification.1.Tag.1.Value": "",
				"TagSpecification.1.Tag.2.Key": "a", "TagSpecification.1.Tag.2.Value": "1",
				"TagSpecification.1.Tag.3.Key": "b", "TagSpecification.1.Tag.3.Value": "2"}},
		"its id and owner are not sent": {awsapi.MirrorSession{ID: "tms-9", OwnerID: "9"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			e := serve(t, map[string][]answer{operation: {acted(operation, session1)}})
			test.s.InterfaceID, test.s.TargetID, test.s.FilterID, test.s.Number, test.s.VNI = "eni-1", "tmt-1", "tmf-1", 2, 662316
			got, err := e.client(t, awsapi.Config{}).CreateSession(t.Context(), test.s, "once")
			made := awsapi.MirrorSession{ID: "tms-1", InterfaceID: "eni-1", TargetID: "tmt-1", FilterID: "tmf-1", OwnerID: "111122223333",
				VNI: 662316, Number: 2, PacketLength: 8500, Tags: map[string]string{"team": "net"}}
			if err != nil || !reflect.DeepEqual(got, made) {
				t.Errorf("got %+v, %v; want %+v", got, err, made)
			}
			want := map[string]string{"NetworkInterfaceId": "eni-1", "TrafficMirrorTargetId": "tmt-1", "TrafficMirrorFilterId": "tmf-1",
				"SessionNumber": "2", "VirtualNetworkId": "662316", "ClientToken": "once"}
			maps.Copy(want, test.want)
			if got := sent(t, e, operation); !maps.Equal(got, want) {
				t.Errorf("sent %v, want %v", got, want)
			}
		})
	}
}

// An answer of success without a session that can be read is none.
func TestCreatedNothing(t *testing.T) {
	const operation = "CreateTrafficMirrorSession"
	for name, a := range map[string]answer{
		"nothing":       {body: "<" + operation + "Response></" + operation + "Response>"},
		"no id":         acted(operation, strings.Replace(session1, "tms-1", "", 1)),
		"another shape": {body: "<html></html>"},
	} {
		t.Run(name, func(t *testing.T) {
			e := serve(t, map[string][]answer{operation: {a}})
			got, err := e.client(t, awsapi.Config{}).CreateSession(t.Context(), awsapi.MirrorSession{}, "once")
			if code, _ := awsapi.CodeOf(err); err == nil || code != "" || got.ID != "" {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}

func TestModifySession(t *testing.T) {
	const operation = "ModifyTrafficMirrorSession"
	for name, test := range map[string]struct {
		length int
		key    string
		value  string
	}{"cut": {128, "PacketLength", "128"}, "whole packets": {0, "RemoveField.1", "packet-length"}} {
		t.Run(name, func(t *testing.T) {
			e := serve(t, map[string][]answer{operation: {acted(operation, session1)}})
			err := e.client(t, awsapi.Config{}).ModifySession(t.Context(), awsapi.MirrorSession{ID: "tms-1", InterfaceID: "eni-1", TargetID: "tmt-1",
				FilterID: "tmf-1", Number: 2, VNI: 7, PacketLength: test.length, Tags: map[string]string{"a": "1"}})
			want := map[string]string{"TrafficMirrorSessionId": "tms-1", "TrafficMirrorTargetId": "tmt-1", "TrafficMirrorFilterId": "tmf-1",
				"SessionNumber": "2", "VirtualNetworkId": "7", test.key: test.value}
			if got := sent(t, e, operation); err != nil || !maps.Equal(got, want) {
				t.Errorf("%v, sent %v, want %v", err, got, want)
			}
		})
	}
}

func TestDeleteSession(t *testing.T) {
	const operation = "DeleteTrafficMirrorSession"
	e := serve(t, map[string][]answer{operation: {
		{status: 500, code: "InternalError"}, {body: "<" + operation + "Response><trafficMirrorSessionId>tms-1</trafficMirrorSessionId></" + operation + "Response>"},
		{status: 400, code: "InvalidTrafficMirrorSessionId.NotFound", text: "gone"}}})
	c := e.client(t, awsapi.Config{})
	if err := c.DeleteSession(t.Context(), "tms-1"); err != nil || c.Calls()[operation] != 2 {
		t.Errorf("%v after %v", err, c.Calls())
	}
	if err := c.DeleteSession(t.Context(), "tms-1"); awsapi.KindOf(err) != awsapi.NotFound {
		t.Errorf("%v", err)
	}
	if id := e.requests(operation)[0].form.Get("TrafficMirrorSessionId"); id != "tms-1" {
		t.Errorf("sent %q", id)
	}
}

// What AWS says is kept as it is, but for what is secret.
func TestCodeOf(t *testing.T) {
	const operation = "DeleteTrafficMirrorSession"
	long := strings.Repeat("x", 5000)
	for name, test := range map[string]struct {
		answer        answer
		code, message string
	}{
		"verbatim":    {answer{status: 400, code: "InvalidParameterValue", text: "eni-1:\n no  source"}, "InvalidParameterValue", "eni-1:\n no  source"},
		"secret":      {answer{status: 400, code: "Weird", text: "of " + secret + "."}, "Weird", "of ***."},
		"signature":   {answer{status: 403, code: "Weird", text: "the ", echo: true}, "Weird", "the "},
		"long":        {answer{status: 400, code: "Weird", text: long}, "Weird", long[:4<<10] + "..."},
		"no code":     {answer{status: 418}, "", ""},
		"not refused": {answer{body: "{}"}, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			e := serve(t, map[string][]answer{operation: {test.answer}})
			err := e.client(t, awsapi.Config{}).DeleteSession(t.Context(), "tms-1")
			code, message := awsapi.CodeOf(err)
			if err == nil || code != test.code || message != test.message {
				t.Errorf("%q, %q of %v", code, message, err)
			}
			silent(t, e, err)
		})
	}
	if code, message := awsapi.CodeOf(nil); code != "" || message != "" {
		t.Errorf("%q, %q of nil", code, message)
	}
}

// What is listed without identifiers is asked for by what it is.
func TestInUse(t *testing.T) {
	e := serve(t, map[string][]answer{
		"DescribeNetworkInterfaces": {page("DescribeNetworkInterfaces", "networkInterfaceSet", "", interface1)},
		"DescribeInstances": {page("DescribeInstances", "reservationSet", "",
			"<instancesSet><item>"+instance1+"<instanceState><name>pending</name></instanceState></item></instancesSet>")},
	})
	c := e.client(t, awsapi.Config{})
	if got, err := c.InterfacesInUse(t.Context()); err != nil || len(got) != 1 {
		t.Errorf("got %v, %v", got, err)
	}
	if got, err := c.InterfacesOf(t.Context(), []string{"i-1", "i-2"}); err != nil || len(got) != 1 {
		t.Errorf("got %v, %v", got, err)
	}
	if got, err := c.RunningInstances(t.Context()); err != nil || len(got) != 1 || got[0].State != "pending" {
		t.Errorf("got %v, %v", got, err)
	}
	var filters []string
	for _, r := range slices.Concat(e.requests("DescribeNetworkInterfaces"), e.requests("DescribeInstances")) {
		text := ""
		for _, key := range slices.Sorted(maps.Keys(r.form)) {
			if strings.HasPrefix(key, "Filter.") {
				text += r.form.Get(key) + " "
			}
		}
		filters = append(filters, text)
	}
	want := []string{"interface-type interface status in-use ", "attachment.instance-id i-1 i-2 ", "instance-state-name pending running "}
	if !slices.Equal(filters, want) {
		t.Errorf("asked by %q, want %q", filters, want)
	}
}
