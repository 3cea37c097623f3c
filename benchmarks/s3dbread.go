package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/s3db-go/replicator/internal/testbed"
	"github.com/s3db-go/replicator/store"
)

//go:embed testdata/read.mjs
var readScript string

const (
	// readPace is how many records a second of measuring stands for: 10,000 by default.
	readPace = 20_000
	// readsAtATime is how many objects the store reads from a server at a time.
	readsAtATime = 64
)

// readCase measures how many records a second are read of a resource, all of them: from a
// directory beside the original, from a server beside bare GetObject.
func readCase(c config, emit func(line)) error {
	b := new(bed)
	defer b.Close()
	records := c.records(readPace)
	_, err := inDirectory(c, func(dir string) (struct{}, error) {
		return struct{}{}, readFiles(c, b, "file://"+dir, records, emit)
	})
	if err != nil {
		return err
	}
	connection, ok, err := get(b, testbed.S3)
	if !ok {
		return err
	}
	return readServer(c, connection, records, emit)
}

// fill makes a resource with so many records, and gives it.
func fill(connection string, records int) (*store.DB, *store.Resource, error) {
	db, orders, err := openTarget(connection)
	if err != nil {
		return nil, nil, err
	}
	recs := make([]store.Record, records)
	for i := range recs {
		recs[i] = tenFields("b-" + strconv.Itoa(i))
	}
	if _, err := orders.InsertMany(context.Background(), recs); err != nil {
		return nil, nil, errors.Join(err, db.Close())
	}
	return db, orders, nil
}

// readFiles measures a directory. It stays in the system's cache.
func readFiles(c config, b *bed, connection string, records int, emit func(line)) (err error) {
	db, orders, err := fill(connection+"?sync=off", records)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	turns := []turn{{"ours", func() (pace, error) { return listAll(orders, records) }}}
	original, ok, err := getProgram(b, readScript, connection)
	if err != nil {
		return err
	}
	if ok {
		turns = append(turns, turn{"original", func() (pace, error) { return original.readAll(records) }})
	}
	samples, err := inTurns(c, 1, turns)
	if err != nil {
		return err
	}
	emit(readLine("file", records, "", samples))
	return nil
}

// readLine gives what was measured of us, beside a limit if there is one of that name, and
// beside the original if it was measured.
func readLine(where string, records int, limit string, samples map[string]measured) line {
	s := samples["ours"].rate
	l := line{Case: fmt.Sprintf("s3db-read-%s/%d", where, records), Ours: round(s.median()), Unit: "records/s", N: len(s), Spread: round(s.spread())}
	if limit, ok := samples[limit]; ok {
		l.Limit = round(limit.rate.median())
	}
	if theirs, ok := samples["original"]; ok {
		l.Peers = map[string]float64{"s3db.js": round(theirs.rate.median())}
	}
	return l.judged()
}

// listAll reads every record.
func listAll(orders *store.Resource, records int) (pace, error) {
	s := beginStretch()
	n := 0
	for _, err := range orders.List(context.Background()) {
		if err != nil {
			return pace{}, err
		}
		n++
	}
	p := s.pace(records)
	if n != records {
		return p, fmt.Errorf("%d records were read of %d", n, records)
	}
	return p, nil
}

// readAll has the original read every record, in the quickest way that it has.
func (o *original) readAll(records int) (pace, error) {
	s := beginStretch()
	if err := o.begin(); err != nil {
		return pace{}, err
	}
	n, err := o.answer()
	p := s.pace(records)
	if err == nil && n != strconv.Itoa(records) {
		err = fmt.Errorf("the original read %s records of %d", n, records)
	}
	return p, err
}

// readServer measures a server that keeps its objects in memory.
func readServer(c config, connection string, records int, emit func(line)) (err error) {
	db, orders, err := fill(connection, records)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	client, bucket, err := plainS3(connection)
	if err != nil {
		return err
	}
	limit := func() (pace, error) { return getAll(client, bucket, records) }
	samples, err := inTurns(c, readsAtATime, []turn{
		{"ours", func() (pace, error) { return listAll(orders, records) }}, {"limit", limit},
		{"list and get", func() (pace, error) { return listAndGetAll(client, bucket, records) }}, {"limit again", limit},
	})
	if err != nil {
		return err
	}
	emit(readLine("server", records, "limit", samples))
	emit(readLine("server-listed", records, "list and get", samples))
	cpu := samples["ours"].cpu
	emit(line{
		Case: fmt.Sprintf("s3db-read-cpu/%d", records), Ours: round(cpu.median()), Limit: round(samples["limit"].cpu.median()),
		Unit: "µs/record", N: len(cpu), Spread: round(cpu.spread()),
	})
	again("s3db-read", records, samples, func(l line) {
		l.Unit = "records/s"
		emit(l)
	})
	return nil
}

// getAll gets the same objects, as many at a time, and does nothing with them. It is told
// the keys, as nobody is who reads a resource.
func getAll(client *s3.Client, bucket string, records int) (pace, error) {
	s := beginStretch()
	err := share(readsAtATime, records, func(i int) error {
		return getObject(client, bucket, recordKey("b-"+strconv.Itoa(i)))
	})
	return s.pace(records), err
}

// listAndGetAll is getAll for who has to ask the server for the keys first, page by page,
// while others are got already.
func listAndGetAll(client *s3.Client, bucket string, records int) (pace, error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	s := beginStretch()
	const page = 1000 // what the server gives at a time: the next one is asked for when one is waiting
	keys := make(chan string, page)
	var listed error
	go func() {
		defer close(keys)
		pages := s3.NewListObjectsV2Paginator(client, &s3.ListObjectsV2Input{Bucket: &bucket, Prefix: new(recordKey(""))})
		for pages.HasMorePages() {
			var out *s3.ListObjectsV2Output
			if out, listed = pages.NextPage(ctx); listed != nil {
				return
			}
			for _, o := range out.Contents {
				select {
				case keys <- *o.Key:
				case <-ctx.Done():
					return
				}
			}
		}
	}()
	err := share(readsAtATime, records, func(int) error {
		key, ok := <-keys
		if !ok {
			return errors.Join(listed, fmt.Errorf("the server lists fewer keys than %d", records))
		}
		return getObject(client, bucket, key)
	})
	return s.pace(records), err
}

func getObject(client *s3.Client, bucket, key string) error {
	out, err := client.GetObject(context.Background(), &s3.GetObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, out.Body)
	return errors.Join(err, out.Body.Close())
}
