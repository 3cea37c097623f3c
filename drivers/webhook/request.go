package webhook

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/envelope"
	"github.com/s3db-go/replicator/internal/panics"
)

// forms are the bodies in the words of package envelope.
var forms = [...]envelope.Form{Envelope: envelope.Message, Bare: envelope.Bare, CloudEvents: envelope.CloudEvent}

// body gives the request's body, not compressed.
func (d *Driver) body(deliveries []cdc.Delivery) ([]byte, error) {
	b := make([]byte, 0, 512*len(deliveries))
	if d.opts.BatchSize == 0 {
		return d.append(b, deliveries[0])
	}
	begin, end := `{"batch":[`, "]}"
	if d.opts.Body == CloudEvents {
		begin, end = "[", "]"
	}
	b = append(b, begin...)
	for i, delivery := range deliveries {
		if i > 0 {
			b = append(b, ',')
		}
		var err error
		if b, err = d.append(b, delivery); err != nil {
			return nil, err
		}
	}
	b = append(b, end...)
	if len(b) > d.opts.BatchBytes && len(deliveries) > 1 {
		return nil, fmt.Errorf("%d changes make a body of %d bytes, over BatchBytes", len(deliveries), len(b))
	}
	return b, nil
}

func (d *Driver) append(b []byte, delivery cdc.Delivery) (_ []byte, err error) {
	if d.opts.Marshal == nil {
		return forms[d.opts.Body].Append(b, delivery, d.opts.Source)
	}
	defer func() {
		if v := recover(); v != nil {
			err = panics.Error("option Marshal", v)
		}
	}()
	own, err := d.opts.Marshal(delivery)
	if err != nil {
		return nil, fmt.Errorf("option Marshal: %w", err)
	}
	if d.opts.BatchSize > 0 && !json.Valid(own) {
		return nil, errors.New("what option Marshal gave is not JSON, and can't stand in a batch")
	}
	return append(b, own...), nil
}

// fixed gives the headers that all requests have. Those of the options come first, so that
// they may replace the driver's own description of itself but not the credentials.
func (d *Driver) fixed() http.Header {
	h := http.Header{}
	h.Set("Content-Type", d.contentType())
	h.Set("User-Agent", "replicator-webhook")
	for name, value := range d.opts.Headers {
		h.Set(name, value)
	}
	if d.opts.Gzip {
		h.Set("Content-Encoding", "gzip")
	}
	if d.auth.header != "" {
		h.Set(d.auth.header, d.auth.value)
	}
	return h
}

// request builds the request.
func (d *Driver) request(ctx context.Context, deliveries []cdc.Delivery, body []byte) (*http.Request, error) {
	sent := body
	if d.opts.Gzip {
		sent = d.compress(body)
	}
	req, err := http.NewRequestWithContext(ctx, d.opts.Method, "", bytes.NewReader(sent))
	if err != nil {
		return nil, errors.New("the request can't be built")
	}
	req.URL, req.Header = new(*d.endpoint), d.header.Clone()
	req.Host = cmp.Or(req.Header.Get("Host"), d.endpoint.Host) // net/http takes it only from here
	if d.opts.BatchSize == 0 {
		req.Header.Set("Replicator-Operation", deliveries[0].Op.String())
	}
	d.sign(req.Header, idOf(deliveries).String(), time.Now(), body)
	if d.opts.Sign != nil {
		if err := d.ownSign(req, body); err != nil {
			return nil, err
		}
	}
	return req, nil
}

func (d *Driver) contentType() string {
	switch {
	case d.opts.Body != CloudEvents:
		return "application/json"
	case d.opts.BatchSize > 0:
		return "application/cloudevents-batch+json"
	}
	return "application/cloudevents+json"
}

func (d *Driver) ownSign(req *http.Request, body []byte) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = panics.Error("option Sign", v)
		}
	}()
	if err := d.opts.Sign(req, body); err != nil {
		return fmt.Errorf("option Sign: %w", err)
	}
	return nil
}

func (d *Driver) compress(body []byte) []byte {
	var out bytes.Buffer
	w, ok := d.gzips.Get().(*gzip.Writer)
	if !ok {
		w = gzip.NewWriter(nil)
	}
	defer d.gzips.Put(w)
	w.Reset(&out)
	w.Write(body) // to memory, which takes everything
	w.Close()
	return out.Bytes()
}

// idOf gives the id of a request: that of its change, or one made from those of its
// changes, so that a repeat of the same request has the same.
func idOf(deliveries []cdc.Delivery) cdc.ID {
	if len(deliveries) == 1 {
		return deliveries[0].ChangeID
	}
	sum := sha256.New()
	for _, delivery := range deliveries {
		sum.Write(delivery.ChangeID[:])
	}
	id := cdc.ID(sum.Sum(nil)[:16])
	id[6], id[8] = id[6]&0x0f|0x80, id[8]&0x3f|0x80 // a UUID of version 8: made of what one likes
	return id
}
