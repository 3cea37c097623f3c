package gormsource

import (
	"errors"
	"fmt"
	"reflect"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// plugin is what GORM knows of a Source.
type plugin struct{ source *Source }

// Name implements gorm.Plugin.
func (plugin) Name() string { return "gormsource" }

// Initialize implements gorm.Plugin: it puts itself around the connections, for the sake
// of the transactions, and beside the statements that write.
func (p plugin) Initialize(db *gorm.DB) error {
	around := &pool{db.ConnPool, p.source}
	db.ConnPool, db.Statement.ConnPool = around, around
	call := db.Callback()
	return errors.Join(
		call.Create().Before("gorm:create").Register("gormsource:before_create", p.source.beforeCreate),
		call.Create().After("gorm:create").Before("gorm:save_after_associations").Register("gormsource:after_create", p.source.afterCreate),
		call.Update().After("gorm:setup_reflect_value").Before("gorm:update").Register("gormsource:before_update", p.source.beforeUpdate),
		call.Delete().Before("gorm:delete").Register("gormsource:before_delete", p.source.beforeDelete),
	)
}

// captured gives the model that a statement writes and its transaction, or false if it is
// none of the models.
func (s *Source) captured(db *gorm.DB) (*model, *transaction, bool) {
	m := s.models[db.Statement.Table]
	if m == nil || db.Error != nil {
		return nil, nil, false
	}
	t, ok := db.Statement.ConnPool.(*transaction)
	if !ok {
		_ = db.AddError(fmt.Errorf("gormsource: a write of %s outside of a transaction would go unnoticed", m.Table))
	}
	return m, t, ok
}

func (s *Source) beforeCreate(db *gorm.DB) {
	m, _, ok := s.captured(db)
	if ok && (db.Statement.Schema == nil || db.Statement.Schema.ModelType != m.ModelType || !isRows(db.Statement.ReflectValue)) {
		_ = db.AddError(fmt.Errorf("gormsource: a Create of %s from a %T would go unnoticed; it needs the model", m.Table, db.Statement.Dest))
	}
}

// afterCreate knows the keys that the database gave.
func (s *Source) afterCreate(db *gorm.DB) {
	if m, t, ok := s.captured(db); ok {
		t.touch(m, m.ids(db, db.Statement.ReflectValue)...)
	}
}

func (s *Source) beforeUpdate(db *gorm.DB) {
	m, t, ok := s.captured(db)
	if !ok {
		return
	}
	s.touchSelected(db, m, t)
	// The update may give a row another key.
	t.touch(m, m.ids(db, reflect.ValueOf(db.Statement.Dest))...)
}

func (s *Source) beforeDelete(db *gorm.DB) {
	if m, t, ok := s.captured(db); ok {
		s.touchSelected(db, m, t)
	}
}

// touchSelected notes the rows that an update or delete is for. They may be too many:
// what a statement leaves as it was is no change.
func (s *Source) touchSelected(db *gorm.DB, m *model, t *transaction) {
	if ids := m.ids(db, db.Statement.ReflectValue); len(ids) > 0 {
		t.touch(m, ids...)
		return
	}
	// As late as this, the statement has the lock for writing: nobody else adds a row
	// that it is for.
	query := db.Session(&gorm.Session{NewDB: true, SkipHooks: true}).Unscoped().Model(reflect.New(m.ModelType).Interface()).Table(m.Table)
	if where, ok := db.Statement.Clauses["WHERE"].Expression.(clause.Where); ok {
		query = query.Clauses(where)
	}
	var ids []string
	if err := query.Pluck(m.key.DBName, &ids).Error; err != nil {
		_ = db.AddError(fmt.Errorf("gormsource: which rows of %s are written: %w", m.Table, err))
		return
	}
	t.touch(m, ids...)
}

// isRows says whether a value is a struct or a list of them.
func isRows(v reflect.Value) bool {
	for v.Kind() == reflect.Pointer || v.Kind() == reflect.Slice || v.Kind() == reflect.Array {
		if v.Kind() != reflect.Pointer {
			return v.Len() == 0 || isRows(v.Index(0))
		}
		v = v.Elem()
	}
	return v.Kind() == reflect.Struct
}

// ids gives the keys that are set in what a statement got: rows of the model, or a map of
// columns.
func (m *model) ids(db *gorm.DB, v reflect.Value) (ids []string) {
	for v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface {
		v = v.Elem()
	}
	switch v.Kind() {
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			ids = append(ids, m.ids(db, v.Index(i))...)
		}
	case reflect.Struct:
		if v.Type() == m.ModelType {
			if id := m.id(db.Statement.Context, v); id != "" {
				ids = append(ids, id)
			}
		}
	case reflect.Map:
		columns, _ := v.Interface().(map[string]any)
		for _, name := range []string{m.key.Name, m.key.DBName} {
			if key, given := columns[name]; given {
				if _, computed := key.(clause.Expression); computed {
					_ = db.AddError(fmt.Errorf("gormsource: an expression for the key of %s would go unnoticed", m.Table))
					return nil
				}
				ids = append(ids, fmt.Sprint(key))
			}
		}
	}
	return ids
}
