// Package hdr carries histograms from one process to another, in HdrHistogram's own
// encoding (V2, compressed, base64), so that percentiles of several generators are those
// of all their samples and never an average of percentiles.
//
// The one invariant: a histogram that was decoded has the geometry of all others of its
// kind and a total that leaves room for more, so that merging it drops nothing.
//
// No goroutines.
package hdr

import (
	"errors"
	"fmt"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Geometry of every histogram of durations: microseconds, up to an hour.
const mostMicros = int64(time.Hour / time.Microsecond)

const (
	// EncodedBytesMax bounds an encoded histogram before it is decoded: one with every
	// count different takes half of that.
	EncodedBytesMax = 1 << 20
	// countMax bounds the samples of one histogram: a thousand years at a million a second
	// are far beyond, and a sum of some is far below 2^63.
	countMax = int64(1) << 55
)

// ErrHistogram says that a text is no histogram of ours.
var ErrHistogram = errors.New("not a histogram of durations up to an hour")

// New makes a histogram of microseconds up to an hour with so many digits.
func New(digits int) *hdrhistogram.Histogram { return hdrhistogram.New(1, mostMicros, digits) }

// Note records a duration in microseconds; one beyond the range counts as the longest.
func Note(h *hdrhistogram.Histogram, d time.Duration) {
	_ = h.RecordValue(min(max(d.Microseconds(), 0), mostMicros)) // in range by now
}

// Encode writes a histogram that New made; "" for an empty one.
func Encode(h *hdrhistogram.Histogram) (string, error) {
	if h == nil || h.TotalCount() == 0 {
		return "", nil
	}
	text, err := h.Encode(hdrhistogram.V2CompressedEncodingCookieBase)
	if err != nil {
		return "", fmt.Errorf("encode a histogram: %w", err)
	}
	return string(text), nil
}

// Decode reads what Encode wrote for a histogram with so many digits. Errors: ErrHistogram.
func Decode(text string, digits int) (*hdrhistogram.Histogram, error) {
	if text == "" {
		return New(digits), nil
	}
	if len(text) > EncodedBytesMax {
		return nil, fmt.Errorf("%d bytes: %w", len(text), ErrHistogram)
	}
	h, err := hdrhistogram.Decode([]byte(text))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrHistogram, err)
	}
	if h.LowestTrackableValue() != 1 || h.HighestTrackableValue() != mostMicros || h.SignificantFigures() != int64(digits) || h.TotalCount() > countMax {
		return nil, fmt.Errorf("%d to %d with %d digits, %d samples: %w",
			h.LowestTrackableValue(), h.HighestTrackableValue(), h.SignificantFigures(), h.TotalCount(), ErrHistogram)
	}
	return h, nil
}

// Merge adds an encoded histogram to one with so many digits. Errors: ErrHistogram.
func Merge(into *hdrhistogram.Histogram, text string, digits int) error {
	more, err := Decode(text, digits)
	if err != nil {
		return err
	}
	if dropped := into.Merge(more); dropped > 0 {
		return fmt.Errorf("%d samples do not fit: %w", dropped, ErrHistogram)
	}
	return nil
}
