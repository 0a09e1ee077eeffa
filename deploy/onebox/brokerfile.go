package onebox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/nats-io/nats-server/v2/server"
)

// RunBroker runs a broker as a configuration file of nats-server says until ctx ends, and
// returns when its files are closed. It is what a rehearsal kills: a process like any
// nats-server, without one having to be installed.
func RunBroker(ctx context.Context, file string, log *slog.Logger) error {
	opts, err := server.ProcessConfigFile(file)
	if err != nil {
		return fmt.Errorf("broker configuration: %w", err)
	}
	opts.NoSigs = true // signals are this process's own affair
	opts.NoLog = true
	s, err := server.NewServer(opts)
	if err != nil {
		return fmt.Errorf("broker: %w", err)
	}
	s.SetLoggerV2(brokerLog{log.With("component", "broker")}, false, false, false)
	s.Start()
	defer end(s)
	if !s.ReadyForConnections(brokerReadyTimeout) {
		return fmt.Errorf("broker not ready within %v; see the log", brokerReadyTimeout)
	}
	if opts.JetStream && s.JetStreamConfig() == nil {
		return errors.New("broker: its store could not be opened; see the log")
	}
	log.Info("a broker of a rehearsal's own", "address", s.Addr().String())
	<-ctx.Done()
	return nil
}
