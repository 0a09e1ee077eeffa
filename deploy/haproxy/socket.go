// Package haproxy is the proxy as operators get it, the configuration beside this file,
// and as programs speak to it while it runs: its servers, their weights, its maps.
//
// The one invariant: an answer that was cut off or is not understood is an error, never a
// shorter list.
//
// Goroutines: none.
package haproxy

import (
	"bufio"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// Bounds of talking to the proxy.
const (
	// proxyTimeout is for one command: the socket is local and answers at once.
	proxyTimeout = 5 * time.Second
	// answerMax bounds an answer, in bytes: a row of statistics is 600, and there are
	// three for each server; an entry of a map is some 100, and there are up to 40,000.
	answerMax = 8 << 20
)

// ErrProxy says that the proxy does not do what was asked.
var ErrProxy = errors.New("proxy")

// Server is one server of one of the proxy's backends, as its statistics show it.
type Server struct {
	Backend, Name string
	Up            bool
	Weight        int
	// Address is host:port, where the socket's level shows it.
	Address string
	// Requests, Errors since the proxy started: Errors are answers of 500 and above,
	// connections refused, answers broken off, and tries that another server had to
	// repeat: donors do not see those, and they say the same of this one.
	Requests, Errors int64
	// Response is the mean time to an answer's first byte over the last 1,024 requests.
	Response time.Duration
}

// Socket speaks HAProxy's administrators' socket (its management guide, section 9.3).
// Each call is a connection of its own.
type Socket struct {
	// Address is a path, or host:port of one that listens on TCP.
	Address string
}

// Ask sends one command and returns the whole answer. Errors: ErrProxy.
func (p Socket) Ask(ctx context.Context, command string) (string, error) {
	network := "unix"
	if !strings.Contains(p.Address, "/") {
		network = "tcp"
	}
	ctx, cancel := context.WithTimeout(ctx, proxyTimeout)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, network, p.Address)
	if err != nil {
		return "", fmt.Errorf("%w: %w; does its configuration have 'stats socket %s level admin'?", ErrProxy, err, p.Address)
	}
	deadline, _ := ctx.Deadline() // set above
	if err := conn.SetDeadline(deadline); err != nil {
		return "", errors.Join(fmt.Errorf("%w: %w", ErrProxy, err), conn.Close())
	}
	_, err = io.WriteString(conn, command+"\n")
	var answer []byte
	if err == nil {
		answer, err = io.ReadAll(io.LimitReader(bufio.NewReader(conn), answerMax+1))
	}
	if err == nil && len(answer) > answerMax {
		err = fmt.Errorf("its answer has more than %d bytes", answerMax)
	}
	if err := errors.Join(err, conn.Close()); err != nil {
		return "", fmt.Errorf("%w: %s: %w", ErrProxy, firstLine(command), err)
	}
	return string(answer), nil
}

// Servers returns the servers of all backends. Errors: ErrProxy.
func (p Socket) Servers(ctx context.Context) ([]Server, error) {
	answer, err := p.Ask(ctx, "show stat -1 4 -1") // servers only
	if err != nil {
		return nil, err
	}
	return parseServers(answer)
}

// parseServers reads the statistics' CSV by the names of its columns, which differ in
// number between versions.
func parseServers(answer string) ([]Server, error) {
	text := strings.TrimPrefix(strings.TrimSpace(answer), "# ")
	r := csv.NewReader(strings.NewReader(text))
	r.FieldsPerRecord = -1
	rows, err := r.ReadAll()
	if err != nil || len(rows) == 0 {
		return nil, fmt.Errorf("%w: statistics that cannot be read: %q", ErrProxy, firstLine(answer))
	}
	column := map[string]int{}
	for i, name := range rows[0] {
		column[name] = i
	}
	for _, need := range []string{"pxname", "svname", "status", "weight", "econ", "eresp", "wretr", "addr", "hrsp_1xx", "hrsp_2xx", "hrsp_3xx", "hrsp_4xx", "hrsp_5xx", "rtime"} {
		if _, ok := column[need]; !ok {
			return nil, fmt.Errorf("%w: its statistics have no column %s: HAProxy 2.6 or newer is needed", ErrProxy, need)
		}
	}
	var servers []Server
	for _, row := range rows[1:] {
		if len(row) < len(rows[0]) {
			return nil, fmt.Errorf("%w: a row of statistics is cut off", ErrProxy)
		}
		number := func(name string) (n int64) {
			if text := row[column[name]]; text != "" && err == nil {
				n, err = strconv.ParseInt(text, 10, 64)
			}
			return n
		}
		s := Server{Backend: row[column["pxname"]], Name: row[column["svname"]], Address: row[column["addr"]]}
		s.Up = strings.HasPrefix(row[column["status"]], "UP") || row[column["status"]] == "no check"
		s.Weight = int(number("weight"))
		failed, repeated := number("hrsp_5xx"), number("wretr")
		s.Errors = failed + number("econ") + number("eresp") + repeated
		s.Requests = failed + number("econ") + repeated + number("hrsp_1xx") + number("hrsp_2xx") + number("hrsp_3xx") + number("hrsp_4xx")
		s.Response = time.Duration(number("rtime")) * time.Millisecond
		if err != nil {
			return nil, fmt.Errorf("%w: statistics of %s/%s: %w", ErrProxy, s.Backend, s.Name, err)
		}
		servers = append(servers, s)
	}
	return servers, nil
}

// Weigh sets a server's weight, 0 to 256. Errors: ErrProxy.
func (p Socket) Weigh(ctx context.Context, s Server, weight int) error {
	// A number, never a percent: that is of the configured weight, and of 0 it is 0.
	return p.do(ctx, fmt.Sprintf("set server %s/%s weight %d", s.Backend, s.Name, weight))
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}
