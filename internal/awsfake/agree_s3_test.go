package awsfake

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	s3sdk "github.com/aws/aws-sdk-go-v2/service/s3"
)

// TestAgreeOnObjects: the SDK and the command line, which has no conditions, make
// and are told the same. Each reads what the other made.
func TestAgreeOnObjects(t *testing.T) {
	clock := newClock()
	s := StartAt(t, clock.Now)
	sdk := newS3(t)
	cli := newCommandLine(t, s)
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("from the command line"), 0o600); err != nil {
		t.Fatal(err)
	}
	bucket, mine, theirs := aws.String("logs"), aws.String("p/sdk"), aws.String("p/cli")
	for _, step := range []struct {
		cli, code string
		sdk       func(context.Context) (any, error)
	}{
		{"create-bucket --bucket logs", "", func(ctx context.Context) (any, error) {
			return sdk.CreateBucket(ctx, &s3sdk.CreateBucketInput{Bucket: bucket})
		}},
		{"put-object --bucket logs --key p/cli --body " + file, "", func(ctx context.Context) (any, error) {
			return sdk.PutObject(ctx, &s3sdk.PutObjectInput{Bucket: bucket, Key: mine, Body: strings.NewReader("from the command line")})
		}},
		{"head-object --bucket logs --key p/sdk", "", func(ctx context.Context) (any, error) {
			return sdk.HeadObject(ctx, &s3sdk.HeadObjectInput{Bucket: bucket, Key: theirs})
		}},
		{"get-object --bucket logs --key p/sdk " + filepath.Join(dir, "got"), "", func(ctx context.Context) (any, error) {
			out, err := sdk.GetObject(ctx, &s3sdk.GetObjectInput{Bucket: bucket, Key: theirs})
			if err == nil {
				err = out.Body.Close()
				out.Body = nil
			}
			return out, err
		}},
		{"get-object --bucket logs --key none " + filepath.Join(dir, "none"), "NoSuchKey", func(ctx context.Context) (any, error) {
			return sdk.GetObject(ctx, &s3sdk.GetObjectInput{Bucket: bucket, Key: aws.String("none")})
		}},
		{"list-objects-v2 --no-paginate --bucket logs --prefix p/ --start-after p/a", "", func(ctx context.Context) (any, error) {
			return sdk.ListObjectsV2(ctx, &s3sdk.ListObjectsV2Input{Bucket: bucket, Prefix: aws.String("p/"), StartAfter: aws.String("p/a")})
		}},
		{"list-objects-v2 --bucket none", "NoSuchBucket", func(ctx context.Context) (any, error) {
			return sdk.ListObjectsV2(ctx, &s3sdk.ListObjectsV2Input{Bucket: aws.String("none")})
		}},
	} {
		out, err := step.sdk(t.Context())
		printed := cli.run(t, s, append([]string{"s3api"}, strings.Fields(step.cli)...)...)
		if got, _ := printed.failure(t); got != step.code || code(err) != step.code {
			t.Errorf("%s: the SDK has %v, the command line %q, want %q", step.cli, err, got, step.code)
		}
		if err != nil {
			continue
		}
		ours, others := leaves(t, must(json.Marshal(out))(t)), leaves(t, []byte(printed.Out))
		// They ask for different page sizes and encodings, and checksums come of headers.
		for _, all := range []map[string]string{ours, others} {
			maps.DeleteFunc(all, func(path, _ string) bool {
				return path == ".maxkeys" || path == ".encodingtype" || strings.HasPrefix(path, ".checksum") || path == ".metadata"
			})
		}
		if len(ours) == 0 || !maps.Equal(ours, others) {
			t.Errorf("%s: %v to the SDK, %v to the command line", step.cli, ours, others)
		}
	}
	if text, err := os.ReadFile(filepath.Join(dir, "got")); err != nil || string(text) != "from the command line" {
		t.Errorf("the command line got %q, %v", text, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what is not there was got: %v", err)
	}
	for operation, n := range map[string]int{"CreateBucket": 2, "PutObject": 2, "HeadObject": 2, "GetObject": 4, "ListObjectsV2": 4} {
		if got := s.Calls()[operation]; got != n {
			t.Errorf("%s was asked %d times, want %d", operation, got, n)
		}
	}
	for operation := range deeds {
		if s.Calls()[operation] == 0 {
			t.Errorf("nobody asked %s", operation)
		}
	}
}
