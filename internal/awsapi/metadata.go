package awsapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
)

// A Self is what the instance metadata say of the instance that this program
// runs on. Only Region is never empty.
type Self struct {
	Region, AccountID string

	Interfaces []string       // identifiers, the primary interface's first
	VPCID      string         // of the primary interface
	VPCCIDRs   []netip.Prefix // IPv4 blocks of that VPC, the primary one first
}

// Bounds of the questions to the instance metadata. Half the time may go by until there
// is a connection.
const (
	metadataTimeout = 2 * time.Second
	maxMetadata     = 1 << 20 // bytes of all answers together
	maxInterfaces   = 64      // of an instance that are asked about; no type has as many
)

// Metadata asks the instance metadata service (IMDSv2, never through a proxy)
// about this instance, in 2 s at most if ctx has no deadline. Its errors are of the
// kind NoMetadata: there is no such service, which is so outside EC2, or it is
// switched off. What an instance does not have is empty.
func Metadata(ctx context.Context) (Self, error) {
	end, ok := ctx.Deadline()
	if !ok {
		end = time.Now().Add(metadataTimeout)
	}
	ctx, cancel := context.WithDeadline(ctx, end)
	defer cancel()
	ctx = context.WithValue(ctx, leftKey{}, newLeft(maxMetadata))
	m := newMetadata(time.Until(end) / 2)
	defer m.http.closeIdle()
	self, err := m.self(ctx)
	if err != nil {
		return Self{}, &failure{kind: NoMetadata, what: "instance metadata", text: m.reason(err), err: err}
	}
	return self, nil
}

// A metadata asks the service; it is made for one round of questions.
type metadata struct {
	imds   *imds.Client
	http   *checkedHTTP
	status int   // of the last answer
	err    error // of the last request without one
}

func newMetadata(dial time.Duration) *metadata {
	m := &metadata{}
	dialer := &net.Dialer{Timeout: dial}
	m.http = &checkedHTTP{&http.Client{Transport: &http.Transport{DialContext: dialer.DialContext}}}
	m.imds = imds.New(imds.Options{HTTPClient: m, Retryer: aws.NopRetryer{}, EnableFallback: aws.FalseTernary})
	return m
}

// Do notes what came, which the SDK does not tell of a token that it does not get.
func (m *metadata) Do(r *http.Request) (*http.Response, error) {
	resp, err := m.http.Do(r)
	m.status, m.err = 0, err
	if err == nil {
		m.status = resp.StatusCode
	}
	return resp, err
}

func (m *metadata) reason(err error) string {
	switch {
	case m.err != nil:
		return reason(m.err, nil)
	case m.status == http.StatusForbidden:
		return "they are switched off (status 403)"
	case m.status >= 300:
		return fmt.Sprintf("the answer has status %d", m.status)
	}
	return reason(err, nil)
}

func (m *metadata) self(ctx context.Context) (Self, error) {
	document, err := m.imds.GetInstanceIdentityDocument(ctx, &imds.GetInstanceIdentityDocumentInput{})
	if err != nil {
		return Self{}, err
	}
	self := Self{Region: document.Region, AccountID: document.AccountID}
	if strings.Trim(self.Region, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" || self.Region == "" {
		return Self{}, errors.New("they name no region")
	}
	get := getter{ctx: ctx, imds: m.imds}
	macs := []string{get.value("mac")}
	for _, mac := range get.values("network/interfaces/macs/") {
		if mac = strings.TrimSuffix(mac, "/"); mac != macs[0] && len(macs) < maxInterfaces {
			macs = append(macs, mac)
		}
	}
	for i, mac := range macs {
		if mac == "" {
			continue
		}
		at := "network/interfaces/macs/" + mac + "/"
		if id := get.value(at + "interface-id"); id != "" {
			self.Interfaces = append(self.Interfaces, id)
		}
		if i > 0 {
			continue
		}
		self.VPCID = get.value(at + "vpc-id")
		for _, block := range get.values(at + "vpc-ipv4-cidr-blocks") {
			if p, err := netip.ParsePrefix(block); err == nil && p.Addr().Is4() {
				self.VPCCIDRs = append(self.VPCCIDRs, p.Masked())
			}
		}
	}
	return self, get.err
}

// A getter reads metadata below latest/meta-data/ until an error comes.
type getter struct {
	ctx  context.Context
	imds *imds.Client
	err  error
}

// value returns what a path holds, "" if it is not there or after an error.
func (g *getter) value(path string) string {
	if g.err != nil {
		return ""
	}
	out, err := g.imds.GetMetadata(g.ctx, &imds.GetMetadataInput{Path: path})
	var answer interface{ HTTPStatusCode() int }
	switch {
	case errors.As(err, &answer) && answer.HTTPStatusCode() == http.StatusNotFound:
		return ""
	case err != nil:
		g.err = err
		return ""
	}
	content, err := io.ReadAll(out.Content)
	if err != nil {
		g.err = err
	}
	return strings.TrimSpace(string(content))
}

func (g *getter) values(path string) []string { return strings.Fields(g.value(path)) }
