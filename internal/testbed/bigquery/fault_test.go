package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"cloud.google.com/go/bigquery/storage/managedwriter"
	"google.golang.org/grpc/codes"
)

func (w *world) fault(f fault) {
	w.Helper()
	body, err := json.Marshal(f)
	w.must(err)
	answer, err := http.Post("http://"+w.server.addresses.Control+"/faults", "application/json", bytes.NewReader(body))
	w.must(err)
	answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		w.Fatalf("%+v: %s", f, answer.Status)
	}
}

// TestWriteFaults holds what a writer that does not retry sees of each fault, and what
// the table holds after it; and that the next request goes through.
func TestWriteFaults(t *testing.T) {
	for kind, want := range map[faultKind]struct {
		code codes.Code
		rows string
	}{
		faultClose:       {codes.Aborted, "0"},
		faultLost:        {codes.Unavailable, "1"},
		faultUnavailable: {codes.Unavailable, "0"},
		faultExhausted:   {codes.ResourceExhausted, "0"},
		faultMissing:     {codes.NotFound, "0"},
		faultDenied:      {codes.PermissionDenied, "0"},
	} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.table("people", people)
			to := w.writer("people", people, false)
			w.fault(fault{Kind: kind, Surface: surfaceWrite, Table: "ds.other", Times: -1})
			w.fault(fault{Kind: kind, Surface: surfaceWrite, Table: "ds.people", Times: 1})
			_, err := w.send(to, cells{"id": int64(1)})
			w.refusedWrite(err, want.code, "")
			w.expect(want.rows, "SELECT COUNT(*) FROM ds.people")
			_, err = w.send(w.writer("people", people, false), cells{"id": int64(2)})
			w.must(err)
			w.expect("1", "SELECT COUNT(*) FROM ds.people WHERE id = 2")
		})
	}
}

// TestRetriedWrites holds that the official client's own retries pass the faults that it
// takes for passing, and that a lost answer then leaves the row twice.
func TestRetriedWrites(t *testing.T) {
	for kind, rows := range map[faultKind]string{faultClose: "1", faultUnavailable: "1", faultExhausted: "1", faultLost: "2"} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.table("people", people)
			to := w.writer("people", people, false, managedwriter.EnableWriteRetries(true))
			w.fault(fault{Kind: kind, Surface: surfaceWrite, Times: 1})
			_, err := w.send(to, cells{"id": int64(1)})
			w.must(err)
			w.expect(rows, "SELECT COUNT(*) FROM ds.people")
		})
	}
}

func TestRESTFaults(t *testing.T) {
	w := newWorld(t)
	tab := w.table("people", people)
	ask := func() error {
		// The client repeats what it takes for passing until its context ends.
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		_, err := tab.Metadata(ctx)
		return err
	}
	for kind, code := range map[faultKind]int{faultMissing: http.StatusNotFound, faultDenied: http.StatusForbidden, faultExhausted: http.StatusForbidden} {
		w.fault(fault{Kind: kind, Surface: surfaceREST, Table: "ds.people", Times: 1})
		w.refused(ask(), code, "")
		w.must(ask())
	}
	w.fault(fault{Kind: faultUnavailable, Surface: surfaceREST, Times: 1})
	w.must(ask()) // at the second attempt
	for _, kind := range []faultKind{faultClose, faultLost} {
		w.fault(fault{Kind: kind, Surface: surfaceREST, Table: "ds.people", Times: -1})
		answer, err := http.Get("http://" + w.server.addresses.REST + "/projects/proj/datasets/ds/tables/people")
		if err == nil {
			answer.Body.Close()
			t.Errorf("%s: answered %s", kind, answer.Status)
		}
		r, err := http.NewRequest(http.MethodDelete, "http://"+w.server.addresses.Control+"/faults", nil)
		w.must(err)
		cleared, err := http.DefaultClient.Do(r)
		w.must(err)
		cleared.Body.Close()
	}
	w.must(ask())
}
