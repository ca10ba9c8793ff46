package awsapi

import (
	"context"
	"slices"
	"sync/atomic"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// A keys provides credentials, and remembers the last ones so that no error
// repeats them. Any goroutine may use it.
type keys struct {
	from  aws.CredentialsProvider
	chain bool // from is the default chain
	last  atomic.Pointer[aws.Credentials]
}

func (k *keys) Retrieve(ctx context.Context) (aws.Credentials, error) {
	found, err := k.from.Retrieve(ctx)
	switch {
	case err == nil:
		k.last.Store(&found)
	case k.chain:
		err = &chainError{err}
	}
	return found, err
}

// A chainError says that the default chain has no credentials.
type chainError struct{ err error }

func (e *chainError) Error() string { return e.err.Error() }
func (e *chainError) Unwrap() error { return e.err }

// without reports whether s has never had credentials of the default chain, without
// which there is no call. A nil sdk is not known to have none.
func (s *sdk) without() bool { return s != nil && s.keys[0].last.Load() == nil }

// secrets returns the credentials that s has used. A nil sdk has none.
func (s *sdk) secrets() []string {
	var all []string
	if s == nil {
		return nil
	}
	for _, k := range s.keys {
		if last := k.last.Load(); last != nil {
			all = append(all, last.SecretAccessKey, last.SessionToken, last.AccessKeyID)
		}
	}
	return slices.DeleteFunc(all, func(secret string) bool { return secret == "" })
}
