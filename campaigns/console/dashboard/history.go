package dashboard

import (
	"math"
	"strconv"
	"sync"
	"time"
)

const (
	// step is the time between two points, and pointsMax how many are kept: the last
	// quarter of an hour, some 90 KiB.
	step      = time.Second
	pointsMax = 15 * 60
)

// The series that are kept, in the order of seriesNames.
const (
	raisedSeries = iota
	pledgedSeries
	giftsSeries
	acceptedSeries
	refusedSeries
	ackSeries
	lagSeries
	staleSeries
	queueSeries
	chargesSeries
	declinesSeries
	viewersSeries
	seriesCount
)

var seriesNames = [seriesCount]string{
	"raised_minor", "pledged_minor", "gifts_per_minute", "accepted_per_second", "refused_per_second", "ack_p99_ms",
	"recording_lag_ms", "stale_ms", "queue_due", "charges_per_second", "declines_per_second", "viewers",
}

// point is one second. NaN stands for what was not known.
type point [seriesCount]float64

// history is the last quarter of an hour, in memory: whoever opens the page sees it.
type history struct {
	mu     sync.Mutex
	points [pointsMax]point
	number int64 // of the newest point, counted from 1; 0 while there is none
}

// add adds the newest point and returns its number.
func (h *history) add(p point) int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.points[h.number%pointsMax] = p
	h.number++
	return h.number
}

// forget makes what a series was so far unknown: its unit is another one now.
func (h *history) forget(series ...int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := range h.points {
		for _, s := range series {
			h.points[i][s] = math.NaN()
		}
	}
}

// mean is the mean of a series over the last n points, of those that are known; 0
// when none is.
func (h *history) mean(series, n int) float64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	sum, count := 0.0, 0
	for i := h.number - 1; i >= 0 && i >= h.number-int64(min(n, pointsMax)); i-- {
		if v := h.points[i%pointsMax][series]; !math.IsNaN(v) {
			sum, count = sum+v, count+1
		}
	}
	if count == 0 {
		return 0
	}
	return sum / float64(count)
}

// AppendJSON appends {"number":..,"step_ms":1000,"series":{"name":[..]}}, the oldest
// point first, null for what was not known.
func (h *history) AppendJSON(dst []byte) []byte {
	h.mu.Lock()
	defer h.mu.Unlock()
	dst = append(dst, `{"number":`...)
	dst = strconv.AppendInt(dst, h.number, 10)
	dst = append(dst, `,"step_ms":`...)
	dst = strconv.AppendInt(dst, step.Milliseconds(), 10)
	dst = append(dst, `,"series":{`...)
	for s, name := range seriesNames {
		if s > 0 {
			dst = append(dst, ',')
		}
		dst = append(strconv.AppendQuote(dst, name), ':', '[')
		for i := max(0, h.number-pointsMax); i < h.number; i++ {
			if i > max(0, h.number-pointsMax) {
				dst = append(dst, ',')
			}
			dst = appendFigure(dst, h.points[i%pointsMax][s])
		}
		dst = append(dst, ']')
	}
	return append(dst, '}', '}')
}

// appendJSON appends the point as {"name":value}.
func (p *point) appendJSON(dst []byte) []byte {
	dst = append(dst, '{')
	for s, name := range seriesNames {
		if s > 0 {
			dst = append(dst, ',')
		}
		dst = append(strconv.AppendQuote(dst, name), ':')
		dst = appendFigure(dst, p[s])
	}
	return append(dst, '}')
}

// appendFigure appends a number with two digits behind the point at most.
func appendFigure(dst []byte, v float64) []byte {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return append(dst, "null"...)
	}
	return strconv.AppendFloat(dst, math.Round(v*100)/100, 'f', -1, 64)
}
