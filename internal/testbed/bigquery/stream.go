package main

import (
	"context"
	"fmt"

	"cloud.google.com/go/bigquery/storage/apiv1/storagepb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// CreateWriteStream makes a COMMITTED, BUFFERED or PENDING stream of a table.
func (a *writeAPI) CreateWriteStream(_ context.Context, r *storagepb.CreateWriteStreamRequest) (*storagepb.WriteStream, error) {
	a.catalog.mu.Lock()
	defer a.catalog.mu.Unlock()
	t, _, err := a.target(r.Parent)
	if err != nil {
		return nil, err
	}
	kind := r.GetWriteStream().GetType()
	if kind == storagepb.WriteStream_TYPE_UNSPECIFIED {
		return nil, status.Error(codes.InvalidArgument, "The type of the stream is missing")
	}
	s := &writeStream{name: fmt.Sprintf("%s/streams/s%d", r.Parent, len(a.streams)+1), kind: kind, table: t}
	a.streams[s.name] = s
	return s.answer(), nil
}

// GetWriteStream tells of a stream; with the full view, also its table's schema.
func (a *writeAPI) GetWriteStream(_ context.Context, r *storagepb.GetWriteStreamRequest) (*storagepb.WriteStream, error) {
	a.catalog.mu.Lock()
	defer a.catalog.mu.Unlock()
	s, err := a.stream(r.Name)
	if err != nil {
		return nil, err
	}
	answer := s.answer()
	if r.View == storagepb.WriteStreamView_FULL {
		answer.TableSchema = storageSchema(s.table.columns())
	}
	return answer, nil
}

// FinalizeWriteStream closes a created stream for rows.
func (a *writeAPI) FinalizeWriteStream(_ context.Context, r *storagepb.FinalizeWriteStreamRequest) (*storagepb.FinalizeWriteStreamResponse, error) {
	a.catalog.mu.Lock()
	defer a.catalog.mu.Unlock()
	s, err := a.stream(r.Name)
	if err != nil {
		return nil, err
	}
	if s.standard {
		return nil, storageError(codes.InvalidArgument, storagepb.StorageError_INVALID_STREAM_TYPE, r.Name, "The default stream can't be finalized")
	}
	s.finalized = true
	return &storagepb.FinalizeWriteStreamResponse{RowCount: s.count}, nil
}

// BatchCommitWriteStreams makes the rows of finalized PENDING streams visible, all or
// none.
func (a *writeAPI) BatchCommitWriteStreams(_ context.Context, r *storagepb.BatchCommitWriteStreamsRequest) (*storagepb.BatchCommitWriteStreamsResponse, error) {
	a.catalog.mu.Lock()
	defer a.catalog.mu.Unlock()
	if _, _, err := a.target(r.Parent); err != nil {
		return nil, err
	}
	var streams []*writeStream
	var wrong []*storagepb.StorageError
	for _, name := range r.WriteStreams {
		s, err := a.stream(name)
		code := storagepb.StorageError_STORAGE_ERROR_CODE_UNSPECIFIED
		switch {
		case err != nil:
			code = storagepb.StorageError_STREAM_NOT_FOUND
		case s.kind != storagepb.WriteStream_PENDING:
			code = storagepb.StorageError_INVALID_STREAM_TYPE
		case s.committed:
			code = storagepb.StorageError_STREAM_ALREADY_COMMITTED
		case !s.finalized:
			code = storagepb.StorageError_INVALID_STREAM_STATE
		}
		if code != storagepb.StorageError_STORAGE_ERROR_CODE_UNSPECIFIED {
			wrong = append(wrong, &storagepb.StorageError{Code: code, Entity: name, ErrorMessage: code.String()})
			continue
		}
		streams = append(streams, s)
	}
	if len(wrong) > 0 {
		return &storagepb.BatchCommitWriteStreamsResponse{StreamErrors: wrong}, nil
	}
	for _, s := range streams {
		s.table.apply(s.pending)
		s.pending, s.committed = nil, true
	}
	return &storagepb.BatchCommitWriteStreamsResponse{CommitTime: timestamppb.Now()}, nil
}

// FlushRows makes the rows of a BUFFERED stream visible up to an offset, inclusive.
func (a *writeAPI) FlushRows(_ context.Context, r *storagepb.FlushRowsRequest) (*storagepb.FlushRowsResponse, error) {
	a.catalog.mu.Lock()
	defer a.catalog.mu.Unlock()
	s, err := a.stream(r.WriteStream)
	if err != nil {
		return nil, err
	}
	if s.kind != storagepb.WriteStream_BUFFERED {
		return nil, storageError(codes.InvalidArgument, storagepb.StorageError_INVALID_STREAM_TYPE, s.name, "Only a BUFFERED stream can be flushed")
	}
	if r.Offset == nil || r.Offset.Value >= s.count {
		return nil, status.Errorf(codes.OutOfRange, "The offset is beyond the %d rows of the stream", s.count)
	}
	if n := r.Offset.Value + 1 - s.flushed; n > 0 {
		s.table.apply(s.pending[:n])
		s.pending = s.pending[n:]
		s.flushed += n
	}
	return &storagepb.FlushRowsResponse{Offset: r.Offset.Value}, nil
}

func (s *writeStream) answer() *storagepb.WriteStream {
	return &storagepb.WriteStream{
		Name: s.name, Type: s.kind, CreateTime: timestamppb.Now(),
		WriteMode: storagepb.WriteStream_INSERT, Location: "us",
	}
}
