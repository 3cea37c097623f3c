package gormsource_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/examples/gorm/gormsource"
)

type user struct {
	ID        uint
	Email     string `gorm:"uniqueIndex"`
	Name      *string
	Joined    time.Time
	Orders    []order
	DeletedAt gorm.DeletedAt
}

type order struct {
	ID     uint
	UserID uint
	Total  float64
}

// tape records what is announced: "inserted users/1", one text for each, and after each
// announcement how it ended.
type tape struct {
	said  []string
	whole []cdc.Change
}

func (tp *tape) Wants(string, cdc.Op) bool                   { return true }
func (tp *tape) Append(context.Context, ...cdc.Change) error { return errors.New("not announced") }
func (tp *tape) Commit()                                     { tp.said = append(tp.said, "commit") }
func (tp *tape) Abort()                                      { tp.said = append(tp.said, "abort") }
func (tp *tape) Doubt(error)                                 { tp.said = append(tp.said, "doubt") }
func (tp *tape) Begin(_ context.Context, all ...cdc.Change) ([]cdc.Pending, error) {
	for _, c := range all {
		tp.said = append(tp.said, fmt.Sprintf("%v %s/%s", c.Op, c.Resource, c.RecordID))
	}
	tp.whole = append(tp.whole, all...)
	return slices.Repeat([]cdc.Pending{tp}, len(all)), nil
}

// shop gives a database with Ann, who has two orders, and Bob, and a tape that runs.
func shop(t *testing.T, prepare bool) (*gorm.DB, *tape) {
	db, reader := open(t, prepare)
	must(t, db.AutoMigrate(&user{}, &order{}))
	source, err := gormsource.New(db, reader, &user{}, &order{})
	must(t, err)
	joined := time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)
	must(t, db.Create(&[]user{
		{Email: "ann@example.com", Name: new("Ann"), Joined: joined, Orders: []order{{Total: 10}, {Total: 20}}},
		{Email: "bob@example.com", Joined: joined},
	}).Error)
	tp := &tape{}
	release, err := source.Capture(tp)
	must(t, err)
	t.Cleanup(release)
	return db, tp
}

// TestStatements: whatever GORM does to the rows is told, once, and nothing else.
func TestStatements(t *testing.T) {
	for name, test := range map[string]struct {
		do   func(db *gorm.DB) error
		want []string // but for "commit", which follows each announcement
	}{
		"create with associations": {
			func(db *gorm.DB) error { return db.Create(&user{Email: "c", Orders: []order{{Total: 1}}}).Error },
			[]string{"inserted users/3", "inserted orders/3"},
		},
		"update of some": {
			func(db *gorm.DB) error { return db.Model(&order{}).Where("total > ?", 15).Update("total", 16).Error },
			[]string{"updated orders/2"},
		},
		"update of all": {
			func(db *gorm.DB) error {
				return db.Session(&gorm.Session{AllowGlobalUpdate: true}).Model(&order{}).Update("total", gorm.Expr("total + 1")).Error
			},
			[]string{"updated orders/1", "updated orders/2"},
		},
		"update by the model's key": {
			func(db *gorm.DB) error { return db.Model(&user{ID: 2}).Updates(map[string]any{"name": "Bob"}).Error },
			[]string{"updated users/2"},
		},
		"update of nothing": {
			func(db *gorm.DB) error { return db.Model(&order{}).Where("total > ?", 99).Update("total", 1).Error },
			nil,
		},
		"update to what it is": {
			func(db *gorm.DB) error { return db.Model(&order{ID: 1}).Update("total", 10).Error },
			nil,
		},
		"update without the model": {
			func(db *gorm.DB) error {
				return db.Table("orders").Where("id = 1").Updates(map[string]any{"total": 11}).Error
			},
			[]string{"updated orders/1"},
		},
		"update of the key": {
			func(db *gorm.DB) error { return db.Model(&order{ID: 1}).Update("id", 7).Error },
			[]string{"deleted orders/1", "inserted orders/7"},
		},
		"update of the key by a struct": {
			func(db *gorm.DB) error { return db.Model(&order{ID: 1}).Updates(order{ID: 7}).Error },
			[]string{"deleted orders/1", "inserted orders/7"},
		},
		"save of what is there": {
			func(db *gorm.DB) error { return db.Save(&order{ID: 1, UserID: 1, Total: 5}).Error },
			[]string{"updated orders/1"},
		},
		"save of what is not": {
			func(db *gorm.DB) error { return db.Save(&order{ID: 8, UserID: 1, Total: 5}).Error },
			[]string{"inserted orders/8"},
		},
		"upsert by another column": {
			func(db *gorm.DB) error {
				return db.Clauses(clause.OnConflict{Columns: []clause.Column{{Name: "email"}}, DoUpdates: clause.AssignmentColumns([]string{"name"})}).
					Create(&user{Email: "bob@example.com", Name: new("Robert")}).Error
			},
			[]string{"updated users/2"},
		},
		"insert that meets a conflict": {
			func(db *gorm.DB) error {
				return db.Clauses(clause.OnConflict{DoNothing: true}).Create(&user{Email: "bob@example.com", Name: new("Robert")}).Error
			},
			nil,
		},
		"delete": {
			func(db *gorm.DB) error { return db.Delete(&order{}, []int{1, 2}).Error },
			[]string{"deleted orders/1", "deleted orders/2"},
		},
		"soft delete": {
			func(db *gorm.DB) error { return db.Where("email = ?", "bob@example.com").Delete(&user{}).Error },
			[]string{"deleted users/2"},
		},
		"soft delete, taken back, in one transaction": {
			func(db *gorm.DB) error {
				return db.Transaction(func(tx *gorm.DB) error {
					return errors.Join(tx.Delete(&user{ID: 2}).Error, tx.Unscoped().Model(&user{ID: 2}).Update("deleted_at", nil).Error)
				})
			},
			nil,
		},
		"one transaction": {
			func(db *gorm.DB) error {
				return db.Transaction(func(tx *gorm.DB) error {
					o := order{UserID: 2, Total: 1}
					return errors.Join(tx.Create(&o).Error, tx.Model(&o).Update("total", 2).Error,
						tx.Delete(&order{ID: 1}).Error, tx.Model(&user{ID: 1}).Update("name", "Anna").Error)
				})
			},
			[]string{"inserted orders/3", "deleted orders/1", "updated users/1"},
		},
		"born and gone in one transaction": {
			func(db *gorm.DB) error {
				return db.Transaction(func(tx *gorm.DB) error {
					o := order{UserID: 2}
					return errors.Join(tx.Create(&o).Error, tx.Delete(&o).Error)
				})
			},
			nil,
		},
		"a savepoint that is rolled back": {
			func(db *gorm.DB) error {
				return db.Transaction(func(tx *gorm.DB) error {
					undone := tx.Transaction(func(tx *gorm.DB) error {
						return errors.Join(tx.Delete(&order{ID: 1}).Error, errors.New("no, stay"))
					})
					if undone == nil {
						return errors.New("it was not undone")
					}
					return tx.Delete(&order{ID: 2}).Error
				})
			},
			[]string{"deleted orders/2"},
		},
	} {
		for how, prepare := range map[string]bool{"": false, ", prepared": true} {
			t.Run(name+how, func(t *testing.T) {
				db, tp := shop(t, prepare)
				must(t, test.do(db))
				var want []string
				want = append(want, test.want...)
				want = append(want, slices.Repeat([]string{"commit"}, len(test.want))...)
				if diff := cmp.Diff(want, tp.said); diff != "" {
					t.Errorf("-want +got:\n%s", diff)
				}
			})
		}
	}
}

// TestSoftDeleteTakenBack: a row that is there again is an insert for a destination.
func TestSoftDeleteTakenBack(t *testing.T) {
	db, tp := shop(t, false)
	must(t, db.Delete(&user{ID: 2}).Error)
	must(t, db.Unscoped().Model(&user{}).Where("email = ?", "bob@example.com").Update("deleted_at", nil).Error)
	if want := []string{"deleted users/2", "commit", "inserted users/2", "commit"}; !slices.Equal(tp.said, want) {
		t.Errorf("announced: %v", tp.said)
	}
}

// TestUndone: what is rolled back, by an error, a panic or a context that ends, is not
// announced.
func TestUndone(t *testing.T) {
	for name, do := range map[string]func(ctx context.Context, cancel func(), tx *gorm.DB) error{
		"an error": func(context.Context, func(), *gorm.DB) error { return errors.New("changed my mind") },
		"the end":  func(_ context.Context, cancel func(), _ *gorm.DB) error { cancel(); return nil },
		"a panic":  func(context.Context, func(), *gorm.DB) error { panic("half way") },
		"a refusal": func(_ context.Context, _ func(), tx *gorm.DB) error {
			return tx.Create(&user{Email: "bob@example.com"}).Error
		},
	} {
		t.Run(name, func(t *testing.T) {
			db, tp := shop(t, false)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			err := func() (err error) {
				defer func() {
					if p := recover(); p != nil {
						err = fmt.Errorf("panicked: %v", p)
					}
				}()
				return db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
					must(t, tx.Delete(&order{ID: 1}).Error)
					return do(ctx, cancel, tx)
				})
			}()
			var left int64
			must(t, db.Model(&order{}).Count(&left).Error)
			if err == nil || left != 2 || len(tp.said) > 0 {
				t.Errorf("%v; %d orders are left; announced: %v", err, left, tp.said)
			}
		})
	}
}

// TestRefused: what would go unnoticed is an error, and does nothing.
func TestRefused(t *testing.T) {
	for want, do := range map[string]func(db *gorm.DB) error{
		"outside of a transaction": func(db *gorm.DB) error {
			return db.Session(&gorm.Session{SkipDefaultTransaction: true}).Delete(&order{ID: 1}).Error
		},
		"a write of orders outside": func(db *gorm.DB) error { // prepared for a session, and not as a whole
			return db.Session(&gorm.Session{PrepareStmt: true}).Delete(&order{ID: 1}).Error
		},
		"it needs the model":        func(db *gorm.DB) error { return db.Model(&order{}).Create(map[string]any{"total": 5}).Error },
		"an expression for the key": func(db *gorm.DB) error { return db.Model(&order{ID: 1}).Update("id", gorm.Expr("id + 10")).Error },
	} {
		db, tp := shop(t, false)
		err := do(db)
		var left []order
		must(t, db.Find(&left).Error)
		if err == nil || !strings.Contains(err.Error(), want) || len(left) != 2 || left[0].ID != 1 || len(tp.said) > 0 {
			t.Errorf("%q: %v; orders %v; announced: %v", want, err, left, tp.said)
		}
	}
}

// TestRecord: a change has the row's columns, of plain types, as they were and are.
func TestRecord(t *testing.T) {
	db, tp := shop(t, false)
	must(t, db.Model(&user{ID: 1}).Updates(map[string]any{"name": nil}).Error)
	joined := time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)
	before := cdc.Record{"id": int64(1), "email": "ann@example.com", "name": "Ann", "joined": joined}
	after := cdc.Record{"id": int64(1), "email": "ann@example.com", "name": nil, "joined": joined}
	if len(tp.whole) != 1 || !tp.whole[0].Before.Equal(before) || !tp.whole[0].Data.Equal(after) {
		t.Errorf("%#v", tp.whole)
	}
}

// TestModels: a model that can't be told apart by one column id is refused.
func TestModels(t *testing.T) {
	type pair struct {
		A, B int `gorm:"primaryKey"`
	}
	type named struct {
		Code string `gorm:"primaryKey"`
	}
	for _, m := range []any{&pair{}, &named{}} {
		db, reader := open(t, false)
		if _, err := gormsource.New(db, reader, m); err == nil || !strings.Contains(err.Error(), "column id") {
			t.Errorf("%T: %v", m, err)
		}
	}
}
