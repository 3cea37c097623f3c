package postgres_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/drivers/postgres"
	"github.com/s3db-go/replicator/internal/testbed"
)

// authority signs certificates.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	file        string // its certificate in PEM
}

func newAuthority(t *testing.T, name string) authority {
	t.Helper()
	key := newKey(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	a := authority{key: key, file: filepath.Join(t.TempDir(), "ca.crt")}
	der := sign(t, template, template, key, key)
	var err error
	if a.certificate, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(a.file, inPEM("CERTIFICATE", der), 0o600); err != nil {
		t.Fatal(err)
	}
	return a
}

// issue gives a server's certificate and its key.
func (a authority) issue(t *testing.T, ip net.IP) (certificate, key []byte) {
	t.Helper()
	own := newKey(t)
	der := sign(t, &x509.Certificate{SerialNumber: big.NewInt(2), IPAddresses: []net.IP{ip}, NotAfter: time.Now().Add(time.Hour)}, a.certificate, own, a.key)
	secret, err := x509.MarshalPKCS8PrivateKey(own)
	if err != nil {
		t.Fatal(err)
	}
	return inPEM("CERTIFICATE", der), inPEM("PRIVATE KEY", secret)
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func sign(t *testing.T, template, parent *x509.Certificate, own, signer *ecdsa.PrivateKey) []byte {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &own.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func inPEM(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// TestTLS connects as a connection string says: under verify-full only to a server whose
// certificate is signed by the authority that is named, and for its address.
func TestTLS(t *testing.T) {
	server := testbed.NewPostgresServer(t)
	ours, other := newAuthority(t, "ours"), newAuthority(t, "other")
	addr := server.ServeTLS(t, func(ip net.IP) (certificate, key []byte) { return ours.issue(t, ip) })
	const password = "canary-of-a-password"
	exec(t, server.URL("postgres", "", "postgres"), `CREATE ROLE app LOGIN PASSWORD '`+password+`'`, `CREATE DATABASE shop OWNER app`)
	open := func(addr, mode string, ca authority) error {
		driver := postgres.New(postgres.Options{ConnectionString: (&url.URL{
			Scheme: "postgres", User: url.UserPassword("app", password), Host: addr, Path: "/shop",
			RawQuery: url.Values{"sslmode": {mode}, "sslrootcert": {ca.file}}.Encode(),
		}).String()})
		err := driver.Open(t.Context())
		if err == nil {
			t.Cleanup(func() { driver.Close() })
			err = driver.Apply(t.Context(), []cdc.Delivery{{
				Change: cdc.Change{Version: 1, Op: cdc.Inserted, Resource: "orders", RecordID: mode}, Target: "orders",
				Key: cdc.Record{"id": mode}, Record: cdc.Record{"id": mode},
			}})
		}
		if err != nil && strings.Contains(err.Error(), password) {
			t.Errorf("%s: the error tells the password", mode)
		}
		return err
	}
	if err := open(addr, "verify-full", ours); err != nil {
		t.Errorf("with the right authority: %v", err)
	}
	var id string
	if err := connect(t, server.URL("postgres", "", "shop")).QueryRow(t.Context(), "SELECT id FROM orders").Scan(&id); err != nil || id != "verify-full" {
		t.Errorf("the row is %q, %v", id, err)
	}
	elsewhere := testbed.NewProxy(t, "tcp", addr).Addr().String()
	for _, c := range []struct {
		name, addr, mode string
		ca               authority
		want             string
	}{
		{"another authority", addr, "verify-full", other, "certificate signed by unknown authority"},
		{"another address", elsewhere, "verify-full", ours, "certificate is valid for"},
		{"no TLS", addr, "disable", ours, "no encryption"},
	} {
		if err := open(c.addr, c.mode, c.ca); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: the error is %v, want one with %q", c.name, err, c.want)
		} else {
			t.Logf("%s: %v: %v", c.name, cdc.FaultOf(err), err)
		}
	}
}
