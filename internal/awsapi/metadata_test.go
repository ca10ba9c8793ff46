package awsapi_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/periscope-collector/periscope/internal/awsapi"
	"github.com/periscope-collector/periscope/internal/awsfake"
)

// instanceOf makes the metadata those of a new instance in a region.
func instanceOf(t *testing.T, fake *awsfake.Server, region string) (awsfake.Instance, awsfake.Interface) {
	t.Helper()
	instance, card, err := fake.RunInstance(home, region, "", netip.Addr{})
	if err != nil {
		t.Fatal(err)
	}
	fake.Change(func(s *awsfake.State) { s.Self = awsfake.Self{Account: home, Region: region, Instance: instance.ID} })
	return instance, card
}

// metadata asks, and waits longer for the answer than the program does.
func metadata(t *testing.T) (awsapi.Self, error) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	return awsapi.Metadata(ctx)
}

func TestMetadata(t *testing.T) {
	fake := awsfake.Start(t)
	_, card := instanceOf(t, fake, "eu-west-1")
	vpc := fake.State().Accounts[home].Regions["eu-west-1"].VPCs[card.VPCID]
	got, err := metadata(t)
	want := awsapi.Self{Region: "eu-west-1", AccountID: home, Interfaces: []string{card.ID},
		VPCID: card.VPCID, VPCCIDRs: []netip.Prefix{netip.MustParsePrefix(vpc.CIDR)}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
}

// The instance's region goes before AWS_REGION, which stands in for it.
func TestRegion(t *testing.T) {
	fake := awsfake.Start(t)
	c := open(t, awsapi.Config{})[0]
	if _, err := c.Identity(t.Context()); err != nil || c.Region() != region {
		t.Errorf("without an instance: %q, %v", c.Region(), err)
	}
	instanceOf(t, fake, "eu-west-1")
	c = open(t, awsapi.Config{})[0]
	if c.Region() != "" {
		t.Errorf("before it was asked: %q", c.Region())
	}
	if _, err := c.Identity(t.Context()); err != nil || c.Region() != "eu-west-1" {
		t.Errorf("on an instance: %q, %v", c.Region(), err)
	}
}

func TestRegionUnknown(t *testing.T) {
	awsfake.Start(t)
	t.Setenv("AWS_REGION", "")
	t.Setenv("AWS_DEFAULT_REGION", "")
	_, err := open(t, awsapi.Config{})[0].Sessions(t.Context())
	if awsapi.KindOf(err) != awsapi.NoMetadata || !strings.Contains(err.Error(), "AWS_REGION") || strings.Count(err.Error(), "or do without") != 1 {
		t.Errorf("%v: %v", awsapi.KindOf(err), err)
	}
}

func TestNoMetadata(t *testing.T) {
	status := func(code int) string {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(code) }))
		t.Cleanup(s.Close)
		return s.URL
	}
	for name, test := range map[string]struct{ endpoint, disabled, want string }{
		"nobody":       {"http://" + nobody, "", "no answer from " + nobody},
		"switched off": {status(403), "", "switched off"},
		"not there":    {status(404), "", "status 404"},
		"broken":       {status(500), "", "status 500"},
		"not wanted":   {status(200), "true", "disabled"},
		"not json":     {status(200), "", "in"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", test.endpoint)
			t.Setenv("AWS_EC2_METADATA_DISABLED", test.disabled)
			t.Setenv("HTTP_PROXY", "http://"+nobody)
			self, err := metadata(t)
			if awsapi.KindOf(err) != awsapi.NoMetadata || !strings.HasPrefix(err.Error(), "aws: instance metadata: ") ||
				!strings.Contains(err.Error(), test.want) || !reflect.DeepEqual(self, awsapi.Self{}) {
				t.Errorf("%+v, %v: %v", self, awsapi.KindOf(err), err)
			}
		})
	}
}

// A service that gives no token is not asked without one.
func TestMetadataVersion1(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		_, _ = w.Write([]byte(`{"region":"eu-west-1","instanceId":"i-1","accountId":"1"}`))
	}))
	t.Cleanup(s.Close)
	t.Setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", s.URL)
	if self, err := metadata(t); awsapi.KindOf(err) != awsapi.NoMetadata {
		t.Errorf("%+v, %v", self, err)
	}
}

// A call whose time ends while credentials are looked for has none, whoever of those
// who wait for them says so first.
func TestNoCredentialsInTime(t *testing.T) {
	awsfake.Start(t).Fail(awsfake.Fault{Operation: awsfake.Metadata, Kind: awsfake.Hang})
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "")
	for range 20 {
		if _, err := open(t, awsapi.Config{Timeout: 20 * time.Millisecond})[0].Sessions(t.Context()); awsapi.KindOf(err) != awsapi.NoCredentials {
			t.Errorf("%v: %v", awsapi.KindOf(err), err)
		}
	}
}

// Without any credentials; then with those of a file, of which others are read once
// AWS refuses the first; then with those of the instance.
func TestCredentials(t *testing.T) {
	fake := awsfake.Start(t)
	file := filepath.Join(t.TempDir(), "credentials")
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", file)
	c := open(t, awsapi.Config{})[0]
	_, err := c.Sessions(t.Context())
	if awsapi.KindOf(err) != awsapi.NoCredentials || strings.Contains(err.Error(), "\n") {
		t.Errorf("%v: %v", awsapi.KindOf(err), err)
	}
	write := func(account string) {
		t.Helper()
		text := "[default]\naws_access_key_id = AKIA" + account + "\naws_secret_access_key = secret\n"
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(home)
	if id, err := c.Identity(t.Context()); err != nil || id != home {
		t.Errorf("of a file: %q, %v", id, err)
	}
	fake.Change(func(s *awsfake.State) { s.Region("444444444444", region) })
	write("444444444444")
	if id, err := c.Identity(t.Context()); err != nil || id != home {
		t.Errorf("good ones are kept: %q, %v", id, err)
	}
	fake.Fail(awsfake.Fault{Operation: "GetCallerIdentity", Kind: awsfake.Expired, Times: 1})
	if _, err := c.Identity(t.Context()); awsapi.KindOf(err) != awsapi.Expired {
		t.Errorf("%v: %v", awsapi.KindOf(err), err)
	}
	if id, err := c.Identity(t.Context()); err != nil || id != "444444444444" {
		t.Errorf("refused ones are read again: %q, %v", id, err)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	instanceOf(t, fake, region)
	c = open(t, awsapi.Config{})[0]
	if id, err := c.Identity(t.Context()); err != nil || id != home {
		t.Errorf("of the instance: %q, %v", id, err)
	}
}
