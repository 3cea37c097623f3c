package gormsource

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"

	"gorm.io/gorm"

	"github.com/s3db-go/replicator/cdc"
)

// pool gives transactions that tell the source of their commit.
type pool struct {
	gorm.ConnPool
	source *Source
}

// GetDBConn implements gorm.GetDBConnector.
func (p *pool) GetDBConn() (*sql.DB, error) {
	switch inner := p.ConnPool.(type) {
	case *sql.DB:
		return inner, nil
	case gorm.GetDBConnector:
		return inner.GetDBConn()
	}
	return nil, gorm.ErrInvalidDB
}

// BeginTx implements gorm.ConnPoolBeginner.
func (p *pool) BeginTx(ctx context.Context, opts *sql.TxOptions) (gorm.ConnPool, error) {
	// A context that ends takes the transaction back, but only until it is announced.
	inside, cancel := context.WithCancel(context.WithoutCancel(ctx))
	t := &transaction{ctx: ctx, source: p.source, cancel: cancel, detach: context.AfterFunc(ctx, cancel), touched: map[row]bool{}}
	var begun gorm.ConnPool
	err := gorm.ErrInvalidTransaction
	switch inner := p.ConnPool.(type) {
	case gorm.TxBeginner:
		begun, err = inner.BeginTx(inside, opts)
	case gorm.ConnPoolBeginner:
		begun, err = inner.BeginTx(inside, opts)
	}
	if err != nil {
		t.detach()
		cancel()
		return nil, cmp.Or(context.Cause(ctx), err)
	}
	t.ConnPool, t.end = begun, begun.(gorm.TxCommitter)
	return t, nil
}

// row names a row.
type row struct{ table, id string }

// transaction is one of the database that knows what it touched.
type transaction struct {
	gorm.ConnPool
	end    gorm.TxCommitter
	ctx    context.Context // of the one who began it
	source *Source
	cancel context.CancelFunc
	detach func() bool // lets ctx end without taking the transaction back

	mu      sync.Mutex // guards what follows
	touched map[row]bool
	order   []row
}

func (t *transaction) touch(m *model, ids ...string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, id := range ids {
		if r := (row{m.Table, id}); !t.touched[r] {
			t.touched[r] = true
			t.order = append(t.order, r)
		}
	}
}

// Rollback implements gorm.TxCommitter.
func (t *transaction) Rollback() error {
	defer t.cancel()
	t.detach()
	err := t.end.Rollback()
	if errors.Is(err, sql.ErrTxDone) && t.ctx.Err() != nil {
		return nil // the context's end did it
	}
	return err
}

// Commit implements gorm.TxCommitter. It announces what the transaction changed, commits,
// and tells the recorder how that ended.
func (t *transaction) Commit() error {
	defer t.cancel()
	if !t.detach() { // ctx has ended, or this is not the first call
		return t.refuse(cmp.Or(context.Cause(t.ctx), sql.ErrTxDone))
	}
	select {
	case t.source.writing <- struct{}{}:
		defer func() { <-t.source.writing }()
	case <-t.ctx.Done():
		return t.refuse(context.Cause(t.ctx))
	}
	recorder, leave := t.source.hook.Enter()
	defer leave()
	changes, err := t.changes(recorder)
	if err != nil {
		return t.refuse(err)
	}
	if len(changes) == 0 {
		return t.end.Commit()
	}
	pending, err := recorder.Begin(t.ctx, changes...)
	if err != nil {
		return t.refuse(err)
	}
	outcome := errors.New("gormsource: the COMMIT panicked")
	defer func() { tell(pending, outcome) }()
	outcome = t.end.Commit()
	return outcome
}

// tell ends the announcement by what the COMMIT gave.
func tell(pending []cdc.Pending, outcome error) {
	for _, p := range pending {
		switch {
		case outcome == nil:
			p.Commit()
		case errors.Is(outcome, sql.ErrTxDone): // the database had taken it back before
			p.Abort()
		default:
			p.Doubt(outcome)
		}
	}
}

// refuse takes the transaction back.
func (t *transaction) refuse(err error) error {
	return errors.Join(err, t.Rollback())
}

// changes compares each row that was touched with what it was before the transaction.
// Nobody else can have written it since: the transaction has the lock for writing.
func (t *transaction) changes(recorder cdc.Recorder) ([]cdc.Change, error) {
	ids := map[string][]string{} // by table
	for _, r := range t.order {
		if cdc.WantsAny(recorder, r.table, cdc.Inserted|cdc.Updated|cdc.Deleted) {
			ids[r.table] = append(ids[r.table], r.id)
		}
	}
	outside := t.source.reader.WithContext(t.ctx)
	inside := t.source.reader.WithContext(t.ctx)
	inside.Statement.ConnPool = t.ConnPool
	before, after := map[string]map[string]cdc.Record{}, map[string]map[string]cdc.Record{}
	for table, some := range ids {
		m := t.source.models[table]
		var was, is error
		before[table], was = m.read(outside, some)
		after[table], is = m.read(inside, some)
		if err := errors.Join(was, is); err != nil {
			return nil, fmt.Errorf("gormsource: what the transaction changed: %w", err)
		}
	}
	var changes []cdc.Change
	for _, r := range t.order {
		c := cdc.Change{Resource: r.table, RecordID: r.id, Before: before[r.table][r.id], Data: after[r.table][r.id], SchemaVersion: version}
		switch {
		case c.Before.Equal(c.Data):
			continue
		case c.Before == nil:
			c.Op = cdc.Inserted
		case c.Data == nil:
			c.Op, c.Data = cdc.Deleted, c.Before
		default:
			c.Op = cdc.Updated
		}
		if recorder.Wants(c.Resource, c.Op) {
			changes = append(changes, c)
		}
	}
	return changes, nil
}
