package main

import (
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
)

// accepted lists which kinds of a message's fields each type of column takes: those of
// the vendor's table of conversions, less its wrapper messages, enums, and floating
// point for decimals, which are not known here.
var accepted = map[string][]protoreflect.Kind{
	"BOOLEAN":    {protoreflect.BoolKind, protoreflect.Int32Kind, protoreflect.Int64Kind, protoreflect.Uint32Kind, protoreflect.Uint64Kind},
	"BYTES":      {protoreflect.BytesKind, protoreflect.StringKind},
	"DATE":       {protoreflect.Int32Kind, protoreflect.Int64Kind, protoreflect.StringKind},
	"DATETIME":   {protoreflect.StringKind, protoreflect.Int64Kind},
	"TIME":       {protoreflect.StringKind, protoreflect.Int64Kind},
	"FLOAT":      {protoreflect.DoubleKind, protoreflect.FloatKind},
	"INTEGER":    {protoreflect.Int32Kind, protoreflect.Int64Kind, protoreflect.Uint32Kind},
	"JSON":       {protoreflect.StringKind},
	"NUMERIC":    {protoreflect.StringKind, protoreflect.BytesKind, protoreflect.Int32Kind, protoreflect.Int64Kind, protoreflect.Uint32Kind, protoreflect.Uint64Kind},
	"BIGNUMERIC": {protoreflect.StringKind, protoreflect.BytesKind, protoreflect.Int32Kind, protoreflect.Int64Kind, protoreflect.Uint32Kind, protoreflect.Uint64Kind},
	"STRING":     {protoreflect.StringKind},
	"TIMESTAMP":  {protoreflect.Int64Kind, protoreflect.Int32Kind, protoreflect.Uint32Kind},
	"RECORD":     {protoreflect.MessageKind},
}

// descriptor makes a writer's schema usable. It has to be complete in itself.
func descriptor(d *descriptorpb.DescriptorProto) (protoreflect.MessageDescriptor, error) {
	file, err := protodesc.NewFile(&descriptorpb.FileDescriptorProto{
		Name: new("writer.proto"), Syntax: new("proto2"), MessageType: []*descriptorpb.DescriptorProto{d},
	}, nil)
	if err != nil {
		return nil, fmt.Errorf("Invalid proto schema: %w", err)
	}
	return file.Messages().Get(0), nil
}

// fits judges whether messages of a descriptor can be rows of the columns.
func fits(md protoreflect.MessageDescriptor, columns []column, path string) error {
	var extra []string
	for i := range md.Fields().Len() {
		fd := md.Fields().Get(i)
		if path == "" && pseudo(fd) {
			if fd.Kind() != protoreflect.StringKind || fd.IsList() {
				return fmt.Errorf("The proto field %s has to be a string", fd.Name())
			}
			continue
		}
		c, ok := find(columns, string(fd.Name()))
		if !ok {
			extra = append(extra, path+string(fd.Name()))
			continue
		}
		if fd.IsMap() || fd.IsList() != (c.Mode == repeated) || !slices.Contains(accepted[c.Type], fd.Kind()) {
			return fmt.Errorf("The proto field mismatched with BigQuery field at %s%s, the proto field type %s %s, BigQuery field type %s %s",
				path, c.Name, fd.Cardinality(), fd.Kind(), c.Mode, c.Type)
		}
		if c.Type == "RECORD" {
			if err := fits(fd.Message(), c.Fields, path+c.Name+"."); err != nil {
				return err
			}
		}
	}
	if len(extra) > 0 {
		return extraFields("Input schema has more fields than BigQuery schema, extra fields: '" + strings.Join(extra, ",") + "'")
	}
	for _, c := range columns {
		if c.Mode == required && fieldOf(md, c.Name) == nil {
			return fmt.Errorf("The required field %s%s is missing in the proto message", path, c.Name)
		}
	}
	return nil
}

// extraFields is the mismatch that has a code of its own.
type extraFields string

func (e extraFields) Error() string { return string(e) }

func pseudo(fd protoreflect.FieldDescriptor) bool {
	return strings.EqualFold(string(fd.Name()), changeTypeColumn) || strings.EqualFold(string(fd.Name()), sequenceColumn)
}

func fieldOf(md protoreflect.MessageDescriptor, name string) protoreflect.FieldDescriptor {
	for i := range md.Fields().Len() {
		if fd := md.Fields().Get(i); strings.EqualFold(string(fd.Name()), name) {
			return fd
		}
	}
	return nil
}

// decode reads one row. Every error is that row's own. A delete needs what an upsert
// does, required columns included; the vendor may ask for less.
func decode(md protoreflect.MessageDescriptor, t *table, data []byte) (change, error) {
	m := dynamicpb.NewMessage(md)
	if err := proto.Unmarshal(data, m); err != nil {
		return change{}, fmt.Errorf("Cannot parse the row by the writer's schema: %w", err)
	}
	var c change
	if fd := fieldOf(md, changeTypeColumn); fd != nil {
		c.kind = m.Get(fd).String()
		if c.kind != "UPSERT" && c.kind != "DELETE" {
			return change{}, errors.New(changeTypeColumn + " is neither UPSERT nor DELETE")
		}
	}
	if fd := fieldOf(md, sequenceColumn); fd != nil && m.Has(fd) {
		var err error
		if c.sequence, err = parseSequence(m.Get(fd).String()); err != nil {
			return change{}, err
		}
	}
	var err error
	if c.row, err = decodeRecord(m, t.columns(), ""); err != nil {
		return change{}, err
	}
	for _, name := range t.key() {
		if col, _ := find(t.columns(), name); c.kind != "" && c.row[col.Name] == nil {
			return change{}, fmt.Errorf("The primary key's column %s is null", col.Name)
		}
	}
	return c, nil
}

func decodeRecord(m protoreflect.Message, columns []column, path string) (row, error) {
	if len(m.GetUnknown()) > 0 {
		return nil, fmt.Errorf("The row has fields at %q that the writer's schema does not describe", path)
	}
	r := row{}
	for _, c := range columns {
		fd := fieldOf(m.Descriptor(), c.Name)
		if fd == nil || !m.Has(fd) {
			if c.Mode == required {
				return nil, fmt.Errorf("Missing required field: %s%s", path, c.Name)
			}
			continue
		}
		var err error
		if c.Mode != repeated {
			r[c.Name], err = decodeValue(c, fd.Kind(), m.Get(fd), path)
		} else {
			list := m.Get(fd).List()
			elements := make([]any, list.Len())
			for i := range elements {
				if elements[i], err = decodeValue(c, fd.Kind(), list.Get(i), path); err != nil {
					break
				}
			}
			r[c.Name] = elements
		}
		if err != nil {
			return nil, err
		}
	}
	return r, nil
}

func decodeValue(c column, kind protoreflect.Kind, v protoreflect.Value, path string) (value, error) {
	if c.Type == "RECORD" {
		return decodeRecord(v.Message(), c.Fields, path+c.Name+".")
	}
	out, err := decodeScalar(c.Type, kind, v)
	if err != nil {
		return nil, fmt.Errorf("Field %s%s: the value %w", path, c.Name, err)
	}
	return out, nil
}

func decodeScalar(typ string, kind protoreflect.Kind, v protoreflect.Value) (value, error) {
	switch x := v.Interface().(type) {
	case string:
		if typ == "BYTES" {
			return []byte(x), nil
		}
		return parse(typ, x)
	case []byte:
		if typ == "BYTES" {
			return slices.Clone(x), nil
		}
		return decimalBytes(typ, x)
	case bool:
		return x, nil
	case float64:
		return x, nil
	case float32:
		return float64(x), nil
	case uint64:
		if typ == "BOOLEAN" {
			return x != 0, nil
		}
		return decimal(typ, new(big.Rat).SetUint64(x))
	case uint32:
		return decodeInteger(typ, int64(x))
	case int32:
		return decodeInteger(typ, int64(x))
	case int64:
		return decodeInteger(typ, x)
	}
	return nil, fmt.Errorf("is a %s, which is not known here", kind)
}

func decodeInteger(typ string, n int64) (value, error) {
	switch typ {
	case "BOOLEAN":
		return n != 0, nil
	case "NUMERIC", "BIGNUMERIC":
		return decimal(typ, new(big.Rat).SetInt64(n))
	case "TIMESTAMP":
		return timestamp(n)
	case "DATE":
		if n < minDays || n > maxDays {
			return nil, errors.New("is outside of the years 1 to 9999")
		}
		return time.Unix(n*24*60*60, 0).UTC().Format(time.DateOnly), nil
	case "DATETIME", "TIME":
		return civil(typ, n)
	}
	return n, nil
}

// decimalBytes reads a decimal as its vendor's clients encode it: the number without
// its point as two's complement, the lowest byte first.
func decimalBytes(typ string, b []byte) (value, error) {
	limit, scale := 16, 9
	if typ == "BIGNUMERIC" {
		limit, scale = 32, 38
	}
	if len(b) == 0 || len(b) > limit {
		return nil, fmt.Errorf("is not the 1 to %d bytes of an encoded %s", limit, typ)
	}
	order := slices.Clone(b)
	slices.Reverse(order)
	n := new(big.Int).SetBytes(order)
	if order[0]&0x80 != 0 {
		n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(8*len(b))))
	}
	return decimal(typ, new(big.Rat).SetFrac(n, pow10(scale)))
}

// civil reads a DATETIME or TIME packed into bits: from the lowest on 20 of
// microseconds, 6 of seconds, 6 of minutes, 5 of hours, 5 of days, 4 of months, and the
// year.
func civil(typ string, n int64) (value, error) {
	us, second, minute, hour := n&(1<<20-1), n>>20&63, n>>26&63, n>>32&31
	clock := fmt.Sprintf("%02d:%02d:%02d.%06d", hour, minute, second, us)
	if us > 999_999 {
		return nil, errors.New("is not a packed " + typ)
	}
	if typ == "TIME" {
		if n>>37 != 0 {
			return nil, errors.New("is not a packed TIME")
		}
		return parse(typ, clock)
	}
	return parse(typ, fmt.Sprintf("%04d-%02d-%02d %s", n>>46, n>>42&15, n>>37&31, clock))
}
