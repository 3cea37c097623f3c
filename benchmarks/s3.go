package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/s3db-go/replicator/drivers/s3db"
	"github.com/s3db-go/replicator/internal/testbed"
	"github.com/s3db-go/replicator/store"
)

const (
	// putBatch is a batch of the engine, and putsAtATime how many of it the driver writes
	// at a time.
	putBatch    = 100
	putsAtATime = 16
	// putPace is how many objects a second of measuring stands for.
	putPace = 4_000
)

// s3Case measures how many records a second are written to a bucket, on a server of its
// own that keeps its objects in memory.
func s3Case(c config, emit func(line)) (err error) {
	b := new(bed)
	defer b.Close()
	server, ok, err := get(b, func(t testing.TB) *testbed.S3Server { return testbed.NewS3Server(t, region) })
	if !ok {
		return err
	}
	// Buckets are folders in memory: each measurement begins with an empty one.
	bucket := func() string { name, _, _ := get(b, server.Bucket); return name }
	model, err := modelObject(bucket())
	if err != nil {
		return err
	}
	records := c.records(putPace)
	limit := func() (pace, error) { return putAll(bucket(), model, records) }
	turns := []turn{
		{"driver", func() (pace, error) { return applyAll(bucket(), records) }},
		{"limit", limit},
		{"end to end", func() (pace, error) {
			return inDirectory(c, func(dir string) (pace, error) {
				to := bucket()
				p, err := endToEnd(dir, "r-", records, s3db.New(s3db.Options{ConnectionString: to}), settled)
				return p, errors.Join(err, holds(to, records))
			})
		}},
		{"limit again", limit},
	}
	original := func(records int) (p pace, ok bool, err error) {
		to := bucket()
		db, _, err := openTarget(to)
		if err != nil {
			return pace{}, false, err
		}
		if err := db.Close(); err != nil {
			return pace{}, false, err
		}
		o, ok, err := openOriginal(b, originalDestination{Driver: "s3db", Resources: []string{"orders"}, Config: map[string]any{
			"connectionString": to + "?httpClientOptions.useReckerHandler=false", // which takes an empty answer for an error
		}}, records)
		if !ok {
			return pace{}, false, err
		}
		s := beginStretch()
		err = o.replicate()
		p = s.pace(records)
		return p, true, errors.Join(err, o.Close(), holds(to, records))
	}
	if _, ok, err := original(1); err != nil {
		return err
	} else if ok {
		turns = append(turns, turn{"original", func() (pace, error) {
			p, _, err := original(records)
			return p, err
		}})
	}
	samples, err := inTurns(c, putsAtATime, turns)
	if err != nil {
		return err
	}
	judgeCarried("s3", "driver", records, samples, emit)
	judgeCarried("s3-end-to-end", "end to end", records, samples, emit)
	judgeOriginal("s3", samples, emit)
	again("s3", records, samples, emit)
	return nil
}

// openTarget opens a store with the resource that records go to.
func openTarget(connection string) (*store.DB, *store.Resource, error) {
	ctx := context.Background()
	db, err := store.Open(ctx, connection)
	if err != nil {
		return nil, nil, err
	}
	orders, err := db.CreateResource(ctx, store.Definition{Name: "orders", Attributes: tenAttributes})
	if err != nil {
		return nil, nil, errors.Join(err, db.Close())
	}
	return db, orders, nil
}

// holds is an error unless a bucket has so many records.
func holds(connection string, records int) error {
	ctx := context.Background()
	db, err := store.Open(ctx, connection)
	if err != nil {
		return err
	}
	n, err := db.Resource("orders").Count(ctx)
	if err == nil && n != records {
		err = fmt.Errorf("the bucket has %d records of %d", n, records)
	}
	return errors.Join(err, db.Close())
}

// applyAll hands the driver one batch after the other.
func applyAll(connection string, records int) (p pace, err error) {
	ctx := context.Background()
	db, _, err := openTarget(connection)
	if err != nil {
		return pace{}, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	d := s3db.New(s3db.Options{Store: db})
	if err := d.Open(ctx); err != nil {
		return pace{}, err
	}
	all := deliveries("b-", records)
	s := beginStretch()
	for batch := range slices.Chunk(all, putBatch) {
		if err := d.Apply(ctx, batch); err != nil {
			return pace{}, err
		}
	}
	p = s.pace(records)
	return p, holds(connection, records)
}

// plainObject is what PutObject is given.
type plainObject struct {
	metadata    map[string]string
	contentType *string
	body        []byte
}

// modelObject gives an object as the driver writes it, of the records that all write.
func modelObject(connection string) (o plainObject, err error) {
	if _, err := applyAll(connection, 1); err != nil {
		return o, err
	}
	client, bucket, err := plainS3(connection)
	if err != nil {
		return o, err
	}
	out, err := client.GetObject(context.Background(), &s3.GetObjectInput{Bucket: &bucket, Key: new(recordKey("b-0"))})
	if err != nil {
		return o, err
	}
	o.metadata, o.contentType = out.Metadata, out.ContentType
	o.body, err = io.ReadAll(out.Body)
	return o, errors.Join(err, out.Body.Close())
}

func recordKey(id string) string { return "resource=orders/data/id=" + id }

// plainS3 gives a client for the bucket of a connection string, made for throughput.
func plainS3(connection string) (client *s3.Client, bucket string, err error) {
	u, err := url.Parse(connection)
	if err != nil {
		return nil, "", err
	}
	secret, _ := u.User.Password()
	return s3.New(s3.Options{
		BaseEndpoint: new("http://" + u.Host), UsePathStyle: true, Region: region,
		Credentials: credentials.NewStaticCredentialsProvider(u.User.Username(), secret, ""),
		HTTPClient: awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) {
			t.MaxIdleConns, t.MaxIdleConnsPerHost = 0, readsAtATime
		}),
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenRequired,
		ResponseChecksumValidation: aws.ResponseChecksumValidationWhenRequired,
	}), strings.Trim(u.Path, "/"), nil
}

// putAll puts the same object under as many keys, as many at a time, and does nothing
// else.
func putAll(connection string, model plainObject, records int) (pace, error) {
	client, bucket, err := plainS3(connection)
	if err != nil {
		return pace{}, err
	}
	s := beginStretch()
	err = share(putsAtATime, records, func(i int) error {
		_, err := client.PutObject(context.Background(), &s3.PutObjectInput{
			Bucket: &bucket, Key: new(recordKey(fmt.Sprint("b-", i))), Metadata: model.metadata, ContentType: model.contentType, Body: bytes.NewReader(model.body),
		})
		return err
	})
	return s.pace(records), err
}
