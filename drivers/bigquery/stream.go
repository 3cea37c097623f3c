package bigquery

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"cloud.google.com/go/bigquery/storage/managedwriter"
	rest "google.golang.org/api/bigquery/v2"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"
)

// clients are the connections of a driver that is open.
type clients struct {
	rest  *rest.Service
	write *managedwriter.Client
}

// connect makes the clients. Nothing is sent yet.
func (o Options) connect(ctx context.Context) (*clients, error) {
	ctx = context.WithoutCancel(ctx) // they outlive the call
	forREST := slices.Clone(o.ClientOptions)
	if o.Credentials != "" {
		forREST = append(forREST, option.WithAuthCredentialsJSON(option.ServiceAccount, []byte(o.Credentials)))
	}
	if o.Endpoint != "" {
		forREST = append(forREST, option.WithoutAuthentication())
	}
	forWrite := append(slices.Clone(forREST),
		option.WithGRPCDialOption(grpc.WithChainStreamInterceptor(openOnce)),
		option.WithGRPCDialOption(grpc.WithChainUnaryInterceptor(askOnce)),
		// A batch of ordinary records is more than 100 KB: at gRPC's own 32 KB it takes four
		// system calls, which is a tenth of what a change takes of the processors.
		option.WithGRPCDialOption(grpc.WithWriteBufferSize(256<<10)),
		// A peer that is gone without a word would be noticed after a quarter of an hour. More
		// often than once a minute, servers take it for an attack.
		option.WithGRPCDialOption(grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: time.Minute, Timeout: 20 * time.Second})))
	if o.Endpoint != "" {
		forREST = append(forREST, option.WithEndpoint(strings.TrimSuffix(o.Endpoint, "/")+"/"))
		forWrite = append(forWrite, option.WithEndpoint(o.WriteEndpoint),
			option.WithGRPCDialOption(grpc.WithTransportCredentials(insecure.NewCredentials())))
	}
	service, err := rest.NewService(ctx, forREST...)
	if err != nil {
		return nil, err
	}
	write, err := managedwriter.NewClient(ctx, o.ProjectID, forWrite...)
	if err != nil {
		return nil, err
	}
	return &clients{service, write}, nil
}

// openOnce and askOnce hide the code of an error from the client, which would otherwise
// try again for as long as it is there, holding a lock: the engine does that, and knows
// when to stop.

func openOnce(ctx context.Context, d *grpc.StreamDesc, c *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	s, err := open(ctx, d, c, method, opts...)
	if err != nil {
		return nil, &onceError{status.Convert(err)}
	}
	return s, nil
}

func askOnce(ctx context.Context, method string, request, answer any, c *grpc.ClientConn, ask grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	if err := ask(ctx, method, request, answer, c, opts...); err != nil {
		return &onceError{status.Convert(err)}
	}
	return nil
}

type onceError struct{ status *status.Status }

func (e *onceError) Error() string { return e.status.Message() }

// stream writes rows of one shape to a table. Its numbers are guarded by the target's
// mu.
type stream struct {
	managed *managedwriter.ManagedStream
	table   *table // whose message its rows are
	end     context.CancelFunc
	users   int
	retired bool // nobody takes it any more; the last user closes it
}

// stream gives the stream for rows of the table as it was when they were encoded. Who
// gets it gives it back.
func (d *Driver) stream(ctx context.Context, c *clients, t *target, of *table) (*stream, error) {
	if s := t.take(of); s != nil {
		return s, nil
	}
	if err := t.enter(ctx); err != nil {
		return nil, err
	}
	defer t.leave()
	if s := t.take(of); s != nil {
		return s, nil
	}
	// What it is opened with ends it: not the attempt, unless that ends before it is open.
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, end)
	managed, err := c.write.NewManagedStream(life,
		managedwriter.WithDestinationTable(t.table.stream()), managedwriter.WithType(managedwriter.DefaultStream),
		managedwriter.WithSchemaDescriptor(of.message))
	if err != nil {
		end()
		return nil, fmt.Errorf("open its stream: %w", err)
	}
	s := &stream{managed: managed, table: of, end: end, users: 1}
	if !stop() {
		d.close(s)
		return nil, ctx.Err()
	}
	t.mu.Lock()
	before := t.stream
	t.stream = s
	t.mu.Unlock()
	d.retire(t, before)
	return s, nil
}

// take gives the stream that is open, if it is for the same rows.
func (t *target) take(of *table) *stream {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.stream == nil || t.stream.table != of {
		return nil
	}
	t.stream.users++
	return t.stream
}

// giveBack ends the use of a stream.
func (d *Driver) giveBack(t *target, s *stream) {
	t.mu.Lock()
	s.users--
	last := s.retired && s.users == 0
	t.mu.Unlock()
	if last {
		d.close(s)
	}
}

// retire sees to it that a stream, nil for none, is not taken again.
func (d *Driver) retire(t *target, s *stream) {
	if s == nil {
		return
	}
	t.mu.Lock()
	if t.stream == s {
		t.stream = nil
	}
	last := !s.retired && s.users == 0
	s.retired = true
	t.mu.Unlock()
	if last {
		d.close(s)
	}
}

// close closes a stream beside what is going on: the client waits for a connection that
// is just being made.
func (d *Driver) close(s *stream) {
	s.end()
	d.closing.Go(func() { _ = s.managed.Close() }) // it always says that it is closed
}
