package testbed

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"testing"
)

// ServeTLS starts the server anew, so that it also listens on an address of this machine's
// loopback, with a certificate and its key in PEM that make gives for that address. It
// lets in who speaks TLS and knows a password.
func (s *PostgresServer) ServeTLS(t testing.TB, make func(ip net.IP) (certificate, key []byte)) (addr string) {
	t.Helper()
	// The port also names the socket, so it is the address that nobody else has.
	ip := net.IPv4(127, byte(1+rand.IntN(250)), byte(rand.IntN(250)), byte(1+rand.IntN(250)))
	certificate, key := make(ip)
	data := filepath.Join(s.dir, "data")
	err := errors.Join(
		give(filepath.Join(data, "server.crt"), certificate), give(filepath.Join(data, "server.key"), key),
		appendTo(filepath.Join(data, "pg_hba.conf"), "hostssl all all 127.0.0.0/8 scram-sha-256\n"),
		appendTo(filepath.Join(data, "postgresql.conf"), fmt.Sprintf("listen_addresses = '%s'\nssl = on\n", ip)),
	)
	if err == nil {
		err = s.Kill()
	}
	if err == nil {
		err = s.Start(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	return net.JoinHostPort(ip.String(), "5432")
}

// give writes a file that the server alone may read.
func give(path string, data []byte) error {
	if err := os.WriteFile(path, data, 0o600); err != nil {
		return err
	}
	_, err := unprivileged(path)
	return err
}

// appendTo adds to a file that is there.
func appendTo(path, text string) error {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}
