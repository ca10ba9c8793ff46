package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

const (
	checkDial = 10 * time.Second // for a name, a connection or an answer about health
	checkSize = 64 << 10         // of that answer
)

// lookUp says which addresses a host has.
func lookUp(ctx context.Context, host string) (string, error) {
	if _, err := netip.ParseAddr(host); err == nil {
		return host + " is an address", nil
	}
	ctx, cancel := context.WithTimeout(ctx, checkDial)
	defer cancel()
	addrs, err := net.DefaultResolver.LookupHost(ctx, host)
	if err != nil {
		return "", fmt.Errorf("%w; check the name, and the resolver of this machine", err)
	}
	return host + " is " + strings.Join(addrs, ", "), nil
}

// connect makes a connection and says what it is like.
func connect(ctx context.Context, u *url.URL, settings *tls.Config) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, checkDial)
	defer cancel()
	port := cmp.Or(u.Port(), map[string]string{"http": "80", "https": "443"}[u.Scheme])
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", net.JoinHostPort(u.Hostname(), port))
	if err != nil {
		return "", fmt.Errorf("%w; check the port, security groups and whether the HTTP Event Collector is on", err)
	}
	defer conn.Close()
	if u.Scheme == "http" {
		return "plain http to " + conn.RemoteAddr().String(), nil
	}
	settings = settings.Clone()
	settings.ServerName = cmp.Or(settings.ServerName, u.Hostname())
	client := tls.Client(conn, settings)
	if err := client.HandshakeContext(ctx); err != nil {
		return "", explainTLS(err)
	}
	state := client.ConnectionState()
	return fmt.Sprintf("%s to %s, %s", tls.VersionName(state.Version), conn.RemoteAddr(), certificate(state.PeerCertificates[0])), nil
}

// certificate says whose one is, in one line whatever is in it.
func certificate(c *x509.Certificate) string {
	return fmt.Sprintf("certificate of %q by %q until %s", cmp.Or(c.Subject.CommonName, strings.Join(c.DNSNames, " ")),
		cmp.Or(c.Issuer.CommonName, c.Issuer.String()), c.NotAfter.UTC().Format(time.DateOnly))
}

// explainTLS says what is wrong with a handshake and what to do.
func explainTLS(err error) error {
	var verify *tls.CertificateVerificationError
	var authority x509.UnknownAuthorityError
	var name x509.HostnameError
	var record tls.RecordHeaderError
	advice := "check that the port speaks TLS 1.2 or later, and whether it wants cert_file and key_file"
	unverified := errors.As(err, &verify)
	switch {
	case errors.As(err, &authority):
		advice = "name the file of its authority in sinks.splunk.ca_file"
	case errors.As(err, &name):
		advice = "use a name of the certificate in the URL, or in sinks.splunk.server_name"
	case unverified:
		advice = "renew the certificate of the server"
	case errors.As(err, &record):
		advice = "the port speaks no TLS: check the port, and whether the HTTP Event Collector has TLS on"
	}
	text := strings.Join(strings.Fields(err.Error()), " ")
	if unverified && len(verify.UnverifiedCertificates) > 0 {
		text += ", " + certificate(verify.UnverifiedCertificates[0])
	}
	return fmt.Errorf("%s; %s", text, advice)
}

// health asks for the health of the collector of events, without a token.
func health(ctx context.Context, u *url.URL, settings *tls.Config) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, checkDial)
	defer cancel()
	at := u.JoinPath("/services/collector/health")
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		return "", err
	}
	req.Header.Set("User-Agent", "periscope/"+version)
	transport := &http.Transport{TLSClientConfig: settings, DisableKeepAlives: true, MaxResponseHeaderBytes: checkSize}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return "", fmt.Errorf("%w; check that this is the port of the HTTP Event Collector", err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(resp.Body, checkSize)) // a part of it is no JSON
	answer := struct{ Code *int }{}
	if json.Unmarshal(body, &answer) != nil || answer.Code == nil {
		return "", fmt.Errorf("status %d without a code: %s", resp.StatusCode, adviseStatus(resp.StatusCode))
	}
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s", explainCode(resp.StatusCode, *answer.Code))
	}
	return explainCode(resp.StatusCode, *answer.Code), nil
}
