package stripesim

import (
	"math"
	"time"
)

// A draw is decided by the seed and by names, so that it does not depend on what
// happened at the same time.

// mix spreads a number over 64 bits (the finalizer of splitmix64).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// hashOf is FNV-1a of the text, spread, starting from a number.
func hashOf(from uint64, text string) uint64 {
	h := uint64(14695981039346656037) ^ from
	for i := range len(text) {
		h = (h ^ uint64(text[i])) * 1099511628211
	}
	return mix(h)
}

// chance is one call's or object's source of draws: what it is asked about by
// different names is independent.
type chance uint64

// of returns a number in [0, 1).
func (c chance) of(what string) float64 {
	return float64(hashOf(uint64(c), what)>>11) / (1 << 53)
}

// hits tells whether a fault of this rate hits.
func (c chance) hits(what string, rate float64) bool {
	return rate > 0 && c.of(what) < rate
}

// z99 is the 99th percentile of the standard normal distribution.
const z99 = 2.3263478740408408

// latencyMax ends the tail of the distribution.
const latencyMax = time.Minute

// latency draws from the log-normal distribution that has this median and this
// 99th percentile.
func (c chance) latency(l Latency) time.Duration {
	if l.Median <= 0 {
		return 0
	}
	sigma := math.Log(float64(l.P99)/float64(l.Median)) / z99
	// Box and Muller's transform of two even draws into a normal one.
	u, v := 1-c.of("latency"), c.of("latency too")
	z := math.Sqrt(-2*math.Log(u)) * math.Cos(2*math.Pi*v)
	return min(time.Duration(float64(l.Median)*math.Exp(sigma*z)), latencyMax)
}
