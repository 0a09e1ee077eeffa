//go:build linux

package chaos

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"spillway/loadtest/rig"
)

// metric adds up the samples of one metric that have the label (`name="value"`, ""
// for any) in a document of Prometheus' text format. A metric that is not there
// counts 0: a vector shows no sample before its first label.
func metric(document []byte, name, label string) (sum float64, err error) {
	lines := bufio.NewScanner(bytes.NewReader(document))
	for lines.Scan() {
		rest, found := strings.CutPrefix(lines.Text(), name)
		if !found || rest == "" || (rest[0] != '{' && rest[0] != ' ') {
			continue
		}
		if !strings.Contains(rest, label) {
			continue
		}
		if i := strings.LastIndexByte(rest, '}'); i >= 0 {
			rest = rest[i+1:]
		}
		fields := strings.Fields(rest) // the value, and maybe a time
		if len(fields) == 0 {
			return 0, fmt.Errorf("metric %s: no value in %q", name, lines.Text())
		}
		v, err := strconv.ParseFloat(fields[0], 64)
		if err != nil {
			return 0, fmt.Errorf("metric %s: %w", name, err)
		}
		sum += v
	}
	return sum, lines.Err()
}

// accepted is how many donations the rig's front-end has acknowledged since it started.
func accepted(ctx context.Context, r *rig.Rig) (int64, error) {
	document, err := rig.Get(ctx, r.OpsURL()+"/metrics")
	if err != nil {
		return 0, err
	}
	sum, err := metric(document, "ingest_donations_published_total", `outcome="acknowledged"`)
	return int64(sum), err
}

// acceptPoll is how often the front-end is asked how far it is.
const acceptPoll = 20 * time.Millisecond

// AwaitAccepted waits until the front-end has acknowledged n donations more than
// at the call, and fails when the rehearsal ends before.
func (h *Rehearsal) AwaitAccepted(ctx context.Context, n int64) error {
	from, err := accepted(ctx, h.rig)
	if err != nil {
		return err
	}
	return h.awaitTotal(ctx, from+n)
}

// awaitTotal waits until the front-end has acknowledged so many since it started.
func (h *Rehearsal) awaitTotal(ctx context.Context, total int64) error {
	tick := time.NewTicker(acceptPoll)
	defer tick.Stop()
	for {
		now, err := accepted(ctx, h.rig)
		if err != nil {
			return err
		}
		if now >= total {
			return nil
		}
		select {
		case <-h.process.Done():
			return fmt.Errorf("the rehearsal ended with status %d and %d of %d donations accepted; its output ends:\n%s",
				h.process.ExitCode(), now, total, h.process.Tail())
		case <-ctx.Done():
			return fmt.Errorf("%d of %d donations accepted: %w", now, total, ctx.Err())
		case <-tick.C:
		}
	}
}
