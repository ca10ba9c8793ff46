package awsfake

import (
	"net/http"
	"slices"
	"time"
)

// A Kind is what a fault does in place of an answer.
type Kind uint8

// The kinds. Each service, and instance metadata, says the first four with its
// own code and status.
const (
	Throttled Kind = iota
	Denied         // who asks is known, and may not; 403 of metadata
	Expired        // the credentials have
	Internal       // status 500
	Refused        // with the fault's own Error
	Hang           // no answer until the client leaves
	Reset          // the connection ends without an answer
	Broken         // the answer is cut in its middle
)

// Metadata is the name of instance metadata, in faults and in what is counted.
const Metadata = "metadata"

// A Fault is what some requests get in place of an answer.
type Fault struct {
	Operation       string // its name, or Metadata; "" is every one but that
	Account, Region string // whose; "" is everyone's
	Skip            int    // how often it waits before
	Times           int    // how often; 0: until it is removed
	Kind            Kind
	Error           Error // of Kind Refused: a quota's, say; Status 0 is 400
}

// A Delay is how long what is made stays hidden from Describe, as AWS's late
// consistency does it: from so many Describes, and for so long. It is one of
// sessions and interfaces.
type Delay struct {
	Describes int
	For       time.Duration
}

// refusals are what the services say to the first four kinds.
var refusals = [...]map[service]*Error{
	Throttled: {
		ec2: {"RequestLimitExceeded", "Request limit exceeded.", http.StatusServiceUnavailable},
		ecs: {"ThrottlingException", "Rate exceeded", http.StatusBadRequest},
		sts: {"Throttling", "Rate exceeded", http.StatusBadRequest},
		s3:  {"SlowDown", "Please reduce your request rate.", http.StatusServiceUnavailable},
	},
	Denied: {
		ec2: {"UnauthorizedOperation", "You are not authorized to perform this operation.", http.StatusForbidden},
		ecs: {"AccessDeniedException", "User is not authorized to perform this operation.", http.StatusBadRequest},
		sts: {"AccessDenied", "User is not authorized to perform this operation.", http.StatusForbidden},
		s3:  {"AccessDenied", "Access Denied", http.StatusForbidden},
	},
	Expired: {
		ec2: {"RequestExpired", "Request has expired.", http.StatusBadRequest},
		ecs: {"ExpiredTokenException", "The security token included in the request is expired", http.StatusBadRequest},
		sts: {"ExpiredToken", "The security token included in the request is expired", http.StatusForbidden},
		s3:  {"ExpiredToken", "The provided token has expired.", http.StatusBadRequest},
	},
	Internal: {
		ec2: {"InternalError", "An internal error has occurred", http.StatusInternalServerError},
		ecs: {"ServerException", "Service Unavailable. Please try again later.", http.StatusInternalServerError},
		sts: {"InternalFailure", "An internal error has occurred", http.StatusInternalServerError},
		s3:  {"InternalError", "We encountered an internal error. Please try again.", http.StatusInternalServerError},
	},
}

// strangers are what the services say to credentials of no account.
var strangers = map[service]*Error{
	ec2: {"AuthFailure", "AWS was not able to validate the provided access credentials", http.StatusUnauthorized},
	ecs: {"UnrecognizedClientException", "The security token included in the request is invalid.", http.StatusBadRequest},
	sts: {"InvalidClientTokenId", "The security token included in the request is invalid.", http.StatusForbidden},
	s3:  {"InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records.", http.StatusForbidden},
}

// Fail orders a fault, after those ordered before, and returns what removes it.
func (f *Fake) Fail(fault Fault) (remove func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	ordered := &fault
	f.faults = append(f.faults, ordered)
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.faults = slices.DeleteFunc(f.faults, func(other *Fault) bool { return other == ordered })
	}
}

// SetDelay hides what is made from now on for as long as d says; the zero Delay
// hides nothing.
func (f *Fake) SetDelay(d Delay) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.delay = d
}

// fault takes the first one for the operation.
func (f *Fake) fault(operation, account, region string) (Fault, bool) {
	for i, fault := range f.faults {
		if fault.Operation != operation && (fault.Operation != "" || operation == Metadata) ||
			fault.Account != "" && fault.Account != account || fault.Region != "" && fault.Region != region {
			continue
		}
		if fault.Skip > 0 {
			fault.Skip--
			continue
		}
		if fault.Times == 1 {
			f.faults = slices.Delete(f.faults, i, i+1)
		} else if fault.Times > 1 {
			fault.Times--
		}
		return *fault, true
	}
	return Fault{}, false
}

// error returns what a fault has the service say; nil where it says nothing.
func (f *Fault) error(s service) *Error {
	if f.Kind == Refused {
		e := f.Error
		if e.Status == 0 {
			e.Status = http.StatusBadRequest
		}
		return &e
	}
	if int(f.Kind) < len(refusals) {
		return refusals[f.Kind][s]
	}
	return nil
}

// A hiding is what is left of a delay.
type hiding struct {
	describes int
	until     time.Time
}

func (c *call) hide(id string) {
	if c.delay != (Delay{}) {
		c.hidden[id] = &hiding{c.delay.Describes, c.now.Add(c.delay.For)}
	}
}

// visible reports whether a Describe shows what has the id, and counts it.
func (c *call) visible(id string) bool {
	h := c.hidden[id]
	if h == nil {
		return true
	}
	if h.describes > 0 {
		h.describes--
		return false
	}
	if c.now.Before(h.until) {
		return false
	}
	delete(c.hidden, id)
	return true
}
