package bigquery_test

import (
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/drivers/bigquery"
	"github.com/s3db-go/replicator/drivers/drivertest"
	"github.com/s3db-go/replicator/internal/testbed"
)

func TestContract(t *testing.T) {
	drivertest.Run(t, harness)
}

func harness(t *testing.T) drivertest.Harness {
	s := newServer(t)
	o := s.options()
	h := drivertest.Harness{
		Records: func(t *testing.T, target string) []cdc.Record { return s.records(t, target) },
		Want:    stored,
		Bad:     func(r cdc.Record) { r["age"] = "canary-of-a-row" },
		Secret:  "canary-of-a-key",
		Invalid: []drivertest.Invalid{
			{Driver: bigquery.New(bigquery.Options{}), Fields: []string{"ProjectID", "Dataset"}},
			{Driver: bigquery.New(bigquery.Options{ProjectID: "p", Dataset: "d", Credentials: "canary-of-a-key"}), Fields: []string{"Credentials"}},
			{Driver: bigquery.New(bigquery.Options{
				ProjectID: "a/b", Dataset: "a-b", Credentials: `{"type":"service_account","client_email":"a@b","private_key":"canary-of-a-key"}`,
				Endpoint: "http://localhost", Mutability: 9,
				Tables: map[string]bigquery.Table{
					"a.b.c": {}, "d": {Mutability: 9, TimePartitioning: &bigquery.TimePartitioning{Type: "WEEK", Field: "a b"}, Clustering: []string{"a", "b", "c", "d", "_change_type"}},
					"e": {View: "x"}, "f": {View: "a.b", Mutability: bigquery.AppendOnly},
				},
				SchemaSync: bigquery.SchemaSync{Strategy: 9, OnMismatch: 9, DropRows: true},
			}), Fields: []string{
				"ProjectID", "Dataset", "Credentials", "Endpoint", "WriteEndpoint", "Mutability", "Tables", "Type", "Field", "Clustering", "View", "Strategy", "OnMismatch", "DropRows",
			}},
		},
	}
	if s.standIn == nil {
		h.Driver = patient{bigquery.New(o)}
		return h
	}
	rest := testbed.NewProxy(t, "tcp", strings.TrimPrefix(s.standIn.Endpoint, "http://"))
	write := testbed.NewProxy(t, "tcp", s.standIn.WriteEndpoint)
	o.Endpoint, o.WriteEndpoint = "http://"+rest.Addr().String(), write.Addr().String()
	h.Driver = bigquery.New(o)
	h.Break = func() func() {
		resumeREST, resumeWrite := rest.Refuse(), write.Refuse()
		rest.Reset()
		write.Reset()
		return func() {
			resumeREST()
			resumeWrite()
		}
	}
	h.Stall = func() (<-chan struct{}, func()) { return write.Hold() }
	return h
}

// stored gives what a value becomes: in JSON, there are only exact numbers.
func stored(v any) any {
	switch v := v.(type) {
	case nil:
		return drivertest.Absent{}
	case []any, map[string]any:
		return inJSON(v)
	}
	return v
}

func inJSON(v any) any {
	switch v := v.(type) {
	case float64:
		return decimal(fmt.Sprint(v))
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = inJSON(v[i])
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(v))
		for k := range v {
			out[k] = inJSON(v[k])
		}
		return out
	}
	return v
}

// TestOpenJudges: what is certainly wrong is told from what does not answer.
func TestOpenJudges(t *testing.T) {
	s := newStandIn(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close() // nobody listens there now
	away := s.options()
	away.Endpoint, away.WriteEndpoint = "http://"+l.Addr().String(), l.Addr().String()
	if err := bigquery.New(away).Open(t.Context()); cdc.FaultOf(err) != cdc.DestinationFault {
		t.Errorf("nobody answers: %s %v", cdc.FaultOf(err), err)
	}
	for kind, want := range map[string]cdc.Fault{"denied": cdc.RecordFault, "exhausted": cdc.DestinationFault, "unavailable": cdc.DestinationFault, "close": cdc.DestinationFault} {
		s.standIn.Fault(t, testbed.BigQueryFault{Kind: kind, Surface: "rest", Times: -1})
		d := bigquery.New(s.options())
		if err := d.Open(t.Context()); cdc.FaultOf(err) != want {
			t.Errorf("%s: %s %v", kind, cdc.FaultOf(err), err)
		}
		if err := d.Apply(t.Context(), []cdc.Delivery{put(1, "people", id("a"), cdc.Record{})}); cdc.FaultOf(err) != cdc.DestinationFault {
			t.Errorf("a driver that is not open: %v", err)
		}
		s.standIn.ClearFaults(t)
	}
}
