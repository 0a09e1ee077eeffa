package trace

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Sampler decides which traces are recorded, by their ID alone: processes that are
// given the same part decide alike without a word between them. The zero value
// records none.
type Sampler struct {
	parts uint64 // of randomRange: recorded are the IDs with the highest randomness
}

// randomRange is how many values the random part of a trace ID has: its last seven
// bytes (www.w3.org/TR/trace-context-2, section 3.2.2.5). A donation's ID is a hash
// there; the two bits that are not stand before.
const randomRange = 1 << 56

// Part records that part of all traces; below 0 none, above 1 all of them.
func Part(of float64) Sampler {
	switch {
	case !(of > 0):
		return Sampler{}
	case of >= 1:
		return Sampler{randomRange}
	}
	return Sampler{max(1, uint64(math.Round(of*randomRange)))}
}

// Samples tells whether spans of the trace are recorded: those that OpenTelemetry's
// consistent probability sampling takes too (opentelemetry.io/docs/specs/otel/trace/tracestate-probability-sampling).
func (s Sampler) Samples(id ID) bool {
	random := binary.BigEndian.Uint64(id[len(id)-8:]) & (randomRange - 1)
	return random >= randomRange-s.parts && id != ID{}
}

// ErrSampler says that a sampler's name or part is none.
var ErrSampler = errors.New("no sampler")

// ParseSampler reads what OTEL_TRACES_SAMPLER and OTEL_TRACES_SAMPLER_ARG say.
// Those that are "parentbased" are what they are for roots: the flag that a caller
// sends is not followed, since anybody may send it.
func ParseSampler(name, part string) (Sampler, error) {
	switch strings.TrimPrefix(name, "parentbased_") {
	case "always_on":
		return Part(1), nil
	case "always_off":
		return Part(0), nil
	case "traceidratio":
		of, err := strconv.ParseFloat(part, 64)
		if part == "" { // the specification's default
			of, err = 1, nil
		}
		if err != nil || !(of >= 0 && of <= 1) {
			return Sampler{}, fmt.Errorf("%w: part %q is not a number from 0 to 1", ErrSampler, part)
		}
		return Part(of), nil
	}
	return Sampler{}, fmt.Errorf("%w: %q; take always_on, always_off or traceidratio, each also as parentbased_...", ErrSampler, name)
}
