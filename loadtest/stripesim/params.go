package stripesim

import (
	"net/url"
	"sort"
	"strconv"
	"strings"
)

// params are a call's parameters, from the form or the query, brackets and all.
type params struct{ values url.Values }

// text returns a parameter, "" when it is not there.
func (p params) text(name string) string { return p.values.Get(name) }

// flag returns a boolean parameter.
func (p params) flag(name string) bool { return p.values.Get(name) == "true" }

// number returns an integer parameter; ok is false when it is not there.
func (p params) number(name string) (n int64, ok bool, bad *apiError) {
	text := p.values.Get(name)
	if text == "" {
		return 0, false, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, false, malformed("parameter_invalid_integer", name, "Invalid integer: %s", text)
	}
	return n, true, nil
}

// fingerprint tells one set of parameters from another, in whatever order.
func (p params) fingerprint() uint64 {
	var sum uint64
	for name, values := range p.values {
		for _, v := range values {
			sum += hashOf(hashOf(4, name), v)
		}
	}
	return mix(sum)
}

// known refuses parameters that an endpoint does not have: roots are their names
// up to the first bracket.
func (p params) known(roots map[string]bool) *apiError {
	for name := range p.values {
		root, _, _ := strings.Cut(name, "[")
		if !roots[root] && root != "expand" {
			return malformed("parameter_unknown", name, "Received unknown parameter: %s", root)
		}
	}
	return nil
}

// Bounds of metadata (docs.stripe.com/metadata).
const (
	metadataKeysMax  = 50
	metadataKeyMax   = 40  // characters
	metadataValueMax = 500 // characters
)

// metadata encodes metadata[...] over what was there before; an empty value unsets.
func (p params) metadata(before string) (string, *apiError) {
	pairs := decodePairs(before)
	changed := false
	for name, values := range p.values {
		key, ok := strings.CutPrefix(name, "metadata[")
		if !ok {
			continue
		}
		key, ok = strings.CutSuffix(key, "]")
		value := values[len(values)-1]
		if !ok || key == "" || len([]rune(key)) > metadataKeyMax || len([]rune(value)) > metadataValueMax ||
			strings.ContainsRune(key, 0) || strings.ContainsRune(value, 0) {
			return "", malformed("parameter_invalid", name, "Metadata keys have up to %d characters and values up to %d.", metadataKeyMax, metadataValueMax)
		}
		changed = true
		pairs[key] = value
		if value == "" {
			delete(pairs, key)
		}
	}
	if !changed {
		return before, nil
	}
	if len(pairs) > metadataKeysMax {
		return "", malformed("parameter_invalid", "metadata", "Metadata has up to %d keys.", metadataKeysMax)
	}
	return encodePairs(pairs), nil
}

// encodePairs writes pairs in the order of their keys, each as key, NUL, value, NUL.
func encodePairs(pairs map[string]string) string {
	keys := make([]string, 0, len(pairs))
	for k := range pairs {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	var b strings.Builder
	for _, k := range keys {
		b.WriteString(k)
		b.WriteByte(0)
		b.WriteString(pairs[k])
		b.WriteByte(0)
	}
	return b.String()
}

func decodePairs(text string) map[string]string {
	pairs := map[string]string{}
	eachPair(text, func(k, v string) { pairs[k] = v })
	return pairs
}

// eachPair visits the pairs in order.
func eachPair(text string, visit func(key, value string)) {
	for text != "" {
		var k, v string
		k, text, _ = strings.Cut(text, "\x00")
		v, text, _ = strings.Cut(text, "\x00")
		visit(k, v)
	}
}

// pairOf returns the value of a key, "" when it is not there.
func pairOf(text, key string) (value string) {
	eachPair(text, func(k, v string) {
		if k == key {
			value = v
		}
	})
	return value
}
