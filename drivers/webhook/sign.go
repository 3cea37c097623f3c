package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	// secretPrefix marks a symmetric secret of Standard Webhooks.
	secretPrefix = "whsec_"
	// secretBytes is the least that Standard Webhooks lets a secret have.
	secretBytes = 24
	// tolerance is how far a request's time may be from the receiver's: what the
	// specification's own libraries allow for clocks and for the way.
	tolerance = 5 * time.Minute
)

// Verify checks on the receiver's side that a request is from one who knows one of the
// secrets, and was made within the last five minutes. It is for whatever signs after
// Standard Webhooks. body is the request's body, decompressed if it came compressed;
// several secrets are for moving from one to the next. Each is "whsec_" and base64
// of 24 bytes or more.
//
// An authentic request may still be a repeat: the header webhook-id tells.
func Verify(header http.Header, body []byte, secrets ...string) error {
	return verify(header, body, time.Now(), secrets)
}

func verify(header http.Header, body []byte, now time.Time, secrets []string) error {
	id, stamp := header.Get("webhook-id"), header.Get("webhook-timestamp")
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	switch {
	case id == "" || err != nil:
		return errors.New("webhook: webhook-id or webhook-timestamp is missing")
	// By the difference of numbers: that of times overflows.
	case seconds < now.Add(-tolerance).Unix() || seconds > now.Add(tolerance).Unix():
		return errors.New("webhook: webhook-timestamp is too far from now")
	}
	for i, secret := range secrets {
		k, err := parseSecret(secret)
		if err != nil {
			return fmt.Errorf("webhook: secret %d %w", i, err)
		}
		want := []byte(k.signature(id, stamp, body))
		for given := range strings.FieldsSeq(header.Get("webhook-signature")) {
			if hmac.Equal([]byte(given), want) {
				return nil
			}
		}
	}
	return errors.New("webhook: no signature is of a known secret")
}

// sign sets the headers of Standard Webhooks. The id is the change's, so that a
// receiver drops repeats by it; the time is that of the attempt, since receivers
// refuse what is some minutes old. Without secrets there is no signature. What is
// signed is the body before compression: web servers hand it on decompressed.
func (d *Driver) sign(h http.Header, id string, now time.Time, body []byte) {
	stamp := strconv.FormatInt(now.Unix(), 10)
	h.Set("Webhook-Id", id)
	h.Set("Webhook-Timestamp", stamp)
	if len(d.keys) == 0 {
		return
	}
	signatures := make([]string, len(d.keys))
	for i, k := range d.keys {
		signatures[i] = k.signature(id, stamp, body)
	}
	h.Set("Webhook-Signature", strings.Join(signatures, " "))
}

// key is what a signature is made with.
type key struct {
	secret []byte
	macs   sync.Pool // of hash.Hash: a new one hashes the secret first
}

func (k *key) signature(id, stamp string, body []byte) string {
	mac, ok := k.macs.Get().(hash.Hash)
	if !ok {
		mac = hmac.New(sha256.New, k.secret)
	}
	defer k.macs.Put(mac)
	mac.Reset()
	b := []byte(id + "." + stamp + ".")
	mac.Write(b)
	mac.Write(body)
	return string(base64.StdEncoding.AppendEncode([]byte("v1,"), mac.Sum(b[:0])))
}

// parseSecret gives the key of a secret. The error is a predicate and shows none of it.
func parseSecret(secret string) (*key, error) {
	text, ok := strings.CutPrefix(secret, secretPrefix)
	decoded, err := base64.StdEncoding.DecodeString(text)
	switch {
	case !ok || err != nil || len(decoded) == 0:
		return nil, fmt.Errorf("is not %q and base64 of random bytes, as openssl rand -base64 24 gives", secretPrefix)
	case len(decoded) < secretBytes:
		return nil, fmt.Errorf("holds %d bytes, and Standard Webhooks wants at least %d, as openssl rand -base64 24 gives", len(decoded), secretBytes)
	}
	return &key{secret: decoded}, nil
}
