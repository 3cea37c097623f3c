// Command bigquery stands in for Google BigQuery in tests: datasets, tables, views and
// a subset of queries over REST, and the Storage Write API over gRPC. It keeps
// everything in memory and asks for no credentials.
//
// It promises to accept nothing that the vendor's documentation says is refused, and to
// refuse what it does not know: a request that works here need not fail there for its
// form. It may well be stricter than the vendor, and says so where it is.
//
// It can't show what depends on the vendor's scale: quotas, prices, the delay until a
// schema change or a change of data capture is seen (none here), partitions that
// expire, the clean-up of deleted keys after two days (never here), locations.
//
// It prints one line of JSON with its three addresses when it listens, and ends when
// its standard input does. Faults are switched on at the control address; see fault.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime/debug"

	"cloud.google.com/go/bigquery/storage/apiv1/storagepb"
	"google.golang.org/grpc"
)

// addresses is what the program prints.
type addresses struct {
	REST    string `json:"rest"`    // host:port of the REST API
	Write   string `json:"write"`   // host:port of the Storage Write API
	Control string `json:"control"` // host:port of the fault switches
}

func main() {
	// All rows stay in memory. With the usual setting, going through them again and again
	// would be most of what a measurement shows.
	debug.SetGCPercent(400)
	s, err := start()
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(s.addresses)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bigquery stand-in:", err)
		os.Exit(1)
	}
	io.Copy(io.Discard, os.Stdin) // any end of it is the end
	s.stop()
}

// server is all three services over one catalog.
type server struct {
	addresses addresses
	rest      *http.Server
	control   *http.Server
	write     *grpc.Server
}

// start listens on free ports of the loopback.
func start() (*server, error) {
	var listeners []net.Listener
	for range 3 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		listeners = append(listeners, l)
	}
	rest, write, control := listeners[0], listeners[1], listeners[2]

	c, f := newCatalog(), &faults{}
	s := &server{
		addresses: addresses{rest.Addr().String(), write.Addr().String(), control.Addr().String()},
		rest:      &http.Server{Handler: (&restAPI{catalog: c, faults: f}).handler()},
		control:   &http.Server{Handler: f.handler()},
		// Larger than a request may be, so that it is the service that refuses it, and says why.
		write: grpc.NewServer(grpc.MaxRecvMsgSize(4 * maxAppend)),
	}
	storagepb.RegisterBigQueryWriteServer(s.write, &writeAPI{catalog: c, faults: f, streams: map[string]*writeStream{}})
	go s.rest.Serve(rest)
	go s.control.Serve(control)
	go s.write.Serve(write)
	return s, nil
}

func (s *server) stop() {
	s.write.Stop()
	s.rest.Close()
	s.control.Close()
}
