package bigquery_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	bq "cloud.google.com/go/bigquery"
	"cloud.google.com/go/civil"
	"google.golang.org/api/googleapi"
	"google.golang.org/api/iterator"
	"google.golang.org/api/option"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/drivers/bigquery"
	"github.com/s3db-go/replicator/internal/testbed"
)

// server is the stand-in, or the service itself where BIGQUERY_PROJECT names a project
// and the environment has credentials. It has one dataset, of the test's own unless
// BIGQUERY_DATASET names one.
type server struct {
	project, dataset string
	standIn          *testbed.BigQueryServer // nil for the service
	client           *bq.Client
}

func newServer(t testing.TB) *server {
	t.Helper()
	s := &server{project: os.Getenv("BIGQUERY_PROJECT"), dataset: os.Getenv("BIGQUERY_DATASET")}
	var opts []option.ClientOption
	if s.project == "" {
		s.project, s.dataset = "project", "shop"
		s.standIn = testbed.BigQuery(t)
		opts = []option.ClientOption{option.WithEndpoint(s.standIn.Endpoint), option.WithoutAuthentication()}
	}
	own := s.dataset == ""
	if own {
		s.dataset = fmt.Sprintf("replicator_test_%d", time.Now().UnixNano())
	}
	var err error
	if s.client, err = bq.NewClient(t.Context(), s.project, opts...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if own {
			if err := s.client.Dataset(s.dataset).DeleteWithContents(context.Background()); err != nil && !isCode(err, http.StatusNotFound) {
				t.Errorf("the dataset %s is left behind: %v", s.dataset, err)
			}
		}
		s.client.Close()
	})
	return s
}

// newStandIn is for tests of what the service can't be made to do.
func newStandIn(t testing.TB) *server {
	t.Helper()
	t.Setenv("BIGQUERY_PROJECT", "")
	return newServer(t)
}

// options are those of a driver for the server.
func (s *server) options() bigquery.Options {
	o := bigquery.Options{ProjectID: s.project, Dataset: s.dataset}
	if s.standIn != nil {
		o.Endpoint, o.WriteEndpoint = s.standIn.Endpoint, s.standIn.WriteEndpoint
	}
	return o
}

// open gives an open driver.
func open(t testing.TB, o bigquery.Options) *bigquery.Driver {
	t.Helper()
	d := bigquery.New(o)
	if err := d.Validate(); err != nil {
		t.Fatal(err)
	}
	if err := d.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// table makes a table, with a primary key if key names columns.
func (s *server) table(t testing.TB, name string, schema bq.Schema, key ...string) {
	t.Helper()
	if err := s.client.Dataset(s.dataset).Create(t.Context(), nil); err != nil && !isCode(err, http.StatusConflict) {
		t.Fatal(err)
	}
	md := &bq.TableMetadata{Schema: schema}
	if len(key) > 0 {
		md.TableConstraints = &bq.TableConstraints{PrimaryKey: &bq.PrimaryKey{Columns: key}}
	}
	if err := s.client.Dataset(s.dataset).Table(name).Create(t.Context(), md); err != nil {
		t.Fatal(err)
	}
}

// metadata describes a table, nil if there is none.
func (s *server) metadata(t testing.TB, name string) *bq.TableMetadata {
	t.Helper()
	md, err := s.client.Dataset(s.dataset).Table(name).Metadata(t.Context())
	if isCode(err, http.StatusNotFound) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	return md
}

func (s *server) drop(t testing.TB, name string) {
	t.Helper()
	if err := s.client.Dataset(s.dataset).Table(name).Delete(t.Context()); err != nil && !isCode(err, http.StatusNotFound) {
		t.Fatal(err)
	}
}

func isCode(err error, code int) bool {
	e, ok := errors.AsType[*googleapi.Error](err)
	return ok && e.Code == code
}

// read gives a table's or view's rows, without what is NULL. One that is not there has
// none.
func (s *server) read(t testing.TB, name string) []cdc.Record {
	t.Helper()
	if !strings.Contains(name, ".") {
		name = s.dataset + "." + name
	}
	it, err := s.client.Query("SELECT * FROM `" + s.project + "." + name + "`").Read(t.Context())
	if isCode(err, http.StatusNotFound) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	var out []cdc.Record
	for {
		var row map[string]bq.Value
		switch err := it.Next(&row); {
		case errors.Is(err, iterator.Done):
			return out
		case err != nil:
			t.Fatal(err)
		}
		r := cdc.Record{}
		for _, f := range it.Schema {
			if v := decode(t, f, row[f.Name]); v != nil {
				r[f.Name] = v
			}
		}
		out = append(out, r)
	}
}

// records gives the rows as records, without the driver's own columns.
func (s *server) records(t testing.TB, name string) []cdc.Record {
	t.Helper()
	rows := s.read(t, name)
	for _, r := range rows {
		maps.DeleteFunc(r, func(name string, _ any) bool { return strings.HasPrefix(name, "_") })
	}
	return rows
}

// decode gives a value as a record has it.
func decode(t testing.TB, f *bq.FieldSchema, v bq.Value) any {
	t.Helper()
	switch v := v.(type) {
	case nil:
		return nil
	case []bq.Value:
		out := []any{}
		one := *f
		one.Repeated = false
		for _, e := range v {
			out = append(out, decode(t, &one, e))
		}
		if len(out) == 0 && f.Type != bq.RecordFieldType {
			return nil // an empty ARRAY is the same as none
		}
		return out
	case map[string]bq.Value:
		out := map[string]any{}
		for _, inner := range f.Schema {
			if e := decode(t, inner, v[inner.Name]); e != nil {
				out[inner.Name] = e
			}
		}
		return out
	case *big.Rat:
		d, err := cdc.ParseDecimal(v.FloatString(38))
		if err != nil {
			t.Fatal(err)
		}
		return d
	case civil.Date:
		return v.String()
	case civil.DateTime, civil.Time:
		whole, fraction, _ := strings.Cut(fmt.Sprint(v), ".")
		return strings.TrimSuffix(whole+"."+strings.TrimRight(fraction, "0"), ".")
	case string:
		if f.Type != bq.JSONFieldType {
			return v
		}
		var out any
		dec := json.NewDecoder(strings.NewReader(v))
		dec.UseNumber()
		if err := dec.Decode(&out); err != nil {
			t.Fatal(err)
		}
		return normal(t, out)
	}
	return normal(t, v)
}

func normal(t testing.TB, v any) any {
	t.Helper()
	n, err := cdc.NormalizeValue(v)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// put and drop make deliveries; their versions grow with n.

func put(n uint64, target string, key, record cdc.Record) cdc.Delivery {
	whole := record.Clone()
	maps.Copy(whole, key)
	return cdc.Delivery{
		Change: cdc.Change{
			ChangeID: cdc.ID{12: byte(n >> 24), 13: byte(n >> 16), 14: byte(n >> 8), 15: byte(n)}, Seq: n, Version: n, Op: cdc.Updated, Resource: target,
			RecordID: fmt.Sprint(key), Time: time.UnixMicro(int64(n)).UTC(),
		},
		Target: target, Key: key, Record: whole,
	}
}

func drop(n uint64, target string, key, last cdc.Record) cdc.Delivery {
	d := put(n, target, key, cdc.Record{})
	d.Op, d.Record, d.Before = cdc.Deleted, nil, last
	return d
}

func id(v any) cdc.Record { return cdc.Record{"id": v} }

func decimal(text string) cdc.Decimal {
	d, err := cdc.ParseDecimal(text)
	if err != nil {
		panic(err)
	}
	return d
}

// apply gives the error of each delivery. The service may need minutes to know a table
// or column that was just made.
func apply(t testing.TB, d cdc.Driver, batch ...cdc.Delivery) []error {
	t.Helper()
	err := patient{d}.Apply(t.Context(), batch)
	if answer, ok := errors.AsType[*cdc.BatchError](err); ok {
		return answer.Errs
	}
	return slices.Repeat([]error{err}, len(batch))
}

func mustApply(t testing.TB, d cdc.Driver, batch ...cdc.Delivery) {
	t.Helper()
	for i, err := range apply(t, d, batch...) {
		if err != nil {
			t.Fatalf("delivery %d: %v", i, err)
		}
	}
}

// patient tries again what is not available, if it is the service that is tested.
type patient struct{ cdc.Driver }

func (p patient) Apply(ctx context.Context, batch []cdc.Delivery) error {
	if os.Getenv("BIGQUERY_PROJECT") == "" {
		return p.Driver.Apply(ctx, batch)
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	for {
		err := p.Driver.Apply(ctx, batch)
		answer, itemised := errors.AsType[*cdc.BatchError](err)
		again := cdc.FaultOf(err) == cdc.DestinationFault
		if itemised {
			again = slices.ContainsFunc(answer.Errs, func(err error) bool { return cdc.FaultOf(err) == cdc.DestinationFault })
		}
		if !again {
			return err
		}
		select {
		case <-time.After(5 * time.Second):
		case <-ctx.Done():
			return err
		}
	}
}

// holds compares a table's records, in the order of a column, with what is wanted.
func (s *server) holds(t testing.TB, name, by string, want ...cdc.Record) {
	t.Helper()
	got := s.records(t, name)
	slices.SortFunc(got, func(a, b cdc.Record) int { return strings.Compare(fmt.Sprint(a[by]), fmt.Sprint(b[by])) })
	if !slices.EqualFunc(got, want, cdc.Record.Equal) {
		t.Errorf("%s holds\n%v, want\n%v", name, got, want)
	}
}
