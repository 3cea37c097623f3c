package main

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/s3db-go/replicator"
)

// endpoint is what the shop needs to know of the CRM.
type endpoint struct{ url, secret string }

// crm is a receiver of webhooks. It takes only what is signed with its secret, knows
// a repeat by its webhook-id, and judges nothing: see verify.
type crm struct {
	endpoint
	key     []byte
	server  *http.Server
	serving sync.WaitGroup

	mu      sync.Mutex // guards what follows
	changes []received // each once, in the order of arrival
	bodies  map[string]string
	repeats int
	refused []string // why requests were turned away
}

// received is the body of a webhook: what happened to which record.
type received struct {
	ID        string            `json:"id"`
	Resource  string            `json:"resource"`
	RecordID  string            `json:"recordId"`
	Operation replicator.Op     `json:"operation"`
	Version   uint64            `json:"version,string"`
	Data      replicator.Record `json:"data"` // of a delete the record as it last was
}

func (r received) key() key { return key{r.Resource, r.RecordID} }

// startCRM serves on a free port of this machine.
func startCRM() (*crm, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	key := make([]byte, 32)
	rand.Read(key)
	c := &crm{
		endpoint: endpoint{
			url:    "http://" + listener.Addr().String() + "/webhooks",
			secret: "whsec_" + base64.StdEncoding.EncodeToString(key),
		},
		key:    key,
		bodies: make(map[string]string),
	}
	c.server = &http.Server{Handler: c, ReadHeaderTimeout: 10 * time.Second}
	c.serving.Go(func() { c.server.Serve(listener) }) // until close
	return c, nil
}

// close waits for the requests that are under way.
func (c *crm) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	err := c.server.Shutdown(ctx)
	c.serving.Wait()
	return err
}

// ServeHTTP answers 204 when the change is kept, or was before.
func (c *crm) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
	if err != nil {
		// No fault: a sender that is killed breaks off.
		http.Error(w, "the request is not complete", http.StatusBadRequest)
		return
	}
	if err := c.receive(r.Header, body); err != nil {
		c.mu.Lock()
		c.refused = append(c.refused, err.Error())
		c.mu.Unlock()
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (c *crm) receive(h http.Header, body []byte) error {
	if err := c.authentic(h, body, time.Now()); err != nil {
		return err
	}
	var change received
	if err := json.Unmarshal(body, &change); err != nil {
		return err
	}
	if change.ID != h.Get("webhook-id") {
		return errors.New("webhook-id is not the id of the change")
	}
	return c.keep(change, string(body))
}

// authentic verifies a signature of Standard Webhooks.
func (c *crm) authentic(h http.Header, body []byte, now time.Time) error {
	id, stamp := h.Get("webhook-id"), h.Get("webhook-timestamp")
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if age := now.Sub(time.Unix(seconds, 0)); err != nil || age.Abs() > 5*time.Minute {
		return errors.New("webhook-timestamp is not of now") // somebody may send again what was overheard
	}
	mac := hmac.New(sha256.New, c.key)
	io.WriteString(mac, id+"."+stamp+".")
	mac.Write(body)
	want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	for signature := range strings.FieldsSeq(h.Get("webhook-signature")) {
		if hmac.Equal([]byte(signature), []byte(want)) {
			return nil
		}
	}
	return errors.New("webhook-signature is wrong")
}

// keep adds a change, unless it is there already: after a crash, what was delivered
// shortly before comes again.
func (c *crm) keep(change received, body string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	known, repeat := c.bodies[change.ID]
	switch {
	case !repeat:
		c.bodies[change.ID] = body
		c.changes = append(c.changes, change)
	case known == body:
		c.repeats++
	default:
		return errors.New("a repeat is not what came first under its webhook-id")
	}
	return nil
}

// account gives what was received so far.
func (c *crm) account() (changes []received, repeats int, refused []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.changes), c.repeats, slices.Clone(c.refused)
}
