package sink

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/s3db-go/replicator/drivers/webhook"
)

// Receiver takes webhooks on a free port of this machine. It takes only what is signed
// with its Secret, and each webhook-id once.
type Receiver struct {
	URL    string
	Secret string

	server  *http.Server
	serving sync.WaitGroup

	mu     sync.Mutex // guards what follows
	bodies [][]byte   // in the order of arrival
	known  map[string]bool
}

// NewReceiver begins to serve, until Close.
func NewReceiver() (*Receiver, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	key := make([]byte, 32)
	rand.Read(key)
	r := &Receiver{
		URL:    "http://" + listener.Addr().String() + "/webhooks",
		Secret: "whsec_" + base64.StdEncoding.EncodeToString(key),
		known:  map[string]bool{},
	}
	r.server = &http.Server{Handler: r, ReadHeaderTimeout: 10 * time.Second}
	r.serving.Go(func() { r.server.Serve(listener) }) // until Close
	return r, nil
}

// ServeHTTP implements http.Handler: 204 when the body is kept, or was before.
func (r *Receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, 1<<20))
	if err == nil {
		err = webhook.Verify(req.Header, body, r.Secret)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusUnauthorized)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if id := req.Header.Get("webhook-id"); !r.known[id] {
		r.known[id] = true
		r.bodies = append(r.bodies, body)
	}
	w.WriteHeader(http.StatusNoContent)
}

// Bodies gives what came.
func (r *Receiver) Bodies() [][]byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.bodies)
}

// Close waits for the requests that are under way.
func (r *Receiver) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	err := r.server.Shutdown(ctx)
	r.serving.Wait()
	return err
}
