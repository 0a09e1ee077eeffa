package stripesim

// idMaker makes IDs as long and as opaque as Stripe's from numbers, and numbers
// from IDs, so that no table of them is needed. Objects of a kind are numbered from 1.
type idMaker struct{ seed uint64 }

// kind is a kind of object.
type kind uint8

// The kinds. They are written to the log: never renumber.
const (
	noKind      kind = 0
	intentKind  kind = 1
	chargeKind  kind = 2
	txnKind     kind = 3
	refundKind  kind = 4
	disputeKind kind = 5
	payoutKind  kind = 6
	tokenKind   kind = 7
	eventKind   kind = 8
	methodKind  kind = 9 // payment methods, one per charge or try
	requestKind kind = 10
)

var kindPrefixes = [...]string{
	intentKind: "pi_3", chargeKind: "ch_3", txnKind: "txn_3", refundKind: "re_3", disputeKind: "dp_1",
	payoutKind: "po_1", tokenKind: "ctoken_1", eventKind: "evt_3", methodKind: "pm_1", requestKind: "req_",
}

const (
	base62       = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	numberDigits = 6  // 62^6 is more than any 32-bit number
	opaqueDigits = 16 // bind the number to the seed: an ID of elsewhere is not found here
)

// appendID appends the ID of object n of a kind; "" for n 0.
func (m idMaker) appendID(b []byte, k kind, n uint32) []byte {
	if n == 0 {
		return b
	}
	b = append(b, kindPrefixes[k]...)
	b = appendBase62(b, uint64(n), numberDigits)
	h := mix(m.seed ^ mix(uint64(k)<<32|uint64(n)))
	b = appendBase62(b, h, opaqueDigits/2)
	return appendBase62(b, mix(h), opaqueDigits/2)
}

// id is appendID as a string.
func (m idMaker) id(k kind, n uint32) string { return string(m.appendID(nil, k, n)) }

// appendSecret appends the client secret of an intent.
func (m idMaker) appendSecret(b []byte, n uint32) []byte {
	b = append(m.appendID(b, intentKind, n), "_secret_"...)
	h := mix(m.seed ^ mix(uint64(n)|1<<63))
	b = appendBase62(b, h, 10)
	return appendBase62(b, mix(h), 10)
}

// number is the inverse of id; 0 for whatever is not an ID of ours of this kind.
func (m idMaker) number(k kind, id string) uint32 {
	prefix := kindPrefixes[k]
	if len(id) != len(prefix)+numberDigits+opaqueDigits || id[:len(prefix)] != prefix {
		return 0
	}
	var n uint64
	for _, c := range []byte(id[len(prefix) : len(prefix)+numberDigits]) {
		switch {
		case c >= '0' && c <= '9':
			n = n*62 + uint64(c-'0')
		case c >= 'A' && c <= 'Z':
			n = n*62 + uint64(c-'A') + 10
		case c >= 'a' && c <= 'z':
			n = n*62 + uint64(c-'a') + 36
		default:
			return 0
		}
	}
	if n == 0 || n > 1<<32-1 || m.id(k, uint32(n)) != id {
		return 0
	}
	return uint32(n)
}

// appendBase62 appends the lowest digits of x.
func appendBase62(b []byte, x uint64, digits int) []byte {
	at := len(b)
	for range digits {
		b = append(b, '0')
	}
	for i := at + digits - 1; i >= at; i-- {
		b[i] = base62[x%62]
		x /= 62
	}
	return b
}
