package faultproxy

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"time"
)

// ServeTLS is Serve with TLS under that name, in a certificate which authority
// has in PEM, to trust. now is the time it is made at.
func (p *Proxy) ServeTLS(l net.Listener, name string, now time.Time) (authority []byte, err error) {
	own, authority, err := certificate(name, now)
	if err != nil {
		return nil, err
	}
	stranger, _, err := certificate(name, now)
	if err != nil {
		return nil, err
	}
	p.Serve(tls.NewListener(l, &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.strangers == 0 {
			return own, nil
		}
		p.strangers--
		return stranger, nil
	}}))
	return authority, nil
}

// FailTLS has the next n handshakes show a certificate that nobody trusts.
func (p *Proxy) FailTLS(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.strangers = n
}

// StrangersLeft returns how many handshakes of FailTLS are still to come.
func (p *Proxy) StrangersLeft() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.strangers
}

// certificate makes a certificate that signs itself, for a day.
func certificate(name string, now time.Time) (*tls.Certificate, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	template := x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), DNSNames: []string{name},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, &key.PublicKey, key)
	if err != nil {
		return nil, nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), nil
}
