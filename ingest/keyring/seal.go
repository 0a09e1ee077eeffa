package keyring

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"

	"spillway/ingest"
)

var (
	// ErrUnknownKey says that a field was sealed under a key that is not here.
	ErrUnknownKey = errors.New("sealed under an unknown key")
	// ErrSealBroken says that a sealed field was changed, belongs to another
	// donation, or never was one.
	ErrSealBroken = errors.New("sealed field does not open")
)

// The fields of the sealed message (Protocol Buffers; numbers are never reused).
const (
	fieldName           protowire.Number = 1
	fieldEmail          protowire.Number = 2
	fieldMessage        protowire.Number = 3
	fieldDedicationKind protowire.Number = 4
	fieldDedicationName protowire.Number = 5
)

const (
	nonceBytes = 12 // random: safe for 2^32 fields under one key (NIST SP 800-38D, 8.3)
	sealTag    = 16
)

type sealKey struct {
	id    uint32
	aead  cipher.AEAD
	works sync.Pool // *sealWork
}

// sealWork is what a call hands through the cipher's interface, pooled because it
// would escape otherwise.
type sealWork struct {
	id    ingest.ID
	plain []byte
}

func newSealKey(id uint32, key []byte) (*sealKey, error) {
	b, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCM(b)
	if err != nil {
		return nil, err
	}
	return &sealKey{id: id, aead: aead, works: sync.Pool{New: func() any { return new(sealWork) }}}, nil
}

// Seal appends the personal fields, sealed to the donation id under the newest
// key: a random nonce, then AES-256-GCM over a Protocol Buffers message. It
// returns dst with the field appended and the key's ID. Nothing personal gives
// dst unchanged and key 0. It allocates only to grow dst.
func (k *Keyring) Seal(dst []byte, id ingest.ID, p *ingest.Personal) (sealed []byte, keyID uint32) {
	if p.IsZero() {
		return dst, 0
	}
	key := k.seals[0]
	w := key.works.Get().(*sealWork)
	w.id = id
	w.plain = appendPersonal(w.plain[:0], p)
	var nonce [nonceBytes]byte
	dst = append(dst, nonce[:]...)
	at := len(dst) - nonceBytes
	_, _ = rand.Read(dst[at:]) // never fails: it ends the process instead
	dst = key.aead.Seal(dst, dst[at:at+nonceBytes], w.plain, w.id[:])
	clear(w.plain)
	key.works.Put(w)
	return dst, key.id
}

// Open reads what Seal wrote for the donation id. The empty field is the zero
// Personal. Errors: ErrUnknownKey, ErrSealBroken.
func (k *Keyring) Open(id ingest.ID, sealed []byte, keyID uint32) (ingest.Personal, error) {
	if len(sealed) == 0 {
		return ingest.Personal{}, nil
	}
	for _, key := range k.seals {
		if key.id != keyID {
			continue
		}
		if len(sealed) < nonceBytes+sealTag {
			return ingest.Personal{}, fmt.Errorf("%d bytes: %w", len(sealed), ErrSealBroken)
		}
		plain, err := key.aead.Open(nil, sealed[:nonceBytes], sealed[nonceBytes:], id[:])
		if err != nil {
			return ingest.Personal{}, ErrSealBroken
		}
		return parsePersonal(plain)
	}
	return ingest.Personal{}, fmt.Errorf("key %d: %w", keyID, ErrUnknownKey)
}

func appendPersonal(b []byte, p *ingest.Personal) []byte {
	text := func(n protowire.Number, s string) {
		if s != "" {
			b = protowire.AppendTag(b, n, protowire.BytesType)
			b = protowire.AppendString(b, s)
		}
	}
	text(fieldName, p.Name)
	text(fieldEmail, p.Email)
	text(fieldMessage, p.Message)
	if p.DedicationKind != ingest.NoDedication {
		b = protowire.AppendTag(b, fieldDedicationKind, protowire.VarintType)
		b = protowire.AppendVarint(b, uint64(p.DedicationKind))
	}
	text(fieldDedicationName, p.DedicationName)
	return b
}

// parsePersonal reads the message; fields that this build does not know are
// skipped, because a newer one may have sealed them.
func parsePersonal(b []byte) (p ingest.Personal, err error) {
	for len(b) > 0 {
		n, typ, size := protowire.ConsumeTag(b)
		if size < 0 {
			return ingest.Personal{}, ErrSealBroken
		}
		b = b[size:]
		var text *string
		switch n {
		case fieldName:
			text = &p.Name
		case fieldEmail:
			text = &p.Email
		case fieldMessage:
			text = &p.Message
		case fieldDedicationName:
			text = &p.DedicationName
		}
		switch {
		case text != nil && typ == protowire.BytesType:
			var v []byte
			if v, size = protowire.ConsumeBytes(b); size < 0 || !utf8.Valid(v) {
				return ingest.Personal{}, ErrSealBroken
			}
			*text = string(v)
		case n == fieldDedicationKind && typ == protowire.VarintType:
			var v uint64
			if v, size = protowire.ConsumeVarint(b); size < 0 || v > uint64(ingest.InMemory) {
				return ingest.Personal{}, ErrSealBroken
			}
			p.DedicationKind = ingest.DedicationKind(v)
		default:
			if size = protowire.ConsumeFieldValue(n, typ, b); size < 0 {
				return ingest.Personal{}, ErrSealBroken
			}
		}
		b = b[size:]
	}
	return p, nil
}
