package loadtest

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/valyala/fasthttp"

	"spillway/loadtest/audit"
	"spillway/loadtest/conn"
)

// readTimeout bounds one reading of a total, a campaign or a state.
const readTimeout = 5 * time.Second

// readConnections is how many readings go on side by side.
const readConnections = 32

// reader reads what donors may read, over a few connections of its own. It is
// safe for any number of goroutines.
type reader struct {
	endpoint *conn.Endpoint
	conns    []*conn.Conn
	free     chan *conn.Conn
}

func newReader(target string) (*reader, error) {
	e, err := conn.NewEndpoint(target)
	if err != nil {
		return nil, err
	}
	r := &reader{endpoint: e, free: make(chan *conn.Conn, readConnections)}
	for range readConnections {
		c := conn.New(e)
		r.conns = append(r.conns, c)
		r.free <- c
	}
	return r, nil
}

func (r *reader) close() {
	for _, c := range r.conns {
		c.Close()
	}
}

// get reads path and hands the answer to visit; bearer is "" for nobody.
func (r *reader) get(ctx context.Context, path, bearer string, visit func(*fasthttp.Response) error) error {
	request := fmt.Appendf(nil, "GET %s%s HTTP/1.1\r\nHost: %s\r\n", r.endpoint.Prefix, path, r.endpoint.Host)
	if bearer != "" {
		request = fmt.Appendf(request, "Authorization: Bearer %s\r\n", bearer)
	}
	request = append(request, "\r\n"...)
	c := <-r.free
	defer func() { r.free <- c }()
	defer context.AfterFunc(ctx, c.Interrupt)()
	deadline := time.Now().Add(readTimeout)
	answer, err := c.Exchange(ctx, request, deadline)
	if errors.Is(err, conn.ErrStale) {
		answer, err = c.Exchange(ctx, request, deadline)
	}
	if err != nil {
		return fmt.Errorf("GET %s: %w", path, err)
	}
	return visit(answer)
}

// campaignKnown tells whether the target knows the campaign.
func (r *reader) campaignKnown(ctx context.Context, slug string) (known bool, err error) {
	err = r.get(ctx, "/v1/campaigns/"+slug, "", func(a *fasthttp.Response) error {
		known = a.StatusCode() == fasthttp.StatusOK
		return nil
	})
	return known, err
}

// totals is the body of GET .../totals and of the event of that name.
type totals struct {
	PledgedMinor int64     `json:"pledged_minor"`
	RaisedMinor  int64     `json:"raised_minor"`
	Donations    int64     `json:"donations"`
	Currency     string    `json:"currency"`
	Epoch        int64     `json:"epoch"`
	Version      int64     `json:"version"`
	AsOf         time.Time `json:"as_of"`
	LagMillis    int64     `json:"lag_ms"`
}

// retries bounds readings of one total that is not there at the moment.
const (
	totalTries = 5
	totalPause = 200 * time.Millisecond
)

// Total reads a campaign's public total.
func (r *reader) Total(ctx context.Context, slug string) (audit.Total, error) {
	var t totals
	for try := 1; ; try++ {
		err := r.get(ctx, "/v1/campaigns/"+slug+"/totals", "", func(a *fasthttp.Response) error {
			switch a.StatusCode() {
			case fasthttp.StatusOK:
				return json.Unmarshal(a.Body(), &t)
			case fasthttp.StatusNotFound:
				return fmt.Errorf("%s: %w", slug, audit.ErrTotalUnknown)
			}
			return fmt.Errorf("GET totals of %s: status %d: %w", slug, a.StatusCode(), ErrTarget)
		})
		if err == nil {
			return audit.Total{PledgedMinor: t.PledgedMinor, RaisedMinor: t.RaisedMinor, Donations: t.Donations, Currency: t.Currency, Epoch: t.Epoch, Version: t.Version, AsOf: t.AsOf}, nil
		}
		if try == totalTries {
			return audit.Total{}, err
		}
		if err := sleep(ctx, totalPause); err != nil {
			return audit.Total{}, err
		}
	}
}

// states asks for the states of donations.
type states struct{ *reader }

// state is what a token's bearer is told.
type state struct {
	Status   string `json:"status"`
	Stale    bool   `json:"stale"`
	Conflict bool   `json:"conflict"`
}

func (s states) ask(ctx context.Context, path, token string) (st state, err error) {
	err = s.get(ctx, path, token, func(a *fasthttp.Response) error {
		if a.StatusCode() != fasthttp.StatusOK {
			return fmt.Errorf("GET a donation's state: status %d: %w", a.StatusCode(), ErrTarget)
		}
		return json.Unmarshal(a.Body(), &st)
	})
	return st, err
}

// agesOf reads the ages that a 304 carries in its headers.
func agesOf(r *fasthttp.Response) (asOf time.Time, lag time.Duration, ok bool) {
	asOf, err := time.Parse(time.RFC3339, string(r.Header.Peek("Spillway-As-Of")))
	if err != nil {
		return time.Time{}, 0, false
	}
	millis, err := strconv.ParseInt(string(r.Header.Peek("Spillway-Lag-Ms")), 10, 64)
	return asOf, time.Duration(millis) * time.Millisecond, err == nil
}
