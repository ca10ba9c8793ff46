package awsapi_test

import (
	"context"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/periscope-collector/periscope/internal/awsapi"
)

const session1 = `<trafficMirrorSessionId>tms-1</trafficMirrorSessionId><networkInterfaceId>eni-1</networkInterfaceId>` +
	`<trafficMirrorTargetId>tmt-1</trafficMirrorTargetId><trafficMirrorFilterId>tmf-1</trafficMirrorFilterId>` +
	`<ownerId>111122223333</ownerId><sessionNumber>2</sessionNumber><virtualNetworkId>662316</virtualNetworkId>` +
	`<packetLength>8500</packetLength><description>d</description>` +
	`<tagSet><item><key>team</key><value>net</value></item></tagSet>`

func session(id, number, vni string) string {
	return "<trafficMirrorSessionId>" + id + "</trafficMirrorSessionId><networkInterfaceId>eni-1</networkInterfaceId>" +
		"<sessionNumber>" + number + "</sessionNumber><virtualNetworkId>" + vni + "</virtualNetworkId>"
}

func TestSessionsOfAllPages(t *testing.T) {
	e := serve(t, map[string][]answer{"DescribeTrafficMirrorSessions": {
		page("DescribeTrafficMirrorSessions", "trafficMirrorSessionSet", "two", session1),
		page("DescribeTrafficMirrorSessions", "trafficMirrorSessionSet", "three"), // EC2 may give empty pages
		page("DescribeTrafficMirrorSessions", "trafficMirrorSessionSet", "", session("tms-2", "1", "7")),
	}})
	c := e.client(t, awsapi.Config{})
	got, err := c.Sessions(t.Context())
	want := []awsapi.MirrorSession{
		{ID: "tms-1", InterfaceID: "eni-1", TargetID: "tmt-1", FilterID: "tmf-1", OwnerID: "111122223333",
			VNI: 662316, Number: 2, PacketLength: 8500, Tags: map[string]string{"team": "net"}},
		{ID: "tms-2", InterfaceID: "eni-1", VNI: 7, Number: 1},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("got %+v, %v; want %+v", got, err, want)
	}
	var tokens []string
	for _, r := range e.requests("DescribeTrafficMirrorSessions") {
		tokens = append(tokens, r.form.Get("NextToken"))
		if r.form.Get("MaxResults") != "1000" {
			t.Errorf("asked for %s results a page", r.form.Get("MaxResults"))
		}
	}
	if !reflect.DeepEqual(tokens, []string{"", "two", "three"}) {
		t.Errorf("pages asked for: %q", tokens)
	}
	if calls := c.Calls(); !reflect.DeepEqual(calls, map[string]uint64{"DescribeTrafficMirrorSessions": 3}) {
		t.Errorf("calls: %v", calls)
	}
	if c.Region() != "eu-central-1" {
		t.Errorf("region %q", c.Region())
	}
}

// What cannot be used is left out and counted, whatever it is.
func TestSessionsLeftOut(t *testing.T) {
	const last = "16777215" // the largest VNI
	e := serve(t, map[string][]answer{"DescribeTrafficMirrorSessions": {
		page("DescribeTrafficMirrorSessions", "trafficMirrorSessionSet", "two",
			"", // nothing at all
			strings.Replace(session("tms-x", "1", "7"), "eni-1", "", 1),
			"<trafficMirrorSessionId>tms-x</trafficMirrorSessionId><networkInterfaceId>eni-1</networkInterfaceId>",
			session("tms-x", "1", "16777216"), session("tms-x", "1", "99999999999"), session("tms-x", "1", "-1"), session("tms-x", "65536", "7"),
			session("tms-x", "1", "7")+"<packetLength>-1</packetLength>",
			session("tms-0", "0", "0")),
		page("DescribeTrafficMirrorSessions", "trafficMirrorSessionSet", "", session("", "1", "7"), session("tms-1", "65535", last)),
	}})
	c := e.client(t, awsapi.Config{})
	got, err := c.Sessions(t.Context())
	want := []awsapi.MirrorSession{
		{ID: "tms-0", InterfaceID: "eni-1"}, {ID: "tms-1", InterfaceID: "eni-1", VNI: 1<<24 - 1, Number: 65535},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("got %+v, %v; want %+v", got, err, want)
	}
	line := e.log.String()
	if !strings.Contains(line, "operation=DescribeTrafficMirrorSessions region=eu-central-1 items=9") {
		t.Errorf("logged: %s", line)
	}
	e.answers["DescribeTrafficMirrorSessions"] = []answer{
		page("DescribeTrafficMirrorSessions", "trafficMirrorSessionSet", "", make([]string, 9)...)}
	if _, err := c.Sessions(t.Context()); err != nil || e.log.String() != line {
		t.Errorf("%v, as many as before are told again: %s", err, e.log.String())
	}
}

// Numbers that do not fit, and answers that are not what they should be, end in
// an error.
func TestSessionsMalformed(t *testing.T) {
	for name, body := range map[string]string{
		"not a number": page("DescribeTrafficMirrorSessions", "trafficMirrorSessionSet", "",
			session("tms-1", "one", "7")).body,
		"cut":         page("DescribeTrafficMirrorSessions", "trafficMirrorSessionSet", "", session1).body[:200],
		"not XML":     "\x00\xff<<<",
		"HTML":        "<html><body>It works</body></html>",
		"JSON":        `{"sessions":[]}`,
		"nothing":     " ",
		"next itself": "",
	} {
		t.Run(name, func(t *testing.T) {
			answers := []answer{{body: body}}
			if body == "" {
				answers = []answer{page("DescribeTrafficMirrorSessions", "trafficMirrorSessionSet", "again", session1)}
			}
			e := serve(t, map[string][]answer{"DescribeTrafficMirrorSessions": answers})
			got, err := e.client(t, awsapi.Config{}).Sessions(t.Context())
			if n := len(e.requests("DescribeTrafficMirrorSessions")); n > 3 {
				t.Errorf("%d requests", n)
			}
			if got != nil || awsapi.KindOf(err) != awsapi.Other || strings.ContainsAny(err.Error(), "\n\x00") {
				t.Errorf("got %v, %v (%v)", got, err, awsapi.KindOf(err))
			}
		})
	}
}

const interface1 = `<networkInterfaceId>eni-1</networkInterfaceId><ownerId>111122223333</ownerId><vpcId>vpc-1</vpcId>` +
	`<subnetId>subnet-1</subnetId><availabilityZoneId>euc1-az1</availabilityZoneId><status>in-use</status><interfaceType>branch</interfaceType>` +
	`<description>arn:aws:ecs:eu-central-1:111122223333:attachment/a-1</description>` +
	`<macAddress>0a:11:22:33:44:55</macAddress><privateIpAddress>10.0.1.163</privateIpAddress>` +
	`<privateIpAddressesSet><item><privateIpAddress>10.0.1.163</privateIpAddress><primary>true</primary></item>` +
	`<item><privateIpAddress>10.0.1.164</privateIpAddress></item></privateIpAddressesSet>` +
	`<ipv6AddressesSet><item><ipv6Address>2001:db8::1</ipv6Address></item></ipv6AddressesSet>` +
	`<attachment><instanceId>i-1</instanceId><attachTime>2026-01-15T10:00:17.000Z</attachTime></attachment>` +
	`<tagSet><item><key>Name</key><value>web</value></item></tagSet>`

func TestInterfaces(t *testing.T) {
	bad := func(old, new string) string { return strings.Replace(interface1, old, new, 1) }
	e := serve(t, map[string][]answer{"DescribeNetworkInterfaces": {
		page("DescribeNetworkInterfaces", "networkInterfaceSet", "two", interface1,
			bad("eni-1", ""), bad("0a:11:22:33:44:55", "0a:11:22:33:44"), bad("0a:11:22:33:44:55", "00:00:00:00:fe:80:00:00"),
			bad("10.0.1.163", "10.0.1.256"), bad("10.0.1.163", "2001:db8::2"), bad("10.0.1.164", "fe80::1%eth0"),
			bad("2026-01", "9999-01"), bad("2026-01", "1969-01")),
		page("DescribeNetworkInterfaces", "networkInterfaceSet", "",
			"<networkInterfaceId>eni-2</networkInterfaceId><macAddress>0A-11-22-33-44-56</macAddress>"),
		page("DescribeNetworkInterfaces", "networkInterfaceSet", ""), // of the second batch, all gone
	}})
	ids := make([]string, 201)
	for i := range ids {
		ids[i] = fmt.Sprint("eni-", i)
	}
	got, err := e.client(t, awsapi.Config{}).Interfaces(t.Context(), ids)
	want := []awsapi.Interface{
		{ID: "eni-1", Type: "branch", OwnerID: "111122223333", VPCID: "vpc-1", SubnetID: "subnet-1", AZID: "euc1-az1",
			Description: "arn:aws:ecs:eu-central-1:111122223333:attachment/a-1", InstanceID: "i-1",
			MAC: [6]byte{0x0a, 0x11, 0x22, 0x33, 0x44, 0x55}, Primary: netip.MustParseAddr("10.0.1.163"),
			Addresses: []netip.Addr{netip.MustParseAddr("10.0.1.163"), netip.MustParseAddr("10.0.1.164"), netip.MustParseAddr("2001:db8::1")},
			Attached:  time.Date(2026, 1, 15, 10, 0, 17, 0, time.UTC), Tags: map[string]string{"Name": "web"}},
		{ID: "eni-2", MAC: [6]byte{0x0a, 0x11, 0x22, 0x33, 0x44, 0x56}},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("got %+v, %v; want %+v", got, err, want)
	}
	if !strings.Contains(e.log.String(), "items=8") {
		t.Errorf("logged: %s", e.log.String())
	}
	asked := e.requests("DescribeNetworkInterfaces")
	if len(asked) != 3 {
		t.Fatalf("%d requests", len(asked))
	}
	for key, want := range map[string]string{
		"Filter.1.Name": "network-interface-id", "Filter.1.Value.1": "eni-0", "Filter.1.Value.200": "eni-199",
		"Filter.1.Value.201": "", "NetworkInterfaceId.1": "",
	} {
		if got := asked[0].form.Get(key); got != want {
			t.Errorf("%s is %q, not %q", key, got, want)
		}
	}
	if got := asked[2].form.Get("Filter.1.Value.1"); got != "eni-200" {
		t.Errorf("the second batch begins with %q", got)
	}
}

// A batch that fails leaves those before it, and those after it unasked.
func TestBatchFails(t *testing.T) {
	e := serve(t, map[string][]answer{
		"DescribeNetworkInterfaces": {page("DescribeNetworkInterfaces", "networkInterfaceSet", "",
			"<networkInterfaceId>eni-1</networkInterfaceId><macAddress>02:00:00:00:00:01</macAddress>"),
			{status: 403, code: "UnauthorizedOperation"}},
	})
	got, err := e.client(t, awsapi.Config{}).Interfaces(t.Context(), make([]string, 401))
	if awsapi.KindOf(err) != awsapi.Denied || len(got) != 1 || got[0].ID != "eni-1" {
		t.Errorf("got %+v, %v", got, err)
	}
	if n := len(e.requests("DescribeNetworkInterfaces")); n != 2 {
		t.Errorf("%d requests", n)
	}
}

// No identifiers are no question: a filter without values would be for all.
func TestNoIdentifiers(t *testing.T) {
	e := serve(t, nil)
	c := e.client(t, awsapi.Config{})
	if got, err := c.Interfaces(context.Background(), nil); len(got) != 0 || err != nil {
		t.Error(got, err)
	}
	if got, err := c.Tasks(context.Background(), "prod", nil); len(got) != 0 || err != nil {
		t.Error(got, err)
	}
	if len(e.seen) != 0 {
		t.Errorf("asked: %v", e.seen)
	}
}
