package gormsource

import (
	"context"
	"database/sql/driver"
	"fmt"
	"reflect"
	"slices"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
	"gorm.io/gorm/schema"

	"github.com/s3db-go/replicator/cdc"
)

// model is a table that is captured.
type model struct {
	*schema.Schema
	key *schema.Field
}

func newModel(parsed *schema.Schema) (*model, error) {
	m := &model{Schema: parsed}
	if len(parsed.PrimaryFields) != 1 || parsed.PrimaryFields[0].DBName != "id" {
		return nil, fmt.Errorf("the key of the table %s is not the column id alone", parsed.Table)
	}
	m.key = parsed.PrimaryFields[0]
	if !slices.Contains([]schema.DataType{schema.String, schema.Int, schema.Uint}, m.key.GORMDataType) {
		return nil, fmt.Errorf("the key of the table %s is neither a text nor a whole number", parsed.Table)
	}
	return m, nil
}

func (m *model) column() clause.Column { return clause.Column{Table: m.Table, Name: m.key.DBName} }

// chunk bounds the values of a statement, of which SQLite takes 32,766.
const chunk = 1000

// read gives the records that are there of some ids.
func (m *model) read(db *gorm.DB, ids []string) (map[string]cdc.Record, error) {
	found := make(map[string]cdc.Record, len(ids))
	for some := range slices.Chunk(ids, chunk) {
		values := make([]any, len(some))
		for i, id := range some {
			values[i] = id
		}
		rows, err := m.find(db.Where(clause.IN{Column: m.column(), Values: values}))
		if err != nil {
			return nil, err
		}
		for _, row := range rows {
			found[row.RecordID] = row.Data
		}
	}
	return found, nil
}

// find gives what a query finds. A row that is deleted softly is not there.
func (m *model) find(query *gorm.DB) ([]cdc.Row, error) {
	found := reflect.New(reflect.SliceOf(m.ModelType))
	if err := query.Session(&gorm.Session{SkipHooks: true}).Table(m.Table).Find(found.Interface()).Error; err != nil {
		return nil, fmt.Errorf("gormsource: read %s: %w", m.Table, err)
	}
	rows := make([]cdc.Row, found.Elem().Len())
	for i := range rows {
		v := found.Elem().Index(i)
		record, err := m.record(query.Statement.Context, v)
		if err != nil {
			return nil, err
		}
		rows[i] = cdc.Row{RecordID: m.id(query.Statement.Context, v), Data: record, SchemaVersion: version}
	}
	return rows, nil
}

// id gives the text of a row's key, "" if it is not set.
func (m *model) id(ctx context.Context, row reflect.Value) string {
	key, zero := m.key.ValueOf(ctx, row)
	if zero {
		return ""
	}
	return fmt.Sprint(key)
}

// record gives a row with its values as they go to the database.
func (m *model) record(ctx context.Context, row reflect.Value) (cdc.Record, error) {
	record := cdc.Record{}
	for _, f := range m.columns() {
		value, err := plain(f.ValueOf(ctx, row))
		if err != nil {
			return nil, fmt.Errorf("gormsource: %s: column %s: %w", m.Table, f.DBName, err)
		}
		record[f.DBName] = value
	}
	record, err := cdc.Normalize(record)
	if err != nil {
		return nil, fmt.Errorf("gormsource: %s: %w", m.Table, err)
	}
	return record, nil
}

// columns are the fields of a record. When a row was deleted is none: one that is there
// was not.
func (m *model) columns() []*schema.Field {
	return slices.DeleteFunc(slices.Clone(m.Fields), func(f *schema.Field) bool {
		return f.DBName == "" || f.FieldType == reflect.TypeFor[gorm.DeletedAt]()
	})
}

// plain gives a field's value without pointers and types of its own.
func plain(value any, zero bool) (any, error) {
	v := reflect.ValueOf(value)
	if v.Kind() == reflect.Pointer && v.IsNil() {
		return nil, nil
	}
	if valuer, ok := value.(driver.Valuer); ok {
		return valuer.Value()
	}
	if v.Kind() == reflect.Pointer {
		return plain(v.Elem().Interface(), zero)
	}
	return value, nil
}

// version is that of every schema: a model changes only with the program.
const version = 1

func (m *model) describe() cdc.Schema {
	out := cdc.Schema{Resource: m.Table, Version: version, Key: []string{m.key.DBName}}
	for _, f := range m.columns() {
		if f != m.key {
			out.Fields = append(out.Fields, cdc.Field{Name: f.DBName, Type: typeOf(f.GORMDataType)})
		}
	}
	return out
}

func typeOf(t schema.DataType) cdc.Type {
	switch t {
	case schema.Bool:
		return cdc.TypeBool
	case schema.Int, schema.Uint:
		return cdc.TypeInt
	case schema.Float:
		return cdc.TypeFloat
	case schema.String:
		return cdc.TypeString
	case schema.Time:
		return cdc.TypeTime
	case schema.Bytes:
		return cdc.TypeBytes
	}
	return cdc.TypeAny
}
