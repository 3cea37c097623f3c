package gormsource_test

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"testing"

	"github.com/glebarez/sqlite"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/cdc/sourcetest"
	"github.com/s3db-go/replicator/examples/gorm/gormsource"
)

type thing struct {
	ID   string `gorm:"primaryKey"`
	Name string `gorm:"check:name <> 'refused'"`
	N    int64
}

type other thing

// open gives a new database, twice.
func open(t *testing.T, prepare bool) (db, reader *gorm.DB) {
	path := filepath.Join(t.TempDir(), "test.db")
	var both [2]*gorm.DB
	for i := range both {
		opened, err := gorm.Open(sqlite.Open(path+"?_txlock=immediate&_pragma=journal_mode(WAL)&_pragma=busy_timeout(10000)"),
			&gorm.Config{Logger: logger.Discard, PrepareStmt: prepare})
		if err != nil {
			t.Fatal(err)
		}
		pool, err := opened.DB()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { pool.Close() })
		both[i] = opened
	}
	return both[0], both[1]
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// commits stands under the source, and fails a commit.
type commits struct {
	gorm.ConnPool
	next func(gorm.TxCommitter) error
}

type commit struct {
	*sql.Tx
	of *commits
}

func (c *commits) BeginTx(ctx context.Context, opts *sql.TxOptions) (gorm.ConnPool, error) {
	tx, err := c.ConnPool.(*sql.DB).BeginTx(ctx, opts)
	return commit{tx, c}, err
}

func (c commit) Commit() error {
	if next := c.of.next; next != nil {
		c.of.next = nil
		return next(c.Tx)
	}
	return c.Tx.Commit()
}

// TestContract: what is written through GORM keeps the contract of sources.
func TestContract(t *testing.T) {
	sourcetest.Run(t, func(t *testing.T) sourcetest.Harness {
		db, reader := open(t, false)
		must(t, db.AutoMigrate(&thing{}, &other{}))
		faults := &commits{ConnPool: db.ConnPool}
		db.ConnPool, db.Statement.ConnPool = faults, faults
		source, err := gormsource.New(db, reader, &thing{}, &other{})
		must(t, err)
		row := func(id string, rec cdc.Record) thing { return thing{id, rec.String("name"), rec.Int("n")} }
		return sourcetest.Harness{
			Source:   source,
			Resource: "things",
			Insert: func(ctx context.Context, resource, id string, rec cdc.Record) error {
				row := row(id, rec)
				return db.WithContext(ctx).Table(resource).Create(&row).Error
			},
			InsertMany: func(ctx context.Context, resource string, ids []string, recs []cdc.Record) error {
				var rows []thing
				for i, id := range ids {
					rows = append(rows, row(id, recs[i]))
				}
				return db.WithContext(ctx).Table(resource).Create(&rows).Error
			},
			Update: func(ctx context.Context, resource, id string, rec cdc.Record) error {
				row := row(id, rec)
				return db.WithContext(ctx).Table(resource).Save(&row).Error
			},
			Delete: func(ctx context.Context, resource, id string) error {
				return db.WithContext(ctx).Table(resource).Where("id = ?", id).Delete(&thing{}).Error
			},
			Refuse: func(ctx context.Context, resource string) error {
				return db.WithContext(ctx).Table(resource).Create(&thing{ID: "x", Name: "refused"}).Error
			},
			FailNext: func() {
				faults.next = func(tx gorm.TxCommitter) error { return errors.Join(tx.Rollback(), sql.ErrTxDone) }
			},
			DoubtNext: func(applied bool) {
				faults.next = func(tx gorm.TxCommitter) error {
					end := tx.Rollback
					if applied {
						end = tx.Commit
					}
					return errors.Join(end(), errors.New("the disk does not answer"))
				}
			},
		}
	})
}
