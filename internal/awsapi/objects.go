package awsapi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/periscope-collector/periscope/mirror/changes"
)

const (
	maxObject = 1 << 20 // bytes of an object that Get returns
	maxListed = 4 << 20 // bytes of a page: 1,000 keys of 1 KiB, with what stands around them
	s3Page    = 1000
)

// Objects are those of a bucket of S3 whose keys begin with a prefix, which is not
// part of the keys given and returned. Methods may be called from any goroutine.
type Objects struct {
	client         *Client
	bucket, prefix string // the prefix is "" or ends in a slash

	mu  sync.Mutex // guards what follows
	of  *sdk       // that api was made of
	api *s3.Client
}

var _ changes.Objects = (*Objects)(nil)

// OpenObjects returns the objects at a URL, s3://bucket or s3://bucket/prefix. It
// asks nothing. The bucket is asked for in the first region of the first account of
// cfg; its rate and time-out hold for each of its pages and objects.
func OpenObjects(url string, cfg Config) (*Objects, error) {
	path, ok := strings.CutPrefix(url, "s3://")
	bucket, prefix, _ := strings.Cut(path, "/")
	if !ok || bucket == "" || strings.Trim(bucket, "abcdefghijklmnopqrstuvwxyz0123456789.-") != "" {
		return nil, fmt.Errorf("%q names no bucket of S3; write s3://bucket/prefix", url)
	}
	if prefix = strings.Trim(prefix, "/"); prefix != "" {
		prefix += "/"
	}
	return &Objects{client: Open(cfg)[0], bucket: bucket, prefix: prefix}, nil
}

// Put makes an object. If there is one of that key the error is fs.ErrExist, and
// that one stays.
func (o *Objects) Put(ctx context.Context, key string, data []byte) error {
	var err error
	for range 3 {
		err = o.call(ctx, "PutObject", maxListed, func(ctx context.Context, api *s3.Client) error {
			_, err := api.PutObject(ctx, &s3.PutObjectInput{
				Bucket: &o.bucket, Key: aws.String(o.prefix + key), Body: bytes.NewReader(data), IfNoneMatch: aws.String("*"),
			})
			return err
		})
		if code, _ := CodeOf(err); code != "ConditionalRequestConflict" { // another one is being made right now
			break
		}
	}
	if code, _ := CodeOf(err); code == "PreconditionFailed" {
		err = fs.ErrExist
	}
	return o.about(key, err)
}

// Get returns an object of at most 1 MiB, changes.ErrTooLong for a longer one, and
// fs.ErrNotExist if there is none.
func (o *Objects) Get(ctx context.Context, key string) ([]byte, error) {
	var data []byte
	err := o.call(ctx, "GetObject", maxObject, func(ctx context.Context, api *s3.Client) error {
		out, err := api.GetObject(ctx, &s3.GetObjectInput{Bucket: &o.bucket, Key: aws.String(o.prefix + key)})
		if err != nil {
			return err
		}
		data, err = io.ReadAll(out.Body)
		return errors.Join(err, out.Body.Close())
	})
	code, _ := CodeOf(err)
	switch {
	case code == "NoSuchKey":
		err = fs.ErrNotExist
	case errors.Is(err, errTooLong):
		err = changes.ErrTooLong
	}
	if err != nil {
		return nil, o.about(key, err)
	}
	return data, nil
}

// List returns the keys that come after one, or all for "", in the order of their
// bytes: the first ones, at most limit, and fewer only if that is all.
func (o *Objects) List(ctx context.Context, after string, limit int) ([]string, error) {
	var keys []string
	in := &s3.ListObjectsV2Input{Bucket: &o.bucket, Prefix: &o.prefix}
	if after != "" {
		in.StartAfter = aws.String(o.prefix + after)
	}
	for len(keys) < limit {
		in.MaxKeys = aws.Int32(int32(min(s3Page, limit-len(keys))))
		var page []types.Object
		more := false
		err := o.call(ctx, "ListObjectsV2", maxListed, func(ctx context.Context, api *s3.Client) error {
			out, err := api.ListObjectsV2(ctx, in)
			if err != nil {
				return err
			}
			page, more = out.Contents, aws.ToBool(out.IsTruncated)
			return nil
		})
		if err != nil {
			return nil, o.about(after, err)
		}
		before := len(keys)
		for i := range page {
			if key, ok := strings.CutPrefix(aws.ToString(page[i].Key), o.prefix); ok && key > after && len(keys) < limit {
				after = key
				keys = append(keys, key)
			}
		}
		switch {
		case !more:
			return keys, nil
		case len(keys) == before:
			return nil, o.about(after, errNoProgress)
		}
		in.StartAfter = aws.String(o.prefix + after)
	}
	return keys, nil
}

var errNoProgress = errors.New("aws: a page of the list has no key after the last one; see what answers at the endpoint")

// Calls returns how many requests were sent, by operation, retries included. The
// caller owns the map.
func (o *Objects) Calls() map[string]uint64 { return o.client.Calls() }

// Close closes connections that are idle. The objects can be used further.
func (o *Objects) Close() { o.client.Close() }

// call makes one call, of whose answer at most limit bytes are read.
func (o *Objects) call(ctx context.Context, operation string, limit int64, do func(context.Context, *s3.Client) error) error {
	ctx = context.WithValue(ctx, leftKey{}, newLeft(limit))
	return o.client.call(ctx, operation, func(ctx context.Context, s *sdk) error { return do(ctx, o.connected(s)) })
}

// connected returns the SDK's client of S3 that goes with s. At an endpoint of
// one's own buckets have no names in DNS; they are part of the path there.
func (o *Objects) connected(s *sdk) *s3.Client {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.of != s {
		o.of, o.api = s, s3.NewFromConfig(s.config, func(options *s3.Options) {
			options.UsePathStyle = options.BaseEndpoint != nil
			options.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
			options.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
		})
	}
	return o.api
}

// about says which object an error is about.
func (o *Objects) about(key string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("s3://%s/%s%s: %w", o.bucket, o.prefix, key, err)
}
