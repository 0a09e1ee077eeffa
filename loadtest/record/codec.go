package record

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"time"

	"spillway/loadtest/gift"
)

func appendTime(b []byte, t time.Time) []byte {
	var nanos int64
	if !t.IsZero() {
		nanos = t.UnixNano()
	}
	return binary.LittleEndian.AppendUint64(b, uint64(nanos))
}

func appendRef(b []byte, r gift.Ref) []byte {
	b = append(b, byte(r.Kind), r.Variant)
	b = binary.AppendUvarint(b, uint64(r.Number))
	return binary.AppendUvarint(b, uint64(r.Copy))
}

func appendAttempt(b []byte, a *Attempt) []byte {
	b = append(b, kindAttempt)
	b = appendRef(b, a.Ref)
	b = binary.AppendUvarint(b, uint64(a.Try))
	b = appendTime(b, a.Sent)
	b = binary.AppendUvarint(b, uint64(len(a.Lines)))
	for _, l := range a.Lines {
		b = binary.AppendUvarint(b, uint64(l.Campaign))
		b = binary.AppendUvarint(b, uint64(l.AmountMinor))
	}
	return b
}

func appendAnswer(b []byte, a *Answer) []byte {
	b = append(b, kindAnswer)
	b = appendRef(b, a.Ref)
	b = binary.AppendUvarint(b, uint64(a.Try))
	b = append(b, byte(a.Outcome))
	b = binary.AppendUvarint(b, uint64(a.Code))
	b = appendTime(b, a.At)
	return appendTime(b, a.AcceptedAt)
}

func appendObservation(b []byte, o *Observation) []byte {
	b = append(b, kindObservation)
	var flags byte
	if o.AgesOnly {
		flags = 1
	}
	b = append(b, flags)
	b = binary.AppendUvarint(b, uint64(o.Connection))
	b = binary.AppendUvarint(b, uint64(o.Campaign))
	b = appendTime(b, o.At)
	b = appendTime(b, o.AsOf)
	b = binary.AppendVarint(b, int64(o.Lag))
	b = binary.AppendVarint(b, o.Epoch)
	b = binary.AppendVarint(b, o.Version)
	b = binary.AppendVarint(b, o.Donations)
	return binary.AppendVarint(b, o.PledgedMinor)
}

// appendJSON appends an entry that is written seldom and read by people.
func appendJSON(b []byte, kind byte, v any) ([]byte, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return b, err
	}
	b = append(b, kind)
	b = binary.AppendUvarint(b, uint64(len(text)))
	return append(b, text...), nil
}

// decoder reads the entries of one block; the first thing that does not fit
// stays in err, and everything after it reads as zero.
type decoder struct {
	b   []byte
	err error
}

func (d *decoder) fail(what string) {
	if d.err == nil {
		d.err = fmt.Errorf("%s: %w", what, ErrCorrupt)
	}
	d.b = nil
}

func (d *decoder) byte() byte {
	if len(d.b) < 1 {
		d.fail("entry cut short")
		return 0
	}
	c := d.b[0]
	d.b = d.b[1:]
	return c
}

// uvarint reads a number up to hi.
func (d *decoder) uvarint(hi uint64) uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 || v > hi {
		d.fail("number out of range")
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) varint() int64 {
	v, n := binary.Varint(d.b)
	if n <= 0 {
		d.fail("number out of range")
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) time() time.Time {
	if len(d.b) < 8 {
		d.fail("time cut short")
		return time.Time{}
	}
	nanos := int64(binary.LittleEndian.Uint64(d.b))
	d.b = d.b[8:]
	if nanos == 0 {
		return time.Time{}
	}
	return time.Unix(0, nanos).UTC()
}

const (
	int64Max  = 1<<63 - 1
	int32Max  = 1<<31 - 1
	uint16Max = 1<<16 - 1
)

func (d *decoder) ref() gift.Ref {
	r := gift.Ref{Kind: gift.Kind(d.byte()), Variant: d.byte()}
	if !r.Kind.Valid() {
		d.fail("unknown kind of gift")
	}
	r.Number = int64(d.uvarint(int64Max))
	r.Copy = uint16(d.uvarint(uint16Max))
	return r
}

func (d *decoder) attempt(a *Attempt) {
	a.Ref = d.ref()
	a.Try = int(d.uvarint(int32Max))
	a.Sent = d.time()
	a.Lines = a.Lines[:0]
	for n := d.uvarint(linesMax); n > 0 && d.err == nil; n-- {
		a.Lines = append(a.Lines, Line{Campaign: int32(d.uvarint(int32Max)), AmountMinor: int64(d.uvarint(int64Max))})
	}
}

func (d *decoder) answer(a *Answer) {
	a.Ref = d.ref()
	a.Try = int(d.uvarint(int32Max))
	a.Outcome = Outcome(d.byte())
	if !a.Outcome.Valid() {
		d.fail("unknown outcome")
	}
	a.Code = int(d.uvarint(uint16Max))
	a.At = d.time()
	a.AcceptedAt = d.time()
}

func (d *decoder) observation(o *Observation) {
	o.AgesOnly = d.byte()&1 != 0
	o.Connection = int64(d.uvarint(int64Max))
	o.Campaign = int32(d.uvarint(int32Max))
	o.At, o.AsOf = d.time(), d.time()
	o.Lag = time.Duration(d.varint())
	o.Epoch, o.Version, o.Donations, o.PledgedMinor = d.varint(), d.varint(), d.varint(), d.varint()
}

func (d *decoder) json(v any) {
	n := d.uvarint(uint64(len(d.b)))
	if d.err != nil || n > uint64(len(d.b)) {
		d.fail("text cut short")
		return
	}
	if err := json.Unmarshal(d.b[:n], v); err != nil {
		d.fail(err.Error())
		return
	}
	d.b = d.b[n:]
}
