// Package brokertest runs real brokers for tests: in this process, where stopping
// is quick and orderly, or as a child process that can be killed. All of them sync
// every message before they acknowledge it, unless a test asks for the opposite,
// and keep what they store in the test's own folder.
//
// The one invariant: a server started again has the address, the credentials and
// the store that it had before.
package brokertest

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"spillway/deploy"
	"spillway/ingest/broker"
)

const (
	// readyTimeout bounds a server's start on a busy machine.
	readyTimeout = 20 * time.Second
	// storageBytes is what a test's broker may keep.
	storageBytes = 1 << 30

	user, password = "spillway", "test"
)

// config is a server as an operator sets it up: the roles' account may ask the
// system account how every server stores.
const config = `server_name: %s
listen: %q
%s
jetstream { store_dir: %q, max_file_store: %d, sync_interval: %s%s }
system_account: SYS
accounts {
  SYS {
    users: [{user: sys, password: test}]
    %s
  }
  SPILLWAY {
    jetstream: enabled
    users: [{user: %s, password: %s}]
    %s
  }
}
%s
`

// Option changes what a server is like.
type Option func(*settings)

type settings struct {
	name       string
	sync       string
	export     bool
	monitor    bool
	extra      string
	roles      bool
	placement  string // further settings of JetStream
	zone       string // a line
	storage    int64
	tcp        bool
	store      string // "" for a folder beside the configuration
	brokerConf broker.Config
}

// WithoutSync lets the server acknowledge before it syncs, as a stock one does.
func WithoutSync() Option { return func(s *settings) { s.sync = "2m" } }

// WithSync lets the server sync before it acknowledges, which is the default: for
// Restart after WithoutSync.
func WithSync() Option { return func(s *settings) { s.sync = "always" } }

// WithoutExport keeps the system account's answers from the roles.
func WithoutExport() Option { return func(s *settings) { s.export = false } }

// WithMonitor opens a monitoring port; see Server.MonitorURL.
func WithMonitor() Option { return func(s *settings) { s.monitor = true } }

// WithName names the server.
func WithName(name string) Option { return func(s *settings) { s.name = name } }

// WithStorage bounds what the server may keep, in bytes.
func WithStorage(bytes int64) Option { return func(s *settings) { s.storage = bytes } }

// WithStore keeps what the server stores in dir, such as on a disk of its own.
func WithStore(dir string) Option { return func(s *settings) { s.store = dir } }

// WithConfig adds lines to the server's configuration.
func WithConfig(lines string) Option { return func(s *settings) { s.extra += lines + "\n" } }

// WithZone says where the server stands; copies of a stream are put into different zones.
func WithZone(zone string) Option {
	return func(s *settings) {
		s.placement, s.zone = `, unique_tag: "az-"`, fmt.Sprintf("server_tags: [%q]", "az-"+zone)
	}
}

// withCluster makes the server one of a cluster.
func withCluster(listen string, routes []string) Option {
	return WithConfig(fmt.Sprintf("cluster { name: test, listen: %q, routes: [%s] }", listen, strings.Join(routes, ", ")))
}

// WithReplicas sets the replicas of the brokers that New and Connect return.
func WithReplicas(n int) Option { return func(s *settings) { s.brokerConf.Replicas = n } }

// WithTCP makes the connections of New and Connect use a socket instead of none.
func WithTCP() Option { return func(s *settings) { s.tcp = true } }

// WithShards sets the shards of the brokers that New and Connect return.
func WithShards(n int) Option { return func(s *settings) { s.brokerConf.Shards = n } }

// WithRoles gives each role a user with its rights, as deploy/nats-roles.conf says; there
// is no other user then. See Server.ConfigFor. Implies WithTCP.
func WithRoles() Option { return func(s *settings) { s.roles, s.tcp = true, true } }

// rolesPassword is where that file names the environment's passwords.
var rolesPassword = regexp.MustCompile(`\$SPILLWAY_[A-Z]+_PASSWORD`)

// Server is an in-process broker.
type Server struct {
	t        testing.TB
	settings settings
	dir      string
	address  string // host:port, the same at every start
	monitor  string

	mu     sync.Mutex
	server *server.Server // nil while stopped
}

// Start runs a server until the test ends.
func Start(t testing.TB, opts ...Option) *Server {
	t.Helper()
	s := newServer(t, opts)
	s.Start()
	t.Cleanup(s.Stop)
	return s
}

func newServer(t testing.TB, opts []Option) *Server {
	s := &Server{t: t, dir: t.TempDir(), address: freeAddress(t), monitor: freeAddress(t)}
	s.settings = settings{name: "broker", sync: "always", export: true, storage: storageBytes}
	for _, o := range opts {
		o(&s.settings)
	}
	return s
}

// New runs a server and returns a connection to it with all streams created.
func New(t testing.TB, opts ...Option) *broker.Broker {
	t.Helper()
	b := Start(t, opts...).Connect()
	if err := b.EnsureTopology(t.Context()); err != nil {
		t.Fatal(err)
	}
	return b
}

// StartCluster runs n servers that form a cluster, named broker-0 and so on, until
// the test ends. each changes one of them. Streams have n replicas.
func StartCluster(t testing.TB, n int, each func(i int) []Option) []*Server {
	t.Helper()
	listen, routes := make([]string, n), make([]string, n)
	for i := range n {
		listen[i] = freeAddress(t)
		routes[i] = fmt.Sprintf("%q", "nats://"+listen[i])
	}
	servers := make([]*Server, n)
	for i := range n {
		opts := []Option{WithName(fmt.Sprintf("broker-%d", i)), WithTCP(), WithReplicas(n), withCluster(listen[i], routes)}
		servers[i] = Start(t, append(opts, each(i)...)...)
	}
	return servers
}

// Connect returns another connection, closed when the test ends. It survives
// restarts of the server.
func (s *Server) Connect() *broker.Broker {
	s.t.Helper()
	b, err := broker.Connect(s.t.Context(), s.Config(), Log(s.t))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		if err := b.Close(); err != nil {
			s.t.Errorf("close: %v", err)
		}
	})
	return b
}

// Config is what reaches the server: by socket WithTCP, otherwise without one and
// with the server's own word on whether it syncs.
func (s *Server) Config() broker.Config {
	cfg := s.settings.brokerConf
	cfg.Name = s.t.Name()
	if s.settings.tcp {
		cfg.URL = s.URL()
		return cfg
	}
	cfg.InProcess, cfg.User, cfg.Password, cfg.Embedded = s, user, password, s.SyncAlways
	return cfg
}

// ConfigFor reaches a server WithRoles as a role does.
func (s *Server) ConfigFor(role broker.Role) broker.Config {
	cfg := s.settings.brokerConf
	cfg.Name, cfg.Role = s.t.Name()+" "+string(role), role
	cfg.URL = (&url.URL{Scheme: "nats", User: url.UserPassword(string(role), password), Host: s.address}).String()
	return cfg
}

// URL is the server's address with the roles' credentials.
func (s *Server) URL() string {
	return (&url.URL{Scheme: "nats", User: url.UserPassword(user, password), Host: s.address}).String()
}

// MonitorURL is the monitoring address of a server WithMonitor.
func (s *Server) MonitorURL() string { return "http://" + s.monitor }

// InProcessConn connects to whichever server runs at the moment.
func (s *Server) InProcessConn() (net.Conn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.server == nil {
		return nil, fmt.Errorf("broker is stopped: %w", os.ErrClosed)
	}
	return s.server.InProcessConn()
}

// SyncAlways tells what the running server does.
func (s *Server) SyncAlways() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.server == nil {
		return false
	}
	cfg := s.server.JetStreamConfig()
	return cfg != nil && cfg.SyncAlways
}

// Start starts the server on the store it had; a running one is left alone.
func (s *Server) Start() {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.server != nil {
		return
	}
	opts, err := server.ProcessConfigFile(s.write())
	if err != nil {
		s.t.Fatal(err)
	}
	opts.NoSigs, opts.NoLog = true, true
	srv, err := server.NewServer(opts)
	if err != nil {
		s.t.Fatal(err)
	}
	srv.SetLogger(serverLog{Log(s.t)}, false, false)
	srv.Start()
	if !srv.ReadyForConnections(readyTimeout) {
		srv.Shutdown()
		s.t.Fatal("broker not ready")
	}
	s.server = srv
}

// Stop stops the server in order and keeps its store; a stopped one stays so.
func (s *Server) Stop() {
	s.mu.Lock()
	srv := s.server
	s.server = nil
	s.mu.Unlock()
	if srv != nil {
		srv.Shutdown()
		srv.WaitForShutdown()
	}
}

// Restart stops the server and starts it, with options changed if there are any.
func (s *Server) Restart(opts ...Option) {
	s.t.Helper()
	s.Stop()
	for _, o := range opts {
		o(&s.settings)
	}
	s.Start()
}

// DropClients cuts every connection without stopping the server.
func (s *Server) DropClients() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.server == nil {
		return
	}
	conns, err := s.server.Connz(&server.ConnzOptions{})
	if err != nil {
		s.t.Fatal(err)
	}
	for _, c := range conns.Conns {
		_ = s.server.DisconnectClientByID(c.Cid) // gone by itself in the meantime
	}
}

// write writes the configuration file and returns its path.
func (s *Server) write() string {
	export, imports, monitor := "", "", ""
	if s.settings.export {
		export = `exports: [{service: "$SYS.REQ.SERVER.PING.JSZ", response_type: stream, accounts: [SPILLWAY]}]`
		imports = `imports: [{service: {account: SYS, subject: "$SYS.REQ.SERVER.PING.JSZ"}}]`
	}
	if s.settings.monitor {
		monitor = fmt.Sprintf("http: %q", s.monitor)
	}
	store := s.settings.store
	if store == "" {
		store = filepath.Join(s.dir, "store")
	}
	text := fmt.Sprintf(config, s.settings.name, s.address, monitor, store, s.settings.storage,
		s.settings.sync, s.settings.placement, export, user, password, imports, s.settings.zone+"\n"+s.settings.extra)
	if s.settings.roles {
		head, _, _ := strings.Cut(text, "accounts {")
		text = head + rolesPassword.ReplaceAllLiteralString(deploy.NATSRoles, password) + s.settings.zone + "\n" + s.settings.extra
	}
	path := filepath.Join(s.dir, "nats.conf")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
	return path
}

// freeAddress returns a loopback address that was free a moment ago.
func freeAddress(t testing.TB) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// Log hands a broker's log to the test, where a failing or verbose test shows it.
func Log(t testing.TB) *slog.Logger {
	return slog.New(slog.NewTextHandler(&testWriter{t: t}, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// serverLog hands what a server warns of to the test: why it refused something it tells
// nobody else.
type serverLog struct{ log *slog.Logger }

func (l serverLog) Noticef(string, ...any)            {}
func (l serverLog) Debugf(string, ...any)             {}
func (l serverLog) Tracef(string, ...any)             {}
func (l serverLog) Warnf(format string, args ...any)  { l.log.Warn(fmt.Sprintf(format, args...)) }
func (l serverLog) Errorf(format string, args ...any) { l.log.Error(fmt.Sprintf(format, args...)) }
func (l serverLog) Fatalf(format string, args ...any) { l.log.Error(fmt.Sprintf(format, args...)) }

// testWriter writes lines to a test's log until the test is over: connections are
// closed in its clean-up and may have a last word.
type testWriter struct {
	t    testing.TB
	mu   sync.Mutex
	over bool
	once sync.Once
}

var _ io.Writer = (*testWriter)(nil)

func (w *testWriter) Write(line []byte) (int, error) {
	w.once.Do(func() {
		w.t.Cleanup(func() {
			w.mu.Lock()
			w.over = true
			w.mu.Unlock()
		})
	})
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.over {
		w.t.Log(strings.TrimSuffix(string(line), "\n"))
	}
	return len(line), nil
}
