package keyring

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"

	"spillway/ingest"
)

// Uses of the keyed hashes below. Changing one would make strangers of known donors,
// or give every gift that is shown another name.
const (
	donorKeyUse = "spillway/donor-key/v1\x00"
	donorUse    = "spillway/donor/v1\x00"
	refUse      = "spillway/gift-ref/v1\x00"
	// refBytes make chance equals among the gifts of one page unthinkable.
	refBytes = 8
)

// Donor is a keyed hash of a folded e-mail address: it tells donors apart and leads
// back to nobody without the key. The key is that of Source, which does not rotate:
// a donor is the same one over the years.
func (k *Keyring) Donor(email string) (donor [16]byte) {
	copy(donor[:], k.donorHash(donorUse, []byte(email)))
	return donor
}

// GiftRef names a gift where everybody sees it: it tells gifts apart and does not
// lead back to the donation.
func (k *Keyring) GiftRef(id ingest.ID) string {
	return hex.EncodeToString(k.donorHash(refUse, id[:])[:refBytes])
}

// donorHash is HMAC-SHA-256 under a key of its own, derived from the source key, so
// that no two uses share one.
func (k *Keyring) donorHash(use string, content []byte) []byte {
	key := hmac.New(sha256.New, k.file.SourceKey)
	key.Write([]byte(donorKeyUse))
	h := hmac.New(sha256.New, key.Sum(nil))
	h.Write([]byte(use))
	h.Write(content)
	return h.Sum(nil)
}
