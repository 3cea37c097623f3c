package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/glebarez/sqlite"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/s3db-go/replicator"
	"github.com/s3db-go/replicator/examples/gorm/gormsource"
)

// User is somebody who buys. Who leaves is deleted softly, and is gone for a destination.
type User struct {
	ID        uint
	Name      string
	Email     string
	Spent     float64
	Orders    []Order
	CreatedAt time.Time
	UpdatedAt time.Time
	DeletedAt gorm.DeletedAt `gorm:"index"`
}

// Order is what somebody bought.
type Order struct {
	ID     uint
	UserID uint
	Total  float64
	Status string
	Note   *string
}

// shop is a program's database, opened for its writes and once more for reading what is
// committed, and what carries it away.
type shop struct {
	db, reader *gorm.DB
	source     *gormsource.Source
	replicator *replicator.Replicator
	written    int
}

func openShop(dir string) (*shop, error) {
	// synchronous(FULL) is what makes a commit survive a loss of power.
	name := filepath.Join(dir, "shop.db") + "?_txlock=immediate&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=busy_timeout(10000)"
	// The times of the format that the backup has are of milliseconds.
	now := func() time.Time { return time.Now().UTC().Truncate(time.Millisecond) }
	db, err := gorm.Open(sqlite.Open(name), &gorm.Config{Logger: logger.Discard, NowFunc: now})
	if err != nil {
		return nil, err
	}
	reader, err := gorm.Open(sqlite.Open(name), &gorm.Config{Logger: logger.Discard})
	if err != nil {
		return nil, errors.Join(err, (&shop{db: db}).close())
	}
	s := &shop{db: db, reader: reader}
	if err := db.AutoMigrate(&User{}, &Order{}); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

func (s *shop) close() (err error) {
	for _, db := range []*gorm.DB{s.db, s.reader} {
		if db != nil {
			pool, failed := db.DB()
			if failed == nil {
				failed = pool.Close()
			}
			err = errors.Join(err, failed)
		}
	}
	return err
}

// trade is what the program does: it uses GORM as ever.
func (s *shop) trade(n int) error {
	for i := range n {
		user := User{Name: fmt.Sprint("User ", i), Email: fmt.Sprintf("user%d@example.com", i), Orders: []Order{{Total: float64(i), Status: "open"}}}
		if err := s.db.Create(&user).Error; err != nil {
			return err
		}
		s.written += 2
		var err error
		switch i % 5 {
		case 0:
			err = s.pay(user.ID, "thank you")
		case 1:
			if err = s.pay(user.ID, ""); errors.Is(err, errNoNote) {
				err = nil // rolled back, and not replicated
			}
		case 2:
			err = s.db.Model(&Order{}).Where("status = ? AND total < ?", "open", 20).Update("status", "given up").Error
		case 3:
			err = s.db.Where("user_id = ?", user.ID).Delete(&Order{}).Error
		case 4:
			err = s.db.Delete(&user).Error
		}
		if err != nil {
			return err
		}
	}
	return nil
}

var errNoNote = errors.New("an order is paid with a note")

// pay is a transaction over both tables.
func (s *shop) pay(user uint, note string) error {
	return s.db.Transaction(func(tx *gorm.DB) error {
		var order Order
		if err := tx.Where("user_id = ?", user).First(&order).Error; err != nil {
			return err
		}
		if err := tx.Model(&order).Updates(Order{Status: "paid", Note: &note}).Error; err != nil {
			return err
		}
		if err := tx.Model(&User{ID: user}).Update("spent", gorm.Expr("spent + ?", order.Total)).Error; err != nil {
			return err
		}
		if note == "" {
			return errNoNote
		}
		return nil
	})
}
