package awsfake

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// A service is one of those that answer.
type service uint8

const (
	ec2 service = iota
	ecs
	sts
	s3
)

// scopes are what requests name the services by, in their credential scope.
var scopes = map[string]service{"ec2": ec2, "ecs": ecs, "sts": sts}

// An operation is what a service can be asked. decode reads the request's
// parameters into the value that a pointer points to.
type operation struct {
	service    service
	run        func(c *call, decode func(any) error) (any, error)
	idempotent bool // a ClientToken makes it happen once
}

// A call is one request, while the endpoint is locked.
type call struct {
	*Fake
	*Region
	account, region string
	token           string // of a session; "" for lasting credentials
	now             time.Time
}

// operations are all that there are.
var operations = map[string]operation{
	"CreateTrafficMirrorSession":               once(createSession),
	"ModifyTrafficMirrorSession":               on(ec2, modifySession),
	"DeleteTrafficMirrorSession":               on(ec2, deleteSession),
	"DescribeTrafficMirrorSessions":            on(ec2, describeSessions),
	"CreateTrafficMirrorTarget":                once(createTarget),
	"DeleteTrafficMirrorTarget":                on(ec2, deleteTarget),
	"DescribeTrafficMirrorTargets":             on(ec2, describeTargets),
	"CreateTrafficMirrorFilter":                once(createFilter),
	"DeleteTrafficMirrorFilter":                on(ec2, deleteFilter),
	"DescribeTrafficMirrorFilters":             on(ec2, describeFilters),
	"CreateTrafficMirrorFilterRule":            once(createRule),
	"ModifyTrafficMirrorFilterRule":            on(ec2, modifyRule),
	"DeleteTrafficMirrorFilterRule":            on(ec2, deleteRule),
	"DescribeTrafficMirrorFilterRules":         on(ec2, describeRules),
	"ModifyTrafficMirrorFilterNetworkServices": on(ec2, modifyServices),
	"CreateTags":                               on(ec2, createTags),
	"DescribeNetworkInterfaces":                on(ec2, describeInterfaces),
	"DescribeInstances":                        on(ec2, describeInstances),
	"DescribeVpcs":                             on(ec2, describeVPCs),
	"DescribeSubnets":                          on(ec2, describeSubnets),

	"ListClusters":           on(ecs, listClusters),
	"DescribeClusters":       on(ecs, describeClusters),
	"ListServices":           on(ecs, listServices),
	"DescribeServices":       on(ecs, describeServices),
	"ListTasks":              on(ecs, listTasks),
	"DescribeTasks":          on(ecs, describeTasks),
	"DescribeTaskDefinition": on(ecs, describeTaskDefinition),

	"GetCallerIdentity": on(sts, getCallerIdentity),
	"AssumeRole":        on(sts, assumeRole),
}

func on[In any](s service, run func(*call, *In) (any, error)) operation {
	return operation{service: s, run: func(c *call, decode func(any) error) (any, error) {
		in := new(In)
		if err := decode(in); err != nil {
			return nil, err
		}
		return run(c, in)
	}}
}

func once[In any](run func(*call, *In) (any, error)) operation {
	o := on(ec2, run)
	o.idempotent = true
	return o
}

// A request is what came, before it is known whether it can be answered.
type request struct {
	service   service
	operation string
	account   string
	region    string
	token     string // X-Amz-Security-Token
	form      url.Values
	body      []byte
}

const ecsTarget = "AmazonEC2ContainerServiceV20141113."

// parse reads a request of any of the services. The service is right even
// where there is an error.
func parse(r *http.Request, body []byte) (request, error) {
	in := request{body: body, token: r.Header.Get("X-Amz-Security-Token")}
	version := ""
	if target, ok := strings.CutPrefix(r.Header.Get("X-Amz-Target"), ecsTarget); ok {
		in.service, in.operation = ecs, target
	} else {
		values, err := url.ParseQuery(string(body))
		if err != nil {
			return in, refuse("MalformedQueryString", "The query string is malformed")
		}
		in.form, in.operation, version = values, values.Get("Action"), values.Get("Version")
		if version == "2011-06-15" {
			in.service = sts
		}
	}
	key, region, name := scope(r)
	if len(key) < 12 {
		return in, strangers[in.service]
	}
	in.account, in.region = key[len(key)-12:], region
	named, known := scopes[name]
	if o, ok := operations[in.operation]; !ok || !known || named != in.service || o.service != in.service ||
		in.service == ec2 && version != "2016-11-15" {
		return in, refuse(unknown[in.service], "The action %s is not valid for this web service.", in.operation)
	}
	return in, nil
}

// scope returns what the request's signature names: AWS4-HMAC-SHA256
// Credential=KEY/DATE/REGION/SERVICE/aws4_request, ... All is "" if it does not.
func scope(r *http.Request) (key, region, service string) {
	_, credential, _ := strings.Cut(r.Header.Get("Authorization"), "Credential=")
	parts := strings.Split(credential, "/")
	if len(parts) < 5 {
		return "", "", ""
	}
	return parts[0], parts[2], parts[3]
}

// unknown are the codes for an operation that there is not.
var unknown = map[service]string{ec2: "InvalidAction", ecs: "UnknownOperationException", sts: "InvalidAction"}

// decode reads the request's parameters into *to.
func (in *request) decode(to any) error {
	if in.service != ecs {
		return decodeQuery(in.form, to)
	}
	decoder := json.NewDecoder(bytes.NewReader(in.body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(to); err != nil {
		return refuse("SerializationException", "%v", err)
	}
	return nil
}

// encode writes the reply to the request.
func (in *request) encode(id string, out any) ([]byte, error) {
	switch in.service {
	case ecs:
		return json.Marshal(out)
	case sts:
		return encodeSTS(in.operation, id, out)
	}
	return encodeEC2(in.operation, id, out)
}

// An Error is what is answered in place of a result.
type Error struct {
	Code, Message string
	Status        int
}

// Error returns the code and the message.
func (e *Error) Error() string { return e.Code + ": " + e.Message }

// refuse returns an error of the client's, status 400.
func refuse(code, format string, args ...any) *Error {
	return &Error{code, fmt.Sprintf(format, args...), http.StatusBadRequest}
}

func quote(s string) []byte {
	b, _ := json.Marshal(s) // a string does not fail
	return b
}
