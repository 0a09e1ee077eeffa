package keyring

import (
	"crypto/rand"
	"encoding/binary"
)

// secretDomain keeps sealed secrets and donors' sealed fields apart: the latter are
// bound to 16 bytes, the former always to more.
const secretDomain = "spillway sealed secret\x00"

// keyIDBytes stand before a sealed secret, so that it says which key opens it.
const keyIDBytes = 4

// SealSecret seals a secret of somebody who is no donor, such as a second factor's,
// under the newest key. It opens only for the same owner, a name that the caller
// chooses.
func (k *Keyring) SealSecret(owner string, plain []byte) []byte {
	key := k.seals[0]
	sealed := binary.BigEndian.AppendUint32(make([]byte, 0, keyIDBytes+nonceBytes+len(plain)+sealTag), key.id)
	sealed = sealed[:keyIDBytes+nonceBytes]
	nonce := sealed[keyIDBytes:]
	_, _ = rand.Read(nonce) // never fails: it ends the process instead
	return key.aead.Seal(sealed, nonce, plain, []byte(secretDomain+owner))
}

// OpenSecret reads what SealSecret wrote for the same owner. Errors: ErrUnknownKey,
// ErrSealBroken.
func (k *Keyring) OpenSecret(owner string, sealed []byte) ([]byte, error) {
	if len(sealed) < keyIDBytes+nonceBytes+sealTag {
		return nil, ErrSealBroken
	}
	id := binary.BigEndian.Uint32(sealed)
	for _, key := range k.seals {
		if key.id != id {
			continue
		}
		plain, err := key.aead.Open(nil, sealed[keyIDBytes:keyIDBytes+nonceBytes], sealed[keyIDBytes+nonceBytes:], []byte(secretDomain+owner))
		if err != nil {
			return nil, ErrSealBroken
		}
		return plain, nil
	}
	return nil, ErrUnknownKey
}
