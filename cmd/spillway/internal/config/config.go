// Package config turns flags and environment into the configuration of each
// command. It is the only place that reads the environment.
//
// The one invariant: what was set is either used or refused: an unknown variable
// of ours stops the start, and a secret never prints.
package config

import (
	"log/slog"
	"net/netip"
	"time"
)

// Secret is a value with credentials in it, such as a URL with a password.
type Secret string

// String hides the value from logs and messages.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return "(hidden)"
}

// GoString hides the value from %#v.
func (s Secret) GoString() string { return s.String() }

// LogValue hides the value from slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText hides the value from encoders.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Reveal returns the value itself, for whoever has to use it.
func (s Secret) Reveal() string { return string(s) }

// Logging is how a process tells what it does.
type Logging struct {
	LogFormat string      `enum:"auto,text,json" default:"auto" help:"How log lines are written to standard error: text, json, or auto (text on a terminal, json elsewhere)."`
	LogLevel  *slog.Level `placeholder:"LEVEL" help:"Least level that is logged: debug, info, warn or error. Info unless given; warn for 'up', whose terminal is for people."`
}

// Ops is the operators' listener.
type Ops struct {
	OpsListen string `default:"127.0.0.1:8081" placeholder:"HOST:PORT" help:"Address for operators: /metrics, /debug/pprof, /healthz, /readyz (${default}). Keep it private."`
}

// Public is the donors' listener.
type Public struct {
	Listen       string             `default:"127.0.0.1:8080" placeholder:"HOST:PORT" help:"Address that donors' requests come in on (${default})."`
	TrustedProxy []netip.Prefix     `placeholder:"CIDR" help:"Networks of the proxies in front, whose X-Forwarded-For is believed."`
	KnownNetwork map[string]float64 `mapsep:"," placeholder:"CIDR=RATE" help:"Networks whose donors share few addresses, such as a school's, and the donations per second that one address there may give; ten times as many at once."`
	DrainWait    time.Duration      `default:"0s" help:"When stopping: how long /readyz says no while everything is still answered, for a load balancer to notice."`
}

// Broker is the connection to a real nats-server.
type Broker struct {
	NATSURL    Secret   `name:"nats-url" env:"SPILLWAY_NATS_URL" placeholder:"URL" help:"Broker: nats://user:password@host:4222, several separated by commas."`
	NATSCreds  string   `name:"nats-creds" env:"SPILLWAY_NATS_CREDS" placeholder:"FILE" type:"path" help:"NATS credentials file, in place of a password in the URL."`
	NATSCA     string   `name:"nats-ca" env:"SPILLWAY_NATS_CA" placeholder:"FILE" type:"path" help:"Certificates that sign the broker's, in PEM."`
	MonitorURL []string `placeholder:"URL" help:"Monitoring addresses of the broker's servers (http://host:8222), where the system account does not export JSZ: proof that they sync before they acknowledge."`
}

// Topology is how the broker's streams are laid out: the same for every process
// of an installation.
type Topology struct {
	Shards   int `default:"1" help:"Streams that donations are spread over, by donation ID; the same for every process, fixed for the life of the streams."`
	Replicas int `default:"1" enum:"1,3,5" help:"Copies that the broker keeps of every stream."`
}

// Database is the connection to a real Postgres.
type Database struct {
	DatabaseURL Secret `env:"SPILLWAY_DATABASE_URL" placeholder:"URL" help:"Postgres 15 or newer: postgres://user:password@host:5432/database. Of several hosts (host1,host2) the one that takes writes is used."`
}

// SecretsFile names the installation's secrets.
type SecretsFile struct {
	Secrets string `placeholder:"FILE" type:"path" help:"File with the installation's secrets, as 'spillway secrets' writes it; the same for every front-end."`
}

// Up is the configuration of everything on one machine.
type Up struct {
	Public
	Ops
	Console
	Data         string `default:"${data_default}" placeholder:"DIR" type:"path" help:"Folder for everything that is written (${default}); removing it removes all traces."`
	BrokerListen string `default:"127.0.0.1:0" placeholder:"HOST:PORT" help:"Address of the embedded broker, for processes beside this one; port 0 takes a free one. run.json in the data folder has the URL."`
	Broker
	Topology
	Database
	SecretsFile
	Processor
	Webhooks
	Pages
	PostgresBin string `placeholder:"DIR" type:"path" help:"Folder with the programs of the Postgres to use; searched for when not given."`
	NoInstall   bool   `help:"Never install Postgres, only say how."`
	NoLedger    bool   `help:"Leave recording to 'spillway ledger' processes beside this one."`
	NoPayments  bool   `help:"Leave charging to 'spillway payments' processes beside this one; the simulator, when no key is given, still runs here."`
	Tracing
	NoAdmin bool `help:"Leave the console to 'spillway admin' processes beside this one."`
	Demo    bool `help:"Open the demo giving day in the database of --database-url too, and charge at a simulator when no key is given. With the private database both is always so."`
	Quiet   bool `help:"No progress and no banner."`
}

// Ingest is the configuration of a front-end.
type Ingest struct {
	Public
	Ops
	Broker
	Topology
	SecretsFile
	Webhooks
	Pages
	Cards
	Tracing
}

// Ledger is the configuration of a ledger process.
type Ledger struct {
	OpsListen string `default:"127.0.0.1:0" placeholder:"HOST:PORT" help:"Address for operators: /metrics, /debug/pprof, /healthz, /readyz. Port 0 takes a free one and logs it, so that many ledgers fit on a machine. Keep it private."`
	Broker
	Topology
	Database
	Tracing
}

// Secrets is the configuration of the command that makes a secrets file.
type Secrets struct {
	Out string `placeholder:"FILE" type:"path" help:"Write to this new file, readable by its owner only, instead of standard output."`
}

// Migrate is the configuration of the command that brings a schema up to date.
type Migrate struct {
	Database
	Timeout time.Duration `default:"10m" help:"Longest time to wait, for another process's migration too."`
}

// Bench is the configuration of the command that measures.
type Bench struct {
	Data      string        `placeholder:"DIR" type:"path" help:"Folder for the measured services' data, on the disk that is to be measured; a temporary one that is removed when not given."`
	JSON      string        `name:"json" env:"SPILLWAY_BENCH_JSON" placeholder:"FILE" type:"path" help:"Write the report with all repeats to this file."`
	Only      []string      `placeholder:"PART,..." help:"Measure these parts only: acks, totals, pages, sustained, hot, drain, offered, charging, shards."`
	Repeats   int           `default:"5" help:"Repeats of every measurement; a bar is held against their median."`
	Short     time.Duration `default:"8s" help:"Length of one short measurement."`
	Sustained time.Duration `default:"60s" help:"How long the lag has to stay flat."`
	Offered   int           `default:"5000" help:"Donations per second for the latency bar."`

	Serve       string `hidden:"" enum:",echo,bytes" default:"" help:"Serve a ceiling instead of measuring."`
	ServeListen string `hidden:"" default:"127.0.0.1:0" help:"Address of the ceiling."`
	ServeBytes  int    `hidden:"" help:"Size of the ceiling's answer."`
}
