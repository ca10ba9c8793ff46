package awsapi

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"sync/atomic"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
)

// maxAnswer bounds what the pages of a list may have together, in bytes. A mirror
// session takes 1 KB, with 50 long tags 20 KB; an account has at most 10,000 of
// them. A task takes 5 KB, and 100 are described at once.
const maxAnswer = 256 << 20

// A checkedHTTP is an HTTP client whose answers take from what the context of
// their requests has left, and have the shape that the SDK expects of success.
type checkedHTTP struct{ aws.HTTPClient }

// shapeWithin is how far from the start of an answer its shape is looked for, in
// bytes. An XML declaration goes before it, or nothing.
const shapeWithin = 512

var (
	errTooLong = errors.New("the answer is too long")
	errNotAWS  = errors.New("the answer is not one of AWS; see what answers at the endpoint, and the proxy")
)

func (c *checkedHTTP) Do(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		// The SDK closes a body when the answer comes, and one that writes itself
		// then fails what is still looking whether there is more to send.
		r.Body = struct{ io.ReadCloser }{r.Body}
	}
	resp, err := c.HTTPClient.Do(r)
	if err != nil {
		return resp, err
	}
	left, ok := r.Context().Value(leftKey{}).(*atomic.Int64)
	if !ok {
		return resp, nil
	}
	limited := &limitedBody{resp.Body, left}
	ahead := bufio.NewReaderSize(limited, shapeWithin)
	resp.Body = struct {
		io.Reader
		io.Closer
	}{ahead, limited}
	if shape := shapeOf(r); shape != "" && resp.StatusCode == http.StatusOK {
		head, _ := ahead.Peek(shapeWithin) // an error is met again when the SDK reads
		if !bytes.Contains(head, []byte(shape)) {
			_ = resp.Body.Close()
			return nil, errNotAWS
		}
	}
	return resp, nil
}

// shapeOf returns what an answer of success has near its start, "" for anything.
// The SDK takes XML of other elements, and no XML at all, for a list of nothing.
func shapeOf(r *http.Request) string {
	operation := awsmiddleware.GetOperationName(r.Context())
	switch {
	case operation == "":
		return ""
	case operation == "ListObjectsV2":
		return "<ListBucketResult"
	case operation == "PutObject", operation == "GetObject":
		return ""
	case r.Header.Get("X-Amz-Target") != "": // JSON
		return "{"
	}
	return "<" + operation + "Response"
}

func (c *checkedHTTP) closeIdle() {
	if h, ok := c.HTTPClient.(interface{ CloseIdleConnections() }); ok {
		h.CloseIdleConnections()
	}
}

// leftKey is the context's key for how many bytes may still be read, an
// *atomic.Int64.
type leftKey struct{}

func newLeft(n int64) *atomic.Int64 {
	left := new(atomic.Int64)
	left.Store(n)
	return left
}

type limitedBody struct {
	io.ReadCloser
	left *atomic.Int64
}

func (b *limitedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.left.Add(int64(-n)) < 0 {
		return 0, errTooLong
	}
	return n, err
}
