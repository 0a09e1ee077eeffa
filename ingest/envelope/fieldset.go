package envelope

import (
	"math"
	"time"
	"unicode/utf8"
	"unsafe"

	"google.golang.org/protobuf/encoding/protowire"

	"spillway/ledger/money"
)

// fieldSet remembers which fields were there: a second one is malformed, since
// two readers could take different ones.
type fieldSet uint32

func (s fieldSet) with(nums ...protowire.Number) fieldSet {
	for _, num := range nums {
		s |= 1 << num
	}
	return s
}

// take checks wire type and uniqueness. b is known to hold a whole value.
func (s *fieldSet) take(num protowire.Number, typ, want protowire.Type) error {
	if typ != want {
		return malformed("field %d: wire type %d", num, typ)
	}
	if *s&(1<<num) != 0 {
		return malformed("field %d: twice", num)
	}
	*s |= 1 << num
	return nil
}

func (s *fieldSet) varint(num protowire.Number, typ protowire.Type, b []byte) (uint64, error) {
	err := s.take(num, typ, protowire.VarintType)
	if err != nil {
		return 0, err
	}
	v, _ := protowire.ConsumeVarint(b)
	return v, nil
}

func (s *fieldSet) bool(num protowire.Number, typ protowire.Type, b []byte) (bool, error) {
	v, err := s.varint(num, typ, b)
	if err == nil && v > 1 {
		err = malformed("field %d: not a bool", num)
	}
	return v == 1, err
}

func (s *fieldSet) uint32(num protowire.Number, typ protowire.Type, b []byte) (uint32, error) {
	v, err := s.varint(num, typ, b)
	if err == nil && v > math.MaxUint32 {
		err = malformed("field %d: beyond 32 bits", num)
	}
	return uint32(v), err
}

// minor reads an amount that may not be negative.
func (s *fieldSet) minor(num protowire.Number, typ protowire.Type, b []byte) (int64, error) {
	v, err := s.varint(num, typ, b)
	if err == nil && v > math.MaxInt64 {
		err = malformed("field %d: negative", num)
	}
	return int64(v), err
}

func (s *fieldSet) micros(num protowire.Number, typ protowire.Type, b []byte) (time.Time, error) {
	v, err := s.varint(num, typ, b)
	if err == nil && (v == 0 || v > timeMicrosMax) {
		err = malformed("field %d: no time", num)
	}
	return time.UnixMicro(int64(v)).UTC(), err
}

func (s *fieldSet) fixed64(num protowire.Number, typ protowire.Type, b []byte) (uint64, error) {
	if err := s.take(num, typ, protowire.Fixed64Type); err != nil {
		return 0, err
	}
	v, _ := protowire.ConsumeFixed64(b)
	return v, nil
}

func (s *fieldSet) bytes(num protowire.Number, typ protowire.Type, b []byte, bytesMax int) ([]byte, error) {
	if err := s.take(num, typ, protowire.BytesType); err != nil {
		return nil, err
	}
	v, _ := protowire.ConsumeBytes(b)
	if len(v) > bytesMax {
		return nil, malformed("field %d: longer than %d bytes", num, bytesMax)
	}
	return v[:len(v):len(v)], nil
}

func (s *fieldSet) fixedBytes(dst []byte, num protowire.Number, typ protowire.Type, b []byte) error {
	v, err := s.bytes(num, typ, b, len(dst))
	if err == nil && copy(dst, v) != len(dst) {
		err = malformed("field %d: not %d bytes", num, len(dst))
	}
	return err
}

// text returns a string that shares b's memory: b belongs to the envelope's own
// copy, which nobody writes to.
func (s *fieldSet) text(num protowire.Number, typ protowire.Type, b []byte, bytesMax int) (string, error) {
	v, err := s.bytes(num, typ, b, bytesMax)
	if err != nil || len(v) == 0 {
		return "", err
	}
	for _, c := range v {
		if c == 0 { // Postgres cannot store it
			return "", malformed("field %d: holds a NUL", num)
		}
	}
	if !utf8.Valid(v) {
		return "", malformed("field %d: not UTF-8", num)
	}
	return unsafe.String(&v[0], len(v)), nil
}

func (s *fieldSet) currency(num protowire.Number, typ protowire.Type, b []byte) (money.Currency, error) {
	v, err := s.bytes(num, typ, b, 3)
	if err != nil {
		return "", err
	}
	c, ok := money.ParseCurrency(v)
	if !ok {
		return "", malformed("field %d: unknown currency", num)
	}
	return c, nil
}
