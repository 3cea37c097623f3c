package bigquery

import (
	"fmt"
	"slices"
	"strings"

	rest "google.golang.org/api/bigquery/v2"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/s3db-go/replicator/internal/schema"
)

// table is a table as the catalogue has it. Immutable.
type table struct {
	raw     *rest.Table
	fields  fieldSet
	primary []string
	// captures says that its rows tell which change they are, and the driver's own columns
	// are not among them.
	captures bool
	// message describes its rows as they are written.
	message *descriptorpb.DescriptorProto
}

// fieldSet is the columns of a table, or the fields of a record in one.
type fieldSet struct {
	columns []column
	index   map[string]int // by name, and by name in lower case: BigQuery's have no case
}

// column is a column as the catalogue has it.
type column struct {
	name     string
	declared string // its type, for people
	kind     kind
	number   protowire.Number // in the message
	repeated bool
	required bool  // takes no null and has no default
	limit    int64 // characters of a text, bytes of BYTES; 0 for none
	whole    int   // digits before the point of a decimal
	scale    int   // digits after it
	fields   fieldSet
}

// newTable makes one of what the catalogue answers.
func newTable(raw *rest.Table, captures bool) *table {
	t := &table{raw: raw, captures: captures, message: &descriptorpb.DescriptorProto{Name: new("Row")}}
	if raw.Schema != nil {
		t.fields = newFieldSet(raw.Schema.Fields)
	}
	describeAll(t.message, t.message, t.fields.columns)
	if raw.TableConstraints != nil && raw.TableConstraints.PrimaryKey != nil {
		t.primary = raw.TableConstraints.PrimaryKey.Columns
	}
	if captures {
		for i, name := range []string{changeTypeColumn, sequenceColumn} {
			t.message.Field = append(t.message.Field, describeField(name, t.after(i), descriptorpb.FieldDescriptorProto_TYPE_STRING, false))
		}
	}
	return t
}

// after gives the number of a field in the message that stands behind the columns.
func (t *table) after(i int) protowire.Number { return numberOf(len(t.fields.columns) + i) }

// numberOf numbers fields from 1, and leaves out the numbers that protocol buffers keep
// to themselves.
func numberOf(i int) protowire.Number {
	n := protowire.Number(i + 1)
	if n >= protowire.FirstReservedNumber {
		n += protowire.LastReservedNumber - protowire.FirstReservedNumber + 1
	}
	return n
}

func newFieldSet(fields []*rest.TableFieldSchema) fieldSet {
	s := fieldSet{columns: make([]column, len(fields)), index: make(map[string]int, 2*len(fields))}
	for i, f := range fields {
		s.columns[i] = newColumn(f, numberOf(i))
		s.index[strings.ToLower(f.Name)] = i
	}
	for i, f := range fields {
		s.index[f.Name] = i
	}
	return s
}

func newColumn(f *rest.TableFieldSchema, number protowire.Number) column {
	c := column{name: f.Name, number: number, kind: kindOf(f.Type), repeated: f.Mode == "REPEATED", limit: f.MaxLength}
	c.required = f.Mode == "REQUIRED" && f.DefaultValueExpression == ""
	c.declared = nameOfType(f.Type)
	if checkColumn(f.Name) != nil {
		c.kind = kindNone
	}
	switch c.kind {
	case kindNumeric:
		c.whole, c.scale = 29, 9
	case kindBigNumeric:
		c.whole, c.scale = 39, 38
	case kindRecord:
		c.fields = newFieldSet(f.Fields)
	}
	if f.Precision > 0 && c.scale > 0 {
		c.whole, c.scale = int(f.Precision-f.Scale), int(f.Scale)
	}
	if c.repeated {
		c.declared = "ARRAY<" + c.declared + ">"
	}
	return c
}

// column gives the column of that name, nil if there is none.
func (s *fieldSet) column(name string) *column {
	i, ok := s.find(name)
	if !ok {
		return nil
	}
	return &s.columns[i]
}

// has reports whether there is a column of exactly that name.
func (s *fieldSet) has(name string) bool {
	i, ok := s.index[name]
	return ok && s.columns[i].name == name
}

func (s *fieldSet) find(name string) (int, bool) {
	i, ok := s.index[name]
	if !ok {
		i, ok = s.index[strings.ToLower(name)]
	}
	return i, ok
}

// describeAll puts columns into a message. The messages of records stand in the outermost
// one, under names of their own.
func describeAll(root, into *descriptorpb.DescriptorProto, columns []column) {
	for i := range columns {
		c := &columns[i]
		if c.kind == kindNone {
			continue
		}
		f := describeField(c.name, c.number, c.kind.wire(), c.repeated)
		if c.kind == kindRecord {
			nested := &descriptorpb.DescriptorProto{Name: new(fmt.Sprintf("Record%d", len(root.NestedType)+1))}
			root.NestedType = append(root.NestedType, nested)
			f.TypeName = nested.Name
			describeAll(root, nested, c.fields.columns)
		}
		into.Field = append(into.Field, f)
	}
}

func describeField(name string, number protowire.Number, typ descriptorpb.FieldDescriptorProto_Type, repeated bool) *descriptorpb.FieldDescriptorProto {
	label := descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL
	if repeated {
		label = descriptorpb.FieldDescriptorProto_LABEL_REPEATED
	}
	return &descriptorpb.FieldDescriptorProto{Name: &name, Number: new(int32(number)), Type: &typ, Label: &label}
}

// asTable gives the table as plans are made of it. The driver's own columns have their
// values from it.
func (t *table) asTable(filled bool) *schema.Table {
	out := &schema.Table{Filled: filled}
	if len(t.primary) > 0 {
		out.Unique = [][]string{t.primary}
	}
	for _, c := range t.fields.columns {
		out.Columns = append(out.Columns, schema.Column{Name: c.name, Type: c.declared, Required: c.required && (t.captures || !isOwn(c.name))})
	}
	return out
}

// isOwn reports whether a column is one that the driver writes.
func isOwn(name string) bool {
	return slices.Contains([]string{operationColumn, timeColumn, deletedColumn, versionColumn, changeColumn}, name)
}
