package awsapi

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"unicode"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/smithy-go"
)

// A Kind says in a word what is wrong with a call. Every Kind is a metric label:
// add, never rename.
type Kind uint8

const (
	None          Kind = iota // no error
	Denied                    // the credentials are good, the policy says no
	Expired                   // AWS does not take the credentials, which are expired or revoked
	Throttled                 // AWS wants fewer requests
	Unreachable               // no answer in time, none at all, or one that the service failed (5xx)
	NoCredentials             // the SDK's default chain has none
	NoMetadata                // there are no instance metadata, or none may be read
	NotFound                  // what was asked for by its name is not there
	Other                     // anything else
	NumKinds
)

// String returns the kind's word, "" for None.
func (k Kind) String() string { return kinds[k].word }

var kinds = [NumKinds]struct{ word, remedy string }{
	Denied:        {"denied", "let the role's policy allow it"},
	Expired:       {"expired", "renew the credentials, which the next call reads again"},
	Throttled:     {"throttled", "it is tried again; see what else uses the account's rate"},
	Unreachable:   {"unreachable", "see to the route, the VPC endpoint, the proxy and the name resolution"},
	NoCredentials: {"no_credentials", "give the instance a role, or set AWS_PROFILE"},
	NoMetadata:    {"no_metadata", "allow them, with a hop limit of 2 for a container, or do without"},
	NotFound:      {"not_found", "it is gone, or in another region"},
	Other:         {"other", "see what AWS says of it"},
}

// codes are the error codes that name a kind, beside the SDK's own list of those
// that throttle. EC2's are in its error code page, ECS's and STS's among the common
// errors of each service.
var codes = map[string]Kind{
	"UnauthorizedOperation": Denied,
	"AccessDenied":          Denied,
	"AccessDeniedException": Denied,
	"NotAuthorized":         Denied,
	"OptInRequired":         Denied,
	"Blocked":               Denied,
	"PendingVerification":   Denied,
	"AllAccessDisabled":     Denied,

	"ExpiredToken":                Expired,
	"ExpiredTokenException":       Expired,
	"RequestExpired":              Expired,
	"AuthFailure":                 Expired,
	"InvalidClientTokenId":        Expired,
	"InvalidAccessKeyId":          Expired,
	"UnrecognizedClientException": Expired,
	"MissingAuthenticationToken":  Expired,
	"SignatureDoesNotMatch":       Expired,
	"InvalidSignatureException":   Expired,
	"IncompleteSignature":         Expired,

	"ClusterNotFoundException":  NotFound,
	"ResourceNotFoundException": NotFound,
	"NoSuchBucket":              NotFound,
	"NoSuchKey":                 NotFound,

	"RequestTimeout":          Unreachable,
	"RequestTimeoutException": Unreachable,
}

// KindOf returns the kind of an error of this package, which may be wrapped; None
// for nil, Other for any other error, and for a call that its caller cancelled.
func KindOf(err error) Kind {
	var f *failure
	switch {
	case err == nil:
		return None
	case errors.As(err, &f):
		return f.kind
	}
	return Other
}

var errNoAccount = errors.New("the answer names no account")

// classify returns the kind of an error of the SDK. What AWS said goes first: an
// error about credentials may be one that STS answered.
func classify(err error) Kind {
	var api smithy.APIError
	if errors.As(err, &api) {
		code := api.ErrorCode()
		if kind, ok := codes[code]; ok {
			return kind
		}
		if _, ok := retry.DefaultThrottleErrorCodes[code]; ok {
			return Throttled
		}
		if strings.HasSuffix(code, ".NotFound") {
			return NotFound
		}
	}
	var chain *chainError
	var answer interface{ HTTPStatusCode() int }
	var network net.Error
	switch {
	case errors.As(err, &chain):
		return NoCredentials
	case errors.As(err, &answer) && answer.HTTPStatusCode() >= 500:
		return Unreachable
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &network):
		return Unreachable
	}
	return Other
}

// A failure is an error of this package: a sentence for the operator, and beneath
// it what the SDK said, which is not for the eyes.
type failure struct {
	kind   Kind
	what   string // and where
	text   string // why
	remedy string // "" for the kind's
	err    error

	code, message string // of AWS's answer, verbatim but for secrets
}

func (f *failure) Error() string {
	return fmt.Sprintf("aws: %s: %s; %s", f.what, strings.TrimRight(f.text, ".;, "), cmp.Or(f.remedy, kinds[f.kind].remedy))
}

func (f *failure) Unwrap() error { return f.err }

// failed makes a failure of what went wrong with an operation, and forgets
// credentials that AWS does not take. s is nil if there was no call.
func (c *Client) failed(s *sdk, operation string, err error) error {
	if f, ok := err.(*failure); ok {
		return f
	}
	f := &failure{kind: classify(err), err: err}
	if f.kind == Unreachable && errors.Is(err, context.DeadlineExceeded) && s.without() {
		f.kind = NoCredentials // nothing was sent
	}
	if f.kind == Expired || f.kind == NoCredentials {
		c.forget(s)
	}
	// The innermost operation is the one that failed: AssumeRole, for example.
	service := ""
	for op := (*smithy.OperationError)(nil); errors.As(err, &op); err = op.Err {
		service, operation = op.Service(), op.Operation()
	}
	f.remedy = remedy(f.kind, service, operation, err)
	secrets := s.secrets()
	f.what, f.text = operation+c.where(), reason(err, secrets)
	var api smithy.APIError
	if errors.As(err, &api) && api.ErrorCode() != unknownCode {
		f.code, f.message = cut(hide(api.ErrorCode(), secrets), maxMessage), cut(hide(api.ErrorMessage(), secrets), maxMessage)
	}
	return f
}

// remedy says what to do about an error of an operation, where that is more than what
// its kind has; "" otherwise.
func remedy(kind Kind, service, operation string, err error) string {
	var api smithy.APIError
	errors.As(err, &api)
	var answer interface{ HTTPStatusCode() int }
	switch {
	case kind == Denied && service != "":
		return "let the role's policy allow " + permission(service, operation)
	case kind == Unreachable && errors.As(err, &answer) && answer.HTTPStatusCode() >= 500:
		return "AWS failed, and it is tried again"
	case kind == Other && api != nil && strings.HasPrefix(api.ErrorCode(), "TrafficMirror") && strings.HasSuffix(api.ErrorCode(), "LimitExceeded"):
		return "it is a quota: use another target or a load balancer as one, or make room"
	}
	return ""
}

// permission returns the action that a policy has to allow for an operation.
func permission(service, operation string) string {
	if operation == "ListObjectsV2" {
		operation = "ListBucket"
	}
	return strings.ToLower(service) + ":" + operation
}

// maxMessage bounds a message that is kept verbatim, in bytes: one of the longest,
// that encodes why a policy says no, has some 2 KB.
const maxMessage = 4 << 10

// unknownCode is the SDK's word for an answer without a code.
const unknownCode = "UnknownError"

// CodeOf returns the code and the message of AWS's answer that an error of this
// package is about, verbatim: at most 4 KiB of each, without credentials. They are
// empty if there was no such answer.
//
// The message is others' text: it may have any characters.
func CodeOf(err error) (code, message string) {
	var f *failure
	if errors.As(err, &f) {
		return f.code, f.message
	}
	return "", ""
}

// hide returns text without the secrets, as far as no signature begins.
func hide(text string, secrets []string) string {
	for _, secret := range secrets {
		text = strings.ReplaceAll(text, secret, "***")
	}
	text, _, _ = strings.Cut(text, "AWS4-")
	return text
}

func cut(text string, limit int) string {
	if len(text) > limit {
		text = strings.ToValidUTF8(text[:limit], "") + "..."
	}
	return text
}

// where names the client's account and region, as the end of a phrase.
func (c *Client) where() string {
	where := ""
	if region := c.Region(); region != "" {
		where = " in " + region
	}
	if c.account.RoleARN != "" {
		where += " as " + c.account.RoleARN
	}
	return where
}

// maxReason bounds what an error repeats of what others say, in bytes.
const maxReason = 300

// reason says in one line what the SDK's error means, without the secrets. Of an
// answer it repeats the code and the message, less what quotes the request's
// signature; of a request that got none the host, since a path may be a secret.
func reason(err error, secrets []string) string {
	var api smithy.APIError
	var request *url.Error
	text := ""
	switch {
	case errors.As(err, &api):
		text = said(api, err)
	case errors.Is(err, context.DeadlineExceeded):
		text = "no answer in time"
	case errors.As(err, &request):
		host := "the endpoint"
		if u, err := url.Parse(request.URL); err == nil && u.Host != "" {
			host = u.Host
		}
		text = "no answer from " + host + ": " + request.Err.Error()
	default:
		text = err.Error()
	}
	return cut(strings.Join(strings.FieldsFunc(hide(text, secrets), func(r rune) bool {
		return unicode.IsSpace(r) || !unicode.IsPrint(r)
	}), " "), maxReason)
}

// said repeats the code and the message of an answer.
func said(api smithy.APIError, err error) string {
	var answer interface{ HTTPStatusCode() int }
	switch code := api.ErrorCode(); {
	case strings.Contains(code, "Signature"):
		return code
	case code == unknownCode && errors.As(err, &answer):
		return fmt.Sprintf("status %d, and no reason", answer.HTTPStatusCode())
	default:
		return code + ": " + api.ErrorMessage()
	}
}
