package main

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"cloud.google.com/go/bigquery"
	"cloud.google.com/go/bigquery/storage/managedwriter"
	"cloud.google.com/go/bigquery/storage/managedwriter/adapt"
	"google.golang.org/api/googleapi"
	"google.golang.org/api/iterator"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
)

const project = "proj"

// world is a stand-in with the official clients connected to it.
type world struct {
	*testing.T
	server *server
	rest   *bigquery.Client
	write  *managedwriter.Client
}

// newWorld starts a stand-in with an empty dataset ds.
func newWorld(t *testing.T) *world {
	t.Helper()
	s, err := start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.stop)
	w := &world{T: t, server: s}
	w.rest, err = bigquery.NewClient(t.Context(), project, option.WithEndpoint("http://"+s.addresses.REST), option.WithoutAuthentication())
	w.must(err)
	t.Cleanup(func() { w.rest.Close() })
	w.write, err = managedwriter.NewClient(t.Context(), project, option.WithEndpoint(s.addresses.Write), option.WithoutAuthentication(),
		option.WithGRPCDialOption(grpc.WithTransportCredentials(insecure.NewCredentials())))
	w.must(err)
	t.Cleanup(func() { w.write.Close() })
	w.must(w.rest.Dataset("ds").Create(t.Context(), &bigquery.DatasetMetadata{Location: "EU"}))
	return w
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// table makes a table in ds, with a primary key if key names columns.
func (w *world) table(name string, schema bigquery.Schema, key ...string) *bigquery.Table {
	w.Helper()
	md := &bigquery.TableMetadata{Schema: schema}
	if len(key) > 0 {
		md.TableConstraints = &bigquery.TableConstraints{PrimaryKey: &bigquery.PrimaryKey{Columns: key}}
	}
	t := w.rest.Dataset("ds").Table(name)
	w.must(t.Create(w.Context(), md))
	return t
}

// writer writes rows of a schema to a stream of a table.
type writer struct {
	*managedwriter.ManagedStream
	message protoreflect.MessageDescriptor
	schema  *descriptorpb.DescriptorProto
}

// messages gives the descriptor that the official adapter makes of a schema, captures
// adding the columns of change data capture.
func (w *world) messages(schema bigquery.Schema, captures bool) (protoreflect.MessageDescriptor, *descriptorpb.DescriptorProto) {
	w.Helper()
	if captures {
		schema = append(schema[:len(schema):len(schema)],
			&bigquery.FieldSchema{Name: changeTypeColumn, Type: bigquery.StringFieldType},
			&bigquery.FieldSchema{Name: sequenceColumn, Type: bigquery.StringFieldType})
	}
	storage, err := adapt.BQSchemaToStorageTableSchema(schema)
	w.must(err)
	d, err := adapt.StorageSchemaToProto2Descriptor(storage, "root")
	w.must(err)
	md := d.(protoreflect.MessageDescriptor)
	normal, err := adapt.NormalizeDescriptor(md)
	w.must(err)
	return md, normal
}

func (w *world) writer(table string, schema bigquery.Schema, captures bool, options ...managedwriter.WriterOption) *writer {
	w.Helper()
	md, normal := w.messages(schema, captures)
	options = append([]managedwriter.WriterOption{
		managedwriter.WithDestinationTable(managedwriter.TableParentFromParts(project, "ds", table)),
		managedwriter.WithType(managedwriter.DefaultStream), managedwriter.WithSchemaDescriptor(normal),
	}, options...)
	s, err := w.write.NewManagedStream(w.Context(), options...)
	w.must(err)
	w.Cleanup(func() { s.Close() })
	return &writer{s, md, normal}
}

// cells are the values of a row by the names of its columns: as protoreflect.ValueOf
// takes them, maps for records, []any for repeated columns.
type cells map[string]any

func (w *writer) row(c cells) []byte {
	data, err := proto.MarshalOptions{AllowPartial: true}.Marshal(message(w.message, c)) // what lacks is the server's to find
	if err != nil {
		panic(err) // a fault of the test itself
	}
	return data
}

func message(md protoreflect.MessageDescriptor, c cells) *dynamicpb.Message {
	m := dynamicpb.NewMessage(md)
	for name, v := range c {
		fd := md.Fields().ByName(protoreflect.Name(name))
		one := func(v any) protoreflect.Value {
			if nested, ok := v.(cells); ok {
				return protoreflect.ValueOfMessage(message(fd.Message(), nested))
			}
			return protoreflect.ValueOf(v)
		}
		if list, ok := v.([]any); ok {
			for _, e := range list {
				m.Mutable(fd).List().Append(one(e))
			}
			continue
		}
		m.Set(fd, one(v))
	}
	return m
}

// send appends rows and waits for the answer.
func (w *world) send(to *writer, rows ...cells) (*managedwriter.AppendResult, error) {
	w.Helper()
	var data [][]byte
	for _, r := range rows {
		data = append(data, to.row(r))
	}
	result, err := to.AppendRows(w.Context(), data)
	if err != nil {
		return nil, err
	}
	_, err = result.GetResult(w.Context())
	return result, err
}

// query gives the rows of a query as text.
func (w *world) query(sql string, parameters ...bigquery.QueryParameter) (string, error) {
	q := w.rest.Query(sql)
	q.Parameters = parameters
	it, err := q.Read(w.Context())
	if err != nil {
		return "", err
	}
	var lines []string
	for {
		var r []bigquery.Value
		err := it.Next(&r)
		if errors.Is(err, iterator.Done) {
			return strings.Join(lines, "; "), nil
		}
		if err != nil {
			return "", err
		}
		var values []string
		for _, v := range r {
			values = append(values, fmt.Sprint(v))
		}
		lines = append(lines, strings.Join(values, " "))
	}
}

func (w *world) expect(want, sql string, parameters ...bigquery.QueryParameter) {
	w.Helper()
	got, err := w.query(sql, parameters...)
	if err != nil {
		w.Fatalf("%s: %v", sql, err)
	}
	if got != want {
		w.Errorf("%s:\ngot  %s\nwant %s", sql, got, want)
	}
}

// refused holds that an error is one of REST's, with this code and text.
func (w *world) refused(err error, code int, text string) {
	w.Helper()
	e, ok := errors.AsType[*googleapi.Error](err)
	if !ok || e.Code != code || !strings.Contains(e.Message, text) {
		w.Errorf("got %v, want %d %s with %q", err, code, http.StatusText(code), text)
	}
}

// refusedWrite holds that an error is one of gRPC's, with this code and text.
func (w *world) refusedWrite(err error, code codes.Code, text string) {
	w.Helper()
	if s, ok := status.FromError(err); !ok || s.Code() != code || !strings.Contains(s.Message(), text) {
		w.Errorf("got %v (%v), want %v with %q", err, s.Code(), code, text)
	}
}
