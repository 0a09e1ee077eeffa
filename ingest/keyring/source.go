package keyring

import (
	"crypto/aes"
	"encoding/binary"
	"net/netip"
)

// block is one AES block in and out, pooled because it would escape through the
// cipher's interface.
type block struct{ in, out [aes.BlockSize]byte }

// sourceBitsV6 is how much of an IPv6 address names a household or a campus: a
// client moves freely inside its /64.
const sourceBitsV6 = 64

// Source is a keyed hash of the client's address prefix, IPv4 /32 or IPv6 /64,
// equal on every front-end that holds the same key. Without the key it tells
// nothing about the address. An address that is not valid has the source of the
// unspecified one, so that clients without one share a single source.
//
// The prefix fills exactly one block, for which AES under a secret key is a
// pseudo-random function; the hash is its first 64 bits.
func (k *Keyring) Source(addr netip.Addr) uint64 {
	b := k.blocks.Get().(*block)
	switch addr = addr.Unmap(); {
	case addr.Is4():
		b.in = addr.As16() // ::ffff:a.b.c.d: no IPv6 /64 below begins so and goes on
	case addr.Is6():
		b.in = addr.As16()
		clear(b.in[sourceBitsV6/8:])
	default:
		b.in = [aes.BlockSize]byte{}
	}
	k.source.Encrypt(b.out[:], b.in[:])
	source := binary.BigEndian.Uint64(b.out[:])
	k.blocks.Put(b)
	return source
}
