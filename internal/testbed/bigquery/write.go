package main

import (
	"errors"
	"fmt"
	"io"
	"regexp"

	"cloud.google.com/go/bigquery/storage/apiv1/storagepb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// maxAppend is how large a request to append may be: 20 MB, as the vendor states it.
const maxAppend = 20_000_000

// writeAPI is the Storage Write API. The streams are guarded by the catalog's lock.
type writeAPI struct {
	storagepb.UnimplementedBigQueryWriteServer
	catalog *catalog
	faults  *faults
	streams map[string]*writeStream // those that an application created, by name
}

// writeStream is a stream of a table: its default one, or one that was created.
type writeStream struct {
	name      string
	kind      storagepb.WriteStream_Type // COMMITTED for the default one
	standard  bool                       // the default one
	table     *table
	pending   []change // of BUFFERED and PENDING, not visible yet
	count     int64    // rows appended
	flushed   int64    // of them visible, for BUFFERED
	finalized bool
	committed bool
}

var streamName = regexp.MustCompile(`^projects/([^/]+)/datasets/([^/]+)/tables/([^/]+)(?:/streams/([^/]+)|/(_default))?$`)

// noEntity is the error for a table or stream that is not there.
func noEntity(what storagepb.StorageError_StorageErrorCode, name string) error {
	return storageError(codes.NotFound, what, name, "Requested entity was not found. Entity: "+name)
}

// target finds a table by its own name or that of one of its streams.
func (a *writeAPI) target(name string) (t *table, stream string, err error) {
	m := streamName.FindStringSubmatch(name)
	if m == nil {
		return nil, "", status.Errorf(codes.InvalidArgument, "Invalid stream name. Entity: %s", name)
	}
	t, err = a.catalog.table(m[1], m[2], m[3])
	if err != nil {
		return nil, "", noEntity(storagepb.StorageError_TABLE_NOT_FOUND, name)
	}
	if t.resource.View != nil {
		return nil, "", status.Errorf(codes.InvalidArgument, "Can't write to a view. Entity: %s", name)
	}
	return t, m[4] + m[5], nil
}

// stream finds a stream. Each call gives a default stream anew; it has no state.
func (a *writeAPI) stream(name string) (*writeStream, error) {
	t, id, err := a.target(name)
	if err != nil {
		return nil, err
	}
	if id == "_default" {
		return &writeStream{name: name, kind: storagepb.WriteStream_COMMITTED, standard: true, table: t}, nil
	}
	s := a.streams[name]
	if s == nil || s.table != t { // a table that was made again has none of the former's
		return nil, noEntity(storagepb.StorageError_STREAM_NOT_FOUND, name)
	}
	return s, nil
}

// storageError is an error with the code by which the vendor's clients tell it.
func storageError(code codes.Code, storage storagepb.StorageError_StorageErrorCode, entity, message string) error {
	s, err := status.New(code, message).WithDetails(&storagepb.StorageError{Code: storage, Entity: entity, ErrorMessage: message})
	if err != nil {
		return status.Error(code, message)
	}
	return s.Err()
}

// connection is what one call of AppendRows remembers between its requests.
type connection struct {
	name     string // of the stream that the last request named
	message  protoreflect.MessageDescriptor
	revision map[*table]int // of the schema that the client was told of, or found
}

// AppendRows answers each request of a connection in turn. What is wrong with a request
// or its rows is said in its answer; what is wrong with the stream ends the connection.
func (a *writeAPI) AppendRows(conn storagepb.BigQueryWrite_AppendRowsServer) error {
	c := &connection{revision: map[*table]int{}}
	for {
		r, err := conn.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if r.WriteStream != "" {
			c.name = r.WriteStream
		}
		at := ""
		if m := streamName.FindStringSubmatch(c.name); m != nil {
			at = m[2] + "." + m[3]
		}
		kind := a.faults.take(surfaceWrite, at)
		if err := kind.asGRPC(c.name); err != nil && kind != faultLost {
			return err
		}
		answer, err := a.append(c, r)
		if err != nil {
			return err
		}
		if kind == faultLost {
			return kind.asGRPC(c.name)
		}
		if err := conn.Send(answer); err != nil {
			return err
		}
	}
}

// append applies one request, all of it or nothing.
func (a *writeAPI) append(c *connection, r *storagepb.AppendRowsRequest) (*storagepb.AppendRowsResponse, error) {
	a.catalog.mu.Lock()
	defer a.catalog.mu.Unlock()
	s, err := a.stream(c.name)
	if err != nil {
		return nil, err
	}
	refused := func(err error) (*storagepb.AppendRowsResponse, error) {
		return &storagepb.AppendRowsResponse{
			Response:    &storagepb.AppendRowsResponse_Error{Error: status.Convert(err).Proto()},
			WriteStream: c.name,
		}, nil
	}
	if err := c.adopt(s, r); err != nil {
		return refused(err)
	}
	if n := proto.Size(r); n > maxAppend {
		return refused(status.Errorf(codes.InvalidArgument, "MessageSize is too large. Max allow: %d Actual: %d", maxAppend, n))
	}
	if err := s.accepts(c, r.Offset); err != nil {
		return refused(err)
	}
	changes, bad := decodeAll(c.message, s.table, r.GetProtoRows().GetRows().GetSerializedRows())
	if len(bad) > 0 {
		answer, err := refused(status.Errorf(codes.InvalidArgument, "Errors found while processing rows. Please refer to the row_errors field for details. "+
			"The list may not be complete because of the size limitations. Entity: %s", c.name))
		answer.RowErrors = bad
		return answer, err
	}
	result := &storagepb.AppendRowsResponse_AppendResult{}
	if !s.standard {
		result.Offset = wrapperspb.Int64(s.count)
	}
	s.take(changes)
	answer := &storagepb.AppendRowsResponse{
		Response:    &storagepb.AppendRowsResponse_AppendResult_{AppendResult: result},
		WriteStream: c.name,
	}
	if known := c.revision[s.table]; known != s.table.schemaRevision {
		answer.UpdatedSchema = storageSchema(s.table.columns())
		c.revision[s.table] = s.table.schemaRevision
	}
	return answer, nil
}

// adopt takes over the writer's schema that a request brings, and judges the present one
// by the table as it is now.
func (c *connection) adopt(s *writeStream, r *storagepb.AppendRowsRequest) error {
	if r.GetArrowRows() != nil {
		return status.Error(codes.Unimplemented, "The stand-in knows rows as protocol buffers only")
	}
	// After the first request, only default streams take another schema.
	if d := r.GetProtoRows().GetWriterSchema().GetProtoDescriptor(); d != nil && (c.message == nil || s.standard) {
		md, err := descriptor(d)
		if err != nil {
			return status.Error(codes.InvalidArgument, err.Error())
		}
		c.message = md
		c.revision[s.table] = s.table.schemaRevision
	}
	if c.message == nil {
		return status.Error(codes.InvalidArgument, "Schema is missing in the first request of the connection")
	}
	if _, ok := c.revision[s.table]; !ok {
		c.revision[s.table] = s.table.schemaRevision
	}
	err := fits(c.message, s.table.columns(), "")
	if extra, ok := errors.AsType[extraFields](err); ok {
		return storageError(codes.InvalidArgument, storagepb.StorageError_SCHEMA_MISMATCH_EXTRA_FIELDS, c.name, extra.Error()+" Entity: "+c.name)
	}
	if err != nil {
		return status.Error(codes.InvalidArgument, err.Error()+" Entity: "+c.name)
	}
	return nil
}

// accepts judges whether the stream takes rows now, at this offset, from this writer.
func (s *writeStream) accepts(c *connection, offset *wrapperspb.Int64Value) error {
	captures := fieldOf(c.message, changeTypeColumn) != nil
	switch {
	case s.finalized:
		return storageError(codes.InvalidArgument, storagepb.StorageError_STREAM_FINALIZED, s.name, "Stream has been finalized and cannot be appended. Entity: "+s.name)
	case offset != nil && s.standard:
		return status.Error(codes.InvalidArgument, "Offset can't be specified for the default stream")
	case offset != nil && offset.Value < s.count:
		return storageError(codes.AlreadyExists, storagepb.StorageError_OFFSET_ALREADY_EXISTS, s.name,
			fmt.Sprintf("The offset is within stream, expected offset %d, received %d", s.count, offset.Value))
	case offset != nil && offset.Value > s.count:
		return storageError(codes.OutOfRange, storagepb.StorageError_OFFSET_OUT_OF_RANGE, s.name,
			fmt.Sprintf("The offset is beyond stream, expected offset %d, received %d", s.count, offset.Value))
	case !captures && fieldOf(c.message, sequenceColumn) != nil:
		return status.Error(codes.InvalidArgument, sequenceColumn+" needs "+changeTypeColumn)
	case captures && !s.standard:
		return status.Error(codes.InvalidArgument, "Change data capture needs the default stream. Entity: "+s.name)
	case captures && len(s.table.key()) == 0:
		return status.Error(codes.InvalidArgument, "Change data capture needs a table with a primary key. Entity: "+s.name)
	case !captures && s.table.byKey != nil:
		return status.Error(codes.InvalidArgument, "The stand-in does not know how rows without "+changeTypeColumn+" mix with captured changes. Entity: "+s.name)
	}
	return nil
}

func decodeAll(md protoreflect.MessageDescriptor, t *table, rows [][]byte) (changes []change, bad []*storagepb.RowError) {
	for i, data := range rows {
		c, err := decode(md, t, data)
		if err != nil {
			bad = append(bad, &storagepb.RowError{Index: int64(i), Code: storagepb.RowError_FIELDS_ERROR, Message: err.Error()})
			continue
		}
		changes = append(changes, c)
	}
	return changes, bad
}

// take makes rows visible, or keeps them until that is asked for.
func (s *writeStream) take(changes []change) {
	s.count += int64(len(changes))
	if s.kind != storagepb.WriteStream_COMMITTED {
		s.pending = append(s.pending, changes...)
		return
	}
	s.table.apply(changes)
}

func (t *table) apply(changes []change) {
	for _, c := range changes {
		if c.kind == "" {
			t.append(c.row)
		} else {
			t.capture(c)
		}
	}
}
