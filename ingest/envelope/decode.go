package envelope

import (
	"bytes"
	"fmt"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
)

// Decode reads an envelope and calls visit once for each of its records, in the
// order they were appended, with index counting from 0.
//
// For a record that can be read, what r points to is fresh, and strings, lines and
// sealed fields share one copy made per envelope: the caller may keep it and owns
// data again afterwards. For one that cannot, r is zero and err says why
// (ErrMalformed, ErrUnknownKind); the records after it are visited all the same.
// raw is the record as it lies in data, for setting aside; err never quotes its content.
//
// The error returned is about the envelope as a whole, and then nothing was
// visited: ErrMalformed, ErrVersion.
func Decode(data []byte, visit func(index int, r Record, raw []byte, err error)) (Header, error) {
	h, records, err := decodeHeader(data)
	if err != nil || records == 0 {
		return h, err
	}
	dec := decoder{
		donations: make([]Donation, records),
		lines:     make(lineSlab, 0, records+records/2),
	}
	backing := bytes.Clone(data)
	for index, rest := 0, backing; len(rest) > 0; {
		num, typ, n := protowire.ConsumeTag(rest)
		m := protowire.ConsumeFieldValue(num, typ, rest[n:])
		if num == envelopeRecords {
			record, _ := protowire.ConsumeBytes(rest[n:])
			offset := len(backing) - len(rest) + n + m - len(record)
			r, err := dec.record(&dec.donations[index], record)
			visit(index, r, data[offset:offset+len(record)], err)
			index++
		}
		rest = rest[n+m:]
	}
	return h, nil
}

// decodeHeader walks the whole top level, so that an envelope which is cut or
// newer is refused before any of its records is believed.
func decodeHeader(data []byte) (h Header, records int, err error) {
	var version uint64
	var seen fieldSet
	for rest := data; len(rest) > 0; {
		num, typ, n := protowire.ConsumeTag(rest)
		if n < 0 {
			return h, 0, malformed("tag")
		}
		rest = rest[n:]
		m := protowire.ConsumeFieldValue(num, typ, rest)
		if m < 0 {
			return h, 0, malformed("field %d", num)
		}
		switch num {
		case envelopeVersion:
			version, err = seen.varint(num, typ, rest)
		case envelopeID:
			err = seen.fixedBytes(h.ID[:], num, typ, rest)
		case envelopeNode:
			var node string
			node, err = seen.text(num, typ, rest, nodeBytesMax)
			h.Node = strings.Clone(node)
		case envelopeRecords:
			if typ != protowire.BytesType {
				err = malformed("records: wire type %d", typ)
			}
			records++
		}
		if err != nil {
			return Header{}, 0, err
		}
		rest = rest[m:]
	}
	switch {
	case version > Version:
		return Header{}, 0, fmt.Errorf("version %d, this build reads up to %d: %w", version, Version, ErrVersion)
	case version == 0:
		return Header{}, 0, malformed("no version")
	case h.ID == [16]byte{}:
		return Header{}, 0, malformed("no id")
	}
	return h, records, nil
}

func malformed(format string, args ...any) error {
	return fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), ErrMalformed)
}
