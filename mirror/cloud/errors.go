package cloud

import (
	"github.com/periscope-collector/periscope/internal/awsapi"
	"github.com/periscope-collector/periscope/mirror"
)

// gone are the codes that say that a call's session or interface is not there. That
// a target or a filter is not is a refusal: it is so until the rules change.
var gone = map[string]bool{
	"InvalidTrafficMirrorSessionId.NotFound": true,
	"InvalidNetworkInterfaceID.NotFound":     true,
	"InvalidNetworkInterfaceId.NotFound":     true,
}

// said returns an error that says what AWS did: that it refuses, that what it was
// asked about is gone, or, if it may do so another time, err as it is. That a policy
// denies a call is no refusal: it is the set-up that has to be mended.
func said(err error) error {
	code, message := awsapi.CodeOf(err)
	switch kind := awsapi.KindOf(err); {
	case gone[code]:
		return &answer{err, mirror.ErrGone}
	case code != "" && (kind == awsapi.NotFound || kind == awsapi.Other):
		return &answer{err, &mirror.Refusal{Code: code, Message: message}}
	}
	return err
}

// An answer is an error that reads as awsapi's, and is another one too.
type answer struct {
	error
	is error
}

func (a *answer) Unwrap() []error { return []error{a.error, a.is} }
