package config

import (
	"net/netip"
	"time"
)

// Console is the organisers' listener.
type Console struct {
	AdminListen       string         `default:"127.0.0.1:8082" placeholder:"HOST:PORT" help:"Address of the organisers' console (${default})."`
	AdminTrustedProxy []netip.Prefix `placeholder:"CIDR" help:"Networks of the proxies in front of the console, whose X-Forwarded-For and X-Forwarded-Proto are believed."`
	SessionIdle       time.Duration  `default:"8h" placeholder:"TIME" help:"An organiser who does nothing for so long signs in again (${default})."`
	SessionLife       time.Duration  `default:"36h" placeholder:"TIME" help:"How long a session lasts at most (${default})."`
}

// Admin is the configuration of the organisers' console as a role of its own.
type Admin struct {
	Console
	OpsListen string `default:"127.0.0.1:0" placeholder:"HOST:PORT" help:"Address for operators: /metrics, /debug/pprof, /healthz, /readyz. Port 0 takes a free one and logs it. Keep it private."`
	Broker
	Topology
	Database
	SecretsFile
}

// Users is where the commands about the console's users find its database.
type Users struct {
	Data string `default:"${data_default}" placeholder:"DIR" type:"path" help:"Data folder of a running 'spillway up' (${default}); not used with --database-url."`
	Database
	ConsoleURL string `placeholder:"URL" help:"How browsers reach the console, for one-time links: https://console.example.org. That of the running 'spillway up' when not given."`
}
