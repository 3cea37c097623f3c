package main

import (
	"cmp"
	"io"
	"net"
	"net/http"
	"time"
)

// receiver is a server of webhooks that can go away and come back at its address.
type receiver struct {
	addr   string // "" before the first start
	server *http.Server
}

func (r *receiver) start() error {
	listener, err := net.Listen("tcp", cmp.Or(r.addr, "127.0.0.1:0"))
	if err != nil {
		return err
	}
	r.addr = listener.Addr().String()
	r.server = &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		_, _ = io.Copy(io.Discard, req.Body)
	})}
	go r.server.Serve(listener)
	return nil
}

func (r *receiver) stop() { r.server.Close() }

func (r *receiver) url() string { return "http://" + r.addr }
