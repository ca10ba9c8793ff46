package awsapi

import (
	"context"
	"strings"
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

// redact blots the credentials of s out of a text. A nil sdk has none.
func (s *sdk) redact(text string) string {
	if s == nil {
		return text
	}
	for _, k := range s.keys {
		last := k.last.Load()
		if last == nil {
			continue
		}
		for _, secret := range []string{last.SecretAccessKey, last.SessionToken, last.AccessKeyID} {
			if secret != "" {
				text = strings.ReplaceAll(text, secret, "***")
			}
		}
	}
	return text
}
