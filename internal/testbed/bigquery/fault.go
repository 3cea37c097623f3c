package main

import (
	"encoding/json"
	"net/http"
	"slices"
	"sync"

	"cloud.google.com/go/bigquery/storage/apiv1/storagepb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// fault is a fault that is switched on by POST to /faults at the control address. GET
// lists those that still are, DELETE switches all off.
type fault struct {
	// Kind is close (the connection ends before the request is applied), lost (it ends
	// after), unavailable, exhausted, missing or denied.
	Kind faultKind `json:"kind"`

	// Surface is what it strikes: "write", which is AppendRows, or "rest".
	Surface string `json:"surface"`

	// Table is the one it strikes, as dataset.table. Empty is every request.
	Table string `json:"table,omitempty"`

	// Times is how many requests it strikes. -1 is all, until it is switched off.
	Times int `json:"times"`
}

type faultKind string

const (
	faultClose       faultKind = "close"
	faultLost        faultKind = "lost"
	faultUnavailable faultKind = "unavailable"
	faultExhausted   faultKind = "exhausted"
	faultMissing     faultKind = "missing"
	faultDenied      faultKind = "denied"
)

const (
	surfaceWrite = "write"
	surfaceREST  = "rest"
)

// asGRPC is the error that ends a connection of the Storage Write API; nil for a fault
// that is not one.
func (k faultKind) asGRPC(stream string) error {
	switch k {
	case faultUnavailable, faultLost:
		return status.Error(codes.Unavailable, "The service is currently unavailable.")
	case faultExhausted:
		return status.Error(codes.ResourceExhausted, "Exceeds 'AppendRows throughput' quota, switched on in the stand-in")
	case faultMissing:
		return noEntity(storagepb.StorageError_TABLE_NOT_FOUND, stream)
	case faultDenied:
		return status.Errorf(codes.PermissionDenied, "Permission 'TABLES_UPDATE_DATA' denied on resource '%s' (or it may not exist).", stream)
	case faultClose:
		return status.Error(codes.Aborted, "Closing the stream, switched on in the stand-in")
	}
	return nil
}

// asREST is the error that a request is answered with; nil for a fault that is not one.
func (k faultKind) asREST() error {
	switch k {
	case faultUnavailable:
		return &apiError{http.StatusServiceUnavailable, "backendError", "Visibility check was unavailable. Please retry the request"}
	case faultExhausted:
		return &apiError{http.StatusForbidden, "quotaExceeded", "Quota exceeded: switched on in the stand-in"}
	case faultMissing:
		return notFound("switched on in the stand-in")
	case faultDenied:
		return &apiError{http.StatusForbidden, "accessDenied", "Access Denied: switched on in the stand-in"}
	}
	return nil
}

// faults are the switches.
type faults struct {
	mu sync.Mutex // guards on
	on []fault
}

// take gives the fault that strikes a request, "" for none, and counts it.
func (f *faults) take(surface, table string) faultKind {
	f.mu.Lock()
	defer f.mu.Unlock()
	i := slices.IndexFunc(f.on, func(x fault) bool {
		return x.Surface == surface && (x.Table == "" || x.Table == table)
	})
	if i < 0 {
		return ""
	}
	kind := f.on[i].Kind
	if f.on[i].Times > 0 {
		if f.on[i].Times--; f.on[i].Times == 0 {
			f.on = slices.Delete(f.on, i, i+1)
		}
	}
	return kind
}

func (f *faults) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /faults", func(w http.ResponseWriter, r *http.Request) {
		var x fault
		err := read(r.Body, &x)
		kinds := []faultKind{faultClose, faultLost, faultUnavailable, faultExhausted, faultMissing, faultDenied}
		if err == nil && (!slices.Contains(kinds, x.Kind) || x.Surface != surfaceWrite && x.Surface != surfaceREST || x.Times == 0 || x.Times < -1) {
			err = invalid("a fault needs a known kind, a surface (write or rest), and times (-1 for all)")
		}
		if err == nil {
			f.mu.Lock()
			f.on = append(f.on, x)
			f.mu.Unlock()
		}
		answer(w, struct{}{}, err)
	})
	mux.HandleFunc("GET /faults", func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		defer f.mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(append([]fault{}, f.on...))
	})
	mux.HandleFunc("DELETE /faults", func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		f.on = nil
		f.mu.Unlock()
		answer(w, struct{}{}, nil)
	})
	return mux
}
