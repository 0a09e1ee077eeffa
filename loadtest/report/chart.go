package report

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// Geometry. A curve is drawn in a square of plotSize units that is stretched to the
// page's width; texts stand outside of it, at percents, so that they keep their size
// on a phone.
const (
	plotSize = 1000
	// ticksMost bounds the labels of an axis: as many as a phone has room for.
	ticksMost = 5
	// levelNear is how many times the highest value a level may be to be shown: farther
	// off it would press the curves to the ground.
	levelNear = 3
	// decades bounds what one chart spans where each line up is ten times as much.
	decades = 1e9
	// tableRowsMax bounds the table behind a chart: two stretches of the timeline.
	tableRowsMax = 1000
)

// span is a bucket's time.
type span struct{ from, length time.Duration }

// curve is one line of a chart; a value that is NaN was not measured.
type curve struct {
	Name   string
	Class  string // "c1" to "c6": colour and dashes
	values []float64
	hold   bool // readings now and then: a gap is bridged
	Path   string
}

// tick is a label of an axis, at a percent of it.
type tick struct{ At, Text, Anchor string }

// flag is a mark on a chart.
type flag struct {
	At, Width string // percent
	Class     string
	Number    int
}

// chart is one picture with its table.
type chart struct {
	ID, Title, Axis, Desc string
	Curves                []*curve
	XTicks, YTicks        []tick
	Flags                 []flag
	Level                 string // percent from above of a line to stay below; "" for none
	LevelText             string
	Rows                  []tableRow

	log    bool
	level  float64
	format func(float64) string
	spans  []span
}

// tableRow is a point in words.
type tableRow struct {
	At    string
	Cells []string
}

// draw lays the chart out; false when there is nothing to see.
func (c *chart) draw(from, to time.Duration) bool {
	low, high, any := c.bounds()
	if !any || to <= from {
		return false
	}
	if !c.log && c.level <= levelNear*high {
		high = max(high, c.level)
	}
	low, high, steps := axis(low, high, c.log)
	place := func(v float64) float64 { // 0 at the bottom, 1 at the top
		if c.log {
			return (math.Log10(max(v, low)) - math.Log10(low)) / (math.Log10(high) - math.Log10(low))
		}
		return (v - low) / (high - low)
	}
	x := func(d time.Duration) float64 { return float64(d-from) / float64(to-from) }
	for _, s := range steps {
		c.YTicks = append(c.YTicks, tick{At: hundredths(1 - place(s)), Text: c.format(s)})
	}
	c.XTicks = timeTicks(from, to)
	if c.level > 0 && c.level <= high && (!c.log || c.level >= low) {
		c.Level = hundredths(1 - place(c.level))
	}
	for _, l := range c.Curves {
		l.draw(c.spans, x, place)
	}
	c.table()
	return true
}

func (c *chart) bounds() (low, high float64, any bool) {
	low, high = math.Inf(1), math.Inf(-1)
	for _, l := range c.Curves {
		for _, v := range l.values {
			if !math.IsNaN(v) && (!c.log || v > 0) {
				low, high, any = min(low, v), max(high, v), true
			}
		}
	}
	if !c.log {
		low = 0
	}
	return low, high, any
}

// axis rounds the bounds to figures that people read easily, and lists the labels.
func axis(low, high float64, log bool) (from, to float64, steps []float64) {
	if log {
		low = max(low, high/decades)
		from, to = math.Pow(10, math.Floor(math.Log10(low))), math.Pow(10, math.Ceil(math.Log10(high)))
		if to <= from {
			to = from * 10
		}
		every := math.Ceil(math.Log10(to/from) / ticksMost)
		for e := math.Round(math.Log10(from)); e <= math.Round(math.Log10(to)); e += every {
			steps = append(steps, math.Pow(10, e))
		}
		return from, to, steps
	}
	if high <= 0 {
		high = 1
	}
	step := niceStep(high / (ticksMost - 1))
	to = math.Ceil(high/step-1e-9) * step
	for i := 0; float64(i)*step <= to+step/2; i++ {
		steps = append(steps, float64(i)*step)
	}
	return 0, to, steps
}

// niceStep is 1, 2 or 5 times a power of ten, at least v.
func niceStep(v float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(v)))
	for _, m := range []float64{1, 2, 5} {
		if m*power >= v*(1-1e-9) {
			return m * power
		}
	}
	return 10 * power
}

// timeSteps are distances of labels of time.
var timeSteps = []time.Duration{time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 15 * time.Second, 30 * time.Second,
	time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute, 30 * time.Minute, time.Hour, 2 * time.Hour, 4 * time.Hour, 8 * time.Hour, 24 * time.Hour}

func timeTicks(from, to time.Duration) (all []tick) {
	step := timeSteps[len(timeSteps)-1]
	for _, s := range timeSteps {
		if (to-from)/s < ticksMost {
			step = s
			break
		}
	}
	for at := (from + step - 1) / step * step; at <= to; at += step {
		place := float64(at-from) / float64(to-from)
		anchor := "middle"
		switch {
		case place < 0.04:
			anchor = "start"
		case place > 0.96:
			anchor = "end"
		}
		all = append(all, tick{At: hundredths(place), Text: clock(at), Anchor: anchor})
	}
	return all
}

// hundredths writes a part of one as percent.
func hundredths(part float64) string { return strconv.FormatFloat(100*part, 'f', 2, 64) }

// draw writes the curve as a path. What stands alone is a short line.
func (l *curve) draw(spans []span, x func(time.Duration) float64, place func(float64) float64) {
	var b strings.Builder
	write := func(op byte, px, py float64) {
		b.WriteByte(op)
		b.WriteString(strconv.FormatFloat(plotSize*px, 'f', 1, 64))
		b.WriteByte(' ')
		b.WriteString(strconv.FormatFloat(plotSize*(1-py), 'f', 1, 64))
	}
	valid := func(i int) bool { return i >= 0 && i < len(l.values) && !math.IsNaN(l.values[i]) }
	pen := false
	for i, v := range l.values {
		if !valid(i) {
			pen = pen && l.hold
			continue
		}
		y := place(v)
		s := spans[i]
		if !pen && !valid(i+1) && !l.hold {
			write('M', x(s.from), y)
			write('L', x(s.from+s.length), y)
			continue
		}
		op := byte('L')
		if !pen {
			op = 'M'
		}
		write(op, x(s.from+s.length/2), y)
		pen = true
	}
	l.Path = b.String()
}

// table writes the values in words.
func (c *chart) table() {
	for i, s := range c.spans {
		if len(c.Rows) == tableRowsMax {
			return
		}
		row, any := tableRow{At: clock(s.from)}, false
		for _, l := range c.Curves {
			text := ""
			if v := l.values[i]; !math.IsNaN(v) {
				text, any = c.format(v), true
			}
			row.Cells = append(row.Cells, text)
		}
		if any {
			c.Rows = append(c.Rows, row)
		}
	}
}
