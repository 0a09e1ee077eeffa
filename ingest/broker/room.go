package broker

import (
	"fmt"
	"math"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"spillway/ledger"
	"spillway/ledger/metric"
)

// growthHalfLife is how fast a stream's measured growth forgets: long enough to
// ride over a pause, short enough that a spike shows within a minute.
const growthHalfLife = time.Minute

// growth follows how fast a stream fills.
type growth struct {
	at          time.Time
	bytes       uint64
	bytesPerSec float64
}

// observe takes one look and returns the bytes per second, never below 0.
func (g *growth) observe(at time.Time, bytes uint64) float64 {
	if !g.at.IsZero() && at.After(g.at) {
		seconds := at.Sub(g.at).Seconds()
		rate := max(0, float64(bytes)-float64(g.bytes)) / seconds
		keep := math.Exp2(-seconds / growthHalfLife.Seconds())
		g.bytesPerSec = keep*g.bytesPerSec + (1-keep)*rate
	}
	g.at, g.bytes = at, bytes
	return g.bytesPerSec
}

// room notes how full a stream is. Errors: ErrFull.
func (g *Gate) room(info *jetstream.StreamInfo) error {
	name, limit := info.Config.Name, info.Config.MaxBytes
	follow := g.growth[name]
	if follow == nil {
		follow = &growth{}
		g.growth[name] = follow
	}
	rate := follow.observe(time.Now(), info.State.Bytes)
	if limit <= 0 {
		return fmt.Errorf("%w: stream %s has no max_bytes: nothing says when the disk is full", ErrNotDurable, name)
	}
	used := float64(info.State.Bytes) / float64(limit)
	g.metrics.used.WithLabelValues(name).Set(used)
	hours := math.Inf(1)
	if left := float64(limit)*fullPercent/100 - float64(info.State.Bytes); rate > 0 {
		hours = max(0, left) / rate / 3600
	}
	g.metrics.hoursLeft.WithLabelValues(name).Set(hours)
	if used*100 >= fullPercent {
		return fmt.Errorf("%w: %s holds %d of %d bytes; let go of what is old ('spillway broker trim'), or raise max_bytes",
			ErrFull, name, info.State.Bytes, limit)
	}
	return nil
}

type gateMetrics struct {
	used, hoursLeft *prometheus.GaugeVec // by stream, a closed set
	together        prometheus.Gauge
}

func newGateMetrics(reg prometheus.Registerer, g *Gate) *gateMetrics {
	m := &gateMetrics{
		used: metric.Register(reg, prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "ingest_stream_used_ratio", Help: "Share of a stream's max_bytes that is taken; donations stop at 0.9.",
		}, []string{"stream"})),
		hoursLeft: metric.Register(reg, prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "ingest_stream_full_hours", Help: "Hours until donations stop for lack of room at the present rate; +Inf when nothing grows.",
		}, []string{"stream"})),
		together: metric.Register(reg, prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "ingest_streams_in_one_zone", Help: "Streams of which one failure domain holds so many copies that its loss leaves no majority.",
		})),
	}
	for _, book := range ledger.Books {
		for shard := range g.b.cfg.Shards {
			m.hoursLeft.WithLabelValues(Stream(book, shard)).Set(math.Inf(1))
		}
	}
	metric.Register(reg, prometheus.Collector(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "ingest_broker_durable", Help: "1 while the broker is proven durable and has room.",
	}, func() float64 {
		if g.Ready() == nil {
			return 1
		}
		return 0
	})))
	return m
}
