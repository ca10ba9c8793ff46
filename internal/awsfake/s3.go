package awsfake

import (
	"bytes"
	"cmp"
	"crypto/md5"
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// bucketLimit bounds what a bucket holds, in bytes. An object is bounded as a
// request's body is.
const bucketLimit = 256 << 20

// A Bucket has objects by key.
type Bucket struct {
	Objects map[string]*Object
	Bytes   int // of all of them
}

// An Object is one of S3.
type Object struct {
	Data     []byte
	Modified time.Time
}

func (o *Object) etag() string { return fmt.Sprintf(`"%x"`, md5.Sum(o.Data)) }

// MakeBucket makes a bucket, if it is not there.
func (f *Fake) MakeBucket(account, region, name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.on(account, region).bucket(name)
}

func (c *call) bucket(name string) *Bucket {
	if found := c.Buckets[name]; found != nil {
		return found
	}
	return put(&c.Buckets, name, &Bucket{})
}

// A deed is what a request of S3 wants. Buckets and keys are in its path.
type deed struct {
	*http.Request
	bucket, key string
	query       url.Values
	body        []byte
}

// deeds are the operations of S3.
var deeds = map[string]func(*call, *deed, http.Header) ([]byte, error){
	"CreateBucket":  createBucket,
	"PutObject":     putObject,
	"GetObject":     getObject,
	"HeadObject":    getObject,
	"ListObjectsV2": listObjects,
}

// name returns which operation it is, "" for one that there is not.
func (d *deed) name() string {
	switch {
	case d.bucket == "":
	case d.key == "" && d.Method == http.MethodPut && len(d.query) == 0:
		return "CreateBucket"
	case d.key == "" && d.Method == http.MethodGet && d.query.Get("list-type") == "2":
		return "ListObjectsV2"
	case d.key == "" || len(d.query) > 1 || len(d.query) == 1 && !d.query.Has("x-id"):
	case d.Method == http.MethodPut:
		return "PutObject"
	case d.Method == http.MethodGet:
		return "GetObject"
	case d.Method == http.MethodHead:
		return "HeadObject"
	}
	return ""
}

// objects answers a request of S3.
func (f *Fake) objects(w http.ResponseWriter, r *http.Request, body []byte) {
	d := &deed{Request: r, query: r.URL.Query(), body: body}
	d.bucket, d.key, _ = strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	operation := d.name()
	header := w.Header()

	f.mu.Lock()
	f.requests++
	id := fmt.Sprintf("%016X", f.requests)
	if operation != "" {
		f.calls[operation]++
	}
	key, region, _ := scope(r)
	account := ""
	if len(key) >= 12 {
		account = key[len(key)-12:]
	}
	fault, faulty := f.fault(operation, account, region)
	var out []byte
	var err error
	if e := fault.error(s3); faulty && e != nil {
		err = e
	} else if !faulty || fault.Kind == Broken {
		out, err = f.do(operation, account, region, d, header)
	}
	f.mu.Unlock()

	status := http.StatusOK
	if err != nil {
		clear(header)
		header.Set("Content-Type", "application/xml")
		status, out = encodeError(s3, id, err)
	}
	if faulty && misbehave(r, fault.Kind, &out) {
		return
	}
	header.Set("X-Amz-Request-Id", id)
	if header.Get("Content-Length") == "" {
		header.Set("Content-Length", strconv.Itoa(len(out)))
	}
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(out) // the client may have left
	}
}

// do runs the operation. A name is one bucket's, whoever asks.
func (f *Fake) do(operation, account, region string, d *deed, header http.Header) ([]byte, error) {
	if f.state.Accounts[account] == nil {
		return nil, strangers[s3]
	}
	if deeds[operation] == nil {
		return nil, &Error{"NotImplemented", "A header you provided implies functionality that is not implemented", http.StatusNotImplemented}
	}
	for owner, a := range f.state.Accounts {
		for where, there := range a.Regions {
			switch {
			case there.Buckets[d.bucket] == nil || owner == account && where == region:
			case operation == "CreateBucket":
				return nil, &Error{"BucketAlreadyExists", "The requested bucket name is not available.", http.StatusConflict}
			case owner != account:
				return nil, refusals[Denied][s3]
			default:
				return nil, &Error{"PermanentRedirect", "The bucket you are attempting to access must be addressed using the specified endpoint.",
					http.StatusMovedPermanently}
			}
		}
	}
	c := f.on(account, region)
	if operation != "CreateBucket" && c.Buckets[d.bucket] == nil {
		return nil, &Error{"NoSuchBucket", "The specified bucket does not exist", http.StatusNotFound}
	}
	return deeds[operation](c, d, header)
}

func createBucket(c *call, d *deed, header http.Header) ([]byte, error) {
	c.bucket(d.bucket)
	header.Set("Location", "/"+d.bucket)
	return nil, nil
}

func putObject(c *call, d *deed, header http.Header) ([]byte, error) {
	data, err := d.data()
	if err != nil {
		return nil, err
	}
	b := c.Buckets[d.bucket]
	old := b.Objects[d.key]
	switch condition := d.Header.Get("If-None-Match"); {
	case condition != "" && condition != "*":
		return nil, &Error{"NotImplemented", "A header you provided implies functionality that is not implemented", http.StatusNotImplemented}
	case condition != "" && old != nil:
		return nil, &Error{"PreconditionFailed", "At least one of the pre-conditions you specified did not hold", http.StatusPreconditionFailed}
	case len(d.key) > 1024:
		return nil, refuse("KeyTooLongError", "Your key is too long")
	}
	if old != nil {
		b.Bytes -= len(old.Data)
	}
	if b.Bytes+len(data) > bucketLimit {
		return nil, refuse("EntityTooLarge", "This bucket holds at most %d bytes", bucketLimit)
	}
	b.Bytes += len(data)
	made := put(&b.Objects, d.key, &Object{Data: data, Modified: c.now})
	header.Set("Etag", made.etag())
	return nil, nil
}

// data returns the body, which the SDK may send in chunks of its own, with
// checksums behind them that are not looked at.
func (d *deed) data() ([]byte, error) {
	if !strings.Contains(d.Header.Get("Content-Encoding"), "aws-chunked") {
		return d.body, nil
	}
	data, err := io.ReadAll(httputil.NewChunkedReader(bytes.NewReader(d.body)))
	if err != nil || strconv.Itoa(len(data)) != d.Header.Get("X-Amz-Decoded-Content-Length") {
		return nil, refuse("IncompleteBody", "The request body terminated unexpectedly")
	}
	return data, nil
}

func getObject(c *call, d *deed, header http.Header) ([]byte, error) {
	o := c.Buckets[d.bucket].Objects[d.key]
	if o == nil {
		return nil, &Error{"NoSuchKey", "The specified key does not exist.", http.StatusNotFound}
	}
	header.Set("Etag", o.etag())
	header.Set("Last-Modified", o.Modified.UTC().Format(http.TimeFormat))
	header.Set("Content-Type", "binary/octet-stream")
	header.Set("Content-Length", strconv.Itoa(len(o.Data)))
	return o.Data, nil
}

// A listed is one object of a list.
type listed struct {
	Key          string
	LastModified time.Time
	ETag         string
	Size         int
	StorageClass string
}

type listObjectsOut struct {
	XMLName               xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ ListBucketResult"`
	Name                  string
	Prefix                string
	StartAfter            string `xml:",omitempty"`
	ContinuationToken     string `xml:",omitempty"`
	NextContinuationToken string `xml:",omitempty"`
	KeyCount              int
	MaxKeys               int
	IsTruncated           bool
	Contents              []listed
}

func listObjects(c *call, d *deed, header http.Header) ([]byte, error) {
	for parameter := range d.query {
		switch parameter {
		case "list-type", "prefix", "start-after", "continuation-token", "max-keys", "encoding-type", "x-id":
		default:
			return nil, &Error{"NotImplemented", "The parameter " + parameter + " is not implemented", http.StatusNotImplemented}
		}
	}
	out := listObjectsOut{
		Name: d.bucket, Prefix: d.query.Get("prefix"), StartAfter: d.query.Get("start-after"), ContinuationToken: d.query.Get("continuation-token"),
	}
	size, err := strconv.Atoi(cmp.Or(d.query.Get("max-keys"), "1000"))
	if err != nil || size < 0 {
		return nil, refuse("InvalidArgument", "Provided max-keys not an integer or within integer range")
	}
	out.MaxKeys = min(size, 1000)
	after := out.StartAfter
	if out.ContinuationToken != "" {
		last, err := base64.StdEncoding.DecodeString(out.ContinuationToken)
		if err != nil {
			return nil, refuse("InvalidArgument", "The continuation token provided is incorrect")
		}
		after = string(last)
	}
	all := c.Buckets[d.bucket].Objects
	for _, key := range slices.Sorted(maps.Keys(all)) {
		if key <= after || !strings.HasPrefix(key, out.Prefix) {
			continue
		}
		if len(out.Contents) == out.MaxKeys {
			out.IsTruncated = out.MaxKeys > 0
			break
		}
		o := all[key]
		out.Contents = append(out.Contents, listed{key, o.Modified.UTC().Truncate(time.Millisecond), o.etag(), len(o.Data), "STANDARD"})
	}
	if out.KeyCount = len(out.Contents); out.IsTruncated {
		out.NextContinuationToken = base64.StdEncoding.EncodeToString([]byte(out.Contents[out.KeyCount-1].Key))
	}
	header.Set("Content-Type", "application/xml")
	text, err := xml.Marshal(out)
	return append([]byte(xml.Header), text...), err
}
