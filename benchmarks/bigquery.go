package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"strconv"
	"testing"

	cloud "cloud.google.com/go/bigquery"
	"cloud.google.com/go/bigquery/storage/managedwriter"
	"cloud.google.com/go/bigquery/storage/managedwriter/adapt"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/drivers/bigquery"
	"github.com/s3db-go/replicator/internal/testbed"
)

const (
	// appends is how many requests are under way at a time, and appendRows how many rows
	// each has: the driver's own figures.
	appends    = 8
	appendRows = 500
	// appendPace is how many rows a second of measuring stands for: about what the
	// stand-in takes.
	appendPace = 100_000
	project    = "benchmark"
	dataset    = "shop"
)

// bigqueryCase measures how many changes a second get to a table through the Storage
// Write API, as upserts by key. The stand-in for BigQuery is a process of its own, and
// checks every row. It first has one processor, as if the others were not its machine's;
// then it takes what it gets, and is most of what is measured.
func bigqueryCase(c config, emit func(line)) error {
	b := new(bed)
	defer b.Close()
	alone, ok, err := get(b, oneProcessor)
	if !ok {
		return err
	}
	if err := bigqueryServer(c, "bigquery", alone, true, emit); err != nil {
		return err
	}
	shared, _, err := get(b, testbed.BigQuery)
	if err != nil {
		return err
	}
	return bigqueryServer(c, "bigquery-shared", shared, false, emit)
}

// oneProcessor starts a stand-in that uses one at a time.
func oneProcessor(t testing.TB) *testbed.BigQueryServer {
	const setting = "GOMAXPROCS" // which this process has read already
	before, was := os.LookupEnv(setting)
	if err := os.Setenv(setting, "1"); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if was {
			os.Setenv(setting, before)
		} else {
			os.Unsetenv(setting)
		}
	}()
	return testbed.BigQuery(t)
}

// bigqueryServer measures on one stand-in.
func bigqueryServer(c config, name string, server *testbed.BigQueryServer, whole bool, emit func(line)) error {
	w, err := openWarehouse(server)
	if err != nil {
		return err
	}
	defer w.Close()
	records := c.records(appendPace)
	ours := func(measure way) func() (pace, error) {
		return func() (pace, error) {
			return w.use(records, func() (pace, error) {
				return inDirectory(c, func(dir string) (pace, error) {
					return measure(dir, "r-", records, bigquery.New(bigquery.Options{
						ProjectID: project, Dataset: dataset, Endpoint: server.Endpoint, WriteEndpoint: server.WriteEndpoint,
					}), settled)
				})
			})
		}
	}
	limit := func() (pace, error) {
		return w.use(records, func() (pace, error) { return w.appendAll(deliveries("b-", records)) })
	}
	turns := []turn{{"drain", ours(drainJournal)}, {"limit", limit}, {"limit again", limit}}
	if whole {
		turns = append(turns, turn{"end to end", ours(endToEnd)})
	}
	samples, err := inTurns(c, appends, turns)
	if err != nil {
		return err
	}
	judgeCarried(name+"-drain", "drain", records, samples, emit)
	if whole {
		judgeCarried(name+"-end-to-end", "end to end", records, samples, emit)
	}
	again(name, records, samples, emit)
	return nil
}

// warehouse is the stand-in with the official clients.
type warehouse struct {
	tables  *cloud.Client
	write   *managedwriter.Client
	columns map[string]protowire.Number
	message *descriptorpb.DescriptorProto
}

// orderColumns are the table that the driver makes, in no particular order.
func orderColumns() cloud.Schema {
	schema := cloud.Schema{{Name: "id", Type: cloud.StringFieldType, Required: true}}
	for _, name := range []string{"name", "email", "city", "street", "note", "phone"} {
		schema = append(schema, &cloud.FieldSchema{Name: name, Type: cloud.StringFieldType})
	}
	return append(schema, &cloud.FieldSchema{Name: "total", Type: cloud.FloatFieldType}, &cloud.FieldSchema{Name: "items", Type: cloud.IntegerFieldType},
		&cloud.FieldSchema{Name: "paid", Type: cloud.BooleanFieldType})
}

func openWarehouse(server *testbed.BigQueryServer) (*warehouse, error) {
	ctx := context.Background()
	w := &warehouse{columns: map[string]protowire.Number{}}
	captured := append(orderColumns(), &cloud.FieldSchema{Name: "_CHANGE_TYPE", Type: cloud.StringFieldType},
		&cloud.FieldSchema{Name: "_CHANGE_SEQUENCE_NUMBER", Type: cloud.StringFieldType})
	for i, column := range captured {
		w.columns[column.Name] = protowire.Number(i + 1)
	}
	storage, err := adapt.BQSchemaToStorageTableSchema(captured)
	if err != nil {
		return nil, err
	}
	descriptor, err := adapt.StorageSchemaToProto2Descriptor(storage, "root")
	if err != nil {
		return nil, err
	}
	message, ok := descriptor.(protoreflect.MessageDescriptor)
	if !ok {
		return nil, fmt.Errorf("the schema became a %T", descriptor)
	}
	if w.message, err = adapt.NormalizeDescriptor(message); err != nil {
		return nil, err
	}
	if w.tables, err = cloud.NewClient(ctx, project, option.WithEndpoint(server.Endpoint), option.WithoutAuthentication()); err != nil {
		return nil, err
	}
	w.write, err = managedwriter.NewClient(ctx, project, option.WithEndpoint(server.WriteEndpoint), option.WithoutAuthentication(),
		option.WithGRPCDialOption(grpc.WithTransportCredentials(insecure.NewCredentials())))
	if err == nil {
		err = w.tables.Dataset(dataset).Create(ctx, nil)
	}
	return w, err
}

func (w *warehouse) Close() error { return errors.Join(w.write.Close(), w.tables.Close()) }

// use measures with a new table, which in the end must hold so many rows.
func (w *warehouse) use(rows int, measure func() (pace, error)) (p pace, err error) {
	ctx := context.Background()
	table := w.tables.Dataset(dataset).Table("orders")
	err = table.Create(ctx, &cloud.TableMetadata{
		Schema: orderColumns(), TableConstraints: &cloud.TableConstraints{PrimaryKey: &cloud.PrimaryKey{Columns: []string{"id"}}},
	})
	if err != nil {
		return pace{}, err
	}
	defer func() { err = errors.Join(err, table.Delete(ctx)) }()
	if p, err = measure(); err != nil {
		return p, err
	}
	it, err := w.tables.Query("SELECT COUNT(*) AS n FROM `" + dataset + ".orders`").Read(ctx)
	if err != nil {
		return p, err
	}
	var counted struct{ N int }
	if err := it.Next(&counted); err != nil {
		return p, err
	}
	if counted.N != rows {
		return p, fmt.Errorf("the table holds %d rows of %d", counted.N, rows)
	}
	return p, nil
}

// appendAll encodes and appends the same rows, as many requests at a time, and does
// nothing else.
func (w *warehouse) appendAll(all []cdc.Delivery) (pace, error) {
	ctx := context.Background()
	stream, err := w.write.NewManagedStream(ctx, managedwriter.WithType(managedwriter.DefaultStream), managedwriter.WithSchemaDescriptor(w.message),
		managedwriter.WithDestinationTable(managedwriter.TableParentFromParts(project, dataset, "orders")))
	if err != nil {
		return pace{}, err
	}
	defer stream.Close() // its error is that it is closed
	s := beginStretch()
	err = share(appends, (len(all)+appendRows-1)/appendRows, func(i int) error {
		batch := all[i*appendRows : min(i*appendRows+appendRows, len(all))]
		rows := make([][]byte, len(batch))
		for i, d := range batch {
			rows[i] = w.row(d)
		}
		result, err := stream.AppendRows(ctx, rows)
		if err == nil {
			_, err = result.GetResult(ctx)
		}
		return err
	})
	return s.pace(len(all)), err
}

// row encodes a record as generated code would.
func (w *warehouse) row(d cdc.Delivery) []byte {
	out := make([]byte, 0, 256)
	text := func(column, s string) {
		out = protowire.AppendString(protowire.AppendTag(out, w.columns[column], protowire.BytesType), s)
	}
	for column, v := range d.Record {
		switch v := v.(type) {
		case string:
			text(column, v)
		case int64:
			out = protowire.AppendVarint(protowire.AppendTag(out, w.columns[column], protowire.VarintType), uint64(v))
		case bool:
			out = protowire.AppendVarint(protowire.AppendTag(out, w.columns[column], protowire.VarintType), protowire.EncodeBool(v))
		case float64:
			out = protowire.AppendFixed64(protowire.AppendTag(out, w.columns[column], protowire.Fixed64Type), math.Float64bits(v))
		}
	}
	text("_CHANGE_TYPE", "UPSERT")
	text("_CHANGE_SEQUENCE_NUMBER", strconv.FormatUint(d.Version, 16))
	return out
}
