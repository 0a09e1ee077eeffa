//go:build linux

package rig

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"spillway/loadtest/wire"
)

// Leader is the broker that leads a stream, as most of the brokers that answer say; one may
// be left out, "" for none.
func (r *Rig) Leader(ctx context.Context, stream, but string) (string, error) {
	votes := map[string]int{}
	for n, b := range r.cluster.brokers {
		if Broker(n+1) == but {
			continue
		}
		ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
		document, err := Get(ctx, "http://"+b.monitor+"/jsz?streams=true")
		cancel()
		if err != nil {
			continue // frozen or gone: the others know
		}
		var jsz struct {
			Accounts []struct {
				Streams []struct {
					Name    string `json:"name"`
					Cluster struct {
						Leader string `json:"leader"`
					} `json:"cluster"`
				} `json:"stream_detail"`
			} `json:"account_details"`
		}
		if err := json.Unmarshal(document, &jsz); err != nil {
			return "", fmt.Errorf("who leads %s: %w", stream, err)
		}
		for _, a := range jsz.Accounts {
			for _, s := range a.Streams {
				if s.Name == stream && s.Cluster.Leader != "" {
					votes[s.Cluster.Leader]++
				}
			}
		}
	}
	leader := ""
	for name, n := range votes {
		if n > votes[leader] {
			leader = name
		}
	}
	if leader == "" {
		return "", fmt.Errorf("nobody leads %s", stream)
	}
	return leader, nil
}

// Brokers names a cluster's brokers.
func (r *Rig) Brokers() []string {
	var all []string
	for n := range r.cluster.brokers {
		all = append(all, Broker(n+1))
	}
	return slices.Clip(all)
}

// CutOff cuts a broker off the others and off every role, or ends that: connections that
// stood still are reset then, as after a time-out.
func (r *Rig) CutOff(broker string, cut bool) {
	r.cut(cut, func(l link) bool { return l.from == broker || l.to == broker })
}

// Part cuts a broker off the others alone, or ends that: roles still reach it.
func (r *Rig) Part(broker string, cut bool) {
	brokers := r.Brokers()
	r.cut(cut, func(l link) bool {
		return (l.from == broker || l.to == broker) && slices.Contains(brokers, l.from) && slices.Contains(brokers, l.to)
	})
}

// Tie refuses a front-end every broker but one, or ends that.
func (r *Rig) Tie(frontEnd, broker string, tied bool) {
	weather := wire.Weather{}
	if tied {
		weather.Kind = wire.Reset
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for l, proxy := range r.wires {
		if l.from == frontEnd && l.to != broker {
			proxy.Set(weather)
		}
	}
}

func (r *Rig) cut(cut bool, which func(link) bool) {
	weathers := []wire.Weather{{Kind: wire.Cut}}
	if !cut {
		weathers = []wire.Weather{{Kind: wire.Reset}, {}}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, w := range weathers {
		for l, proxy := range r.wires {
			if which(l) {
				proxy.Set(w)
			}
		}
	}
}

// FrontEndOps is the metrics' address of a cluster's n-th front-end.
func (r *Rig) FrontEndOps(n int) string { return "http://" + r.cluster.frontEnds[n-1].ops }

// FrontEnds is how many a cluster has.
func (r *Rig) FrontEnds() int { return len(r.cluster.frontEnds) }

// Together waits for a cluster to be whole: every broker says that its streams are
// current, every front-end takes money.
func (r *Rig) Together(ctx context.Context) error {
	var urls []string
	for _, b := range r.cluster.brokers {
		urls = append(urls, "http://"+b.monitor+"/healthz")
	}
	return r.untilAnswered(ctx, append(urls, r.doors()...))
}

// Open waits until every front-end takes money.
func (r *Rig) Open(ctx context.Context) error { return r.untilAnswered(ctx, r.doors()) }

func (r *Rig) doors() (urls []string) {
	for _, f := range r.cluster.frontEnds {
		urls = append(urls, "http://"+f.public+"/readyz")
	}
	return urls
}

// answerWithin bounds one question: who is frozen answers none.
const answerWithin = time.Second

// untilAnswered asks until all pages answer 200 in one round.
func (r *Rig) untilAnswered(ctx context.Context, urls []string) error {
	tick := time.NewTicker(startPoll)
	defer tick.Stop()
	for {
		var err error
		for _, url := range urls {
			if err == nil {
				one, cancel := context.WithTimeout(ctx, answerWithin)
				_, err = Get(one, url)
				cancel()
			}
		}
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ctx.Err(), err)
		case <-tick.C:
		}
	}
}
