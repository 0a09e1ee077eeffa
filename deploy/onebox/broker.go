package onebox

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"golang.org/x/sys/unix"
)

const (
	// PayloadBytesMax is the broker's largest message: an envelope is far smaller,
	// a request for many states or a snapshot part stays below too.
	PayloadBytesMax = 8 << 20
	// brokerReadyTimeout bounds the broker's start, which reads back the state of
	// its streams: seconds for a store of many gigabytes.
	brokerReadyTimeout = 2 * time.Minute
	// storeShare of the disk that is free (or already the store's) is what the
	// streams may fill: half, because the ledger keeps the same donations in
	// Postgres and writes them twice there, to its log and to its tables.
	storeShare = 2
	// memoryStoreBytesMax bounds streams and consumers kept in memory: the short state
	// of readers, and the walls of gifts (64 MB at most).
	memoryStoreBytesMax = 256 << 20
	// brokerUser is the roles' user.
	brokerUser = "spillway"
)

// accounts is the same arrangement as in deploy/nats-server.conf: the roles'
// account may ask the system account how every server stores, which is what the
// durability gate of processes beside this one needs.
const accounts = `
system_account: SYS
accounts {
  SYS { exports: [{service: "$SYS.REQ.SERVER.PING.JSZ", response_type: stream, accounts: [SPILLWAY]}] }
  SPILLWAY {
    jetstream: enabled
    users: [{user: %q, password: %q}]
    imports: [{service: {account: SYS, subject: "$SYS.REQ.SERVER.PING.JSZ"}}]
  }
}
`

// Broker is the embedded nats-server: whichever one runs at the moment, since one
// whose store is in error is replaced (see Run).
type Broker struct {
	dir      string // the data folder
	store    string
	password string
	storeMax int64 // what the streams should hold at most
	log      *slog.Logger

	// Of the first start, kept by the later ones: processes beside this one come back.
	host string
	port int
	url  string

	mu      sync.Mutex
	server  *server.Server // nil between two
	stopped bool
}

// StartBroker starts the broker on the folder's store and returns when it is
// ready. listen is host:port, port 0 for any; an address in use is an error.
// What the broker says of itself goes to log.
func StartBroker(folder *Folder, listen string, log *slog.Logger) (*Broker, error) {
	host, portText, err := net.SplitHostPort(listen)
	if err != nil {
		return nil, fmt.Errorf("broker address %q: %w", listen, err)
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil {
		return nil, fmt.Errorf("broker address %q: port: %w", listen, err)
	}
	password, err := folder.brokerPassword(rand.Text)
	if err != nil {
		return nil, fmt.Errorf("broker password: %w", err)
	}
	b := &Broker{dir: folder.Dir, store: folder.Path("nats"), password: password, host: host, port: int(port),
		log: log.With("component", "broker")}
	if b.storeMax, _, err = storeBytes(b.dir, b.store); err != nil {
		return nil, fmt.Errorf("room for the broker: %w", err)
	}
	if b.port == 0 {
		b.port = server.RANDOM_PORT
	} else if err := probeAddress(listen); err != nil {
		return nil, err // the server itself would only log it and wait
	}
	if b.server, err = b.launch(); err != nil {
		return nil, err
	}
	if address, ok := b.server.Addr().(*net.TCPAddr); ok {
		b.port = address.Port
	}
	u := url.URL{Scheme: "nats", User: url.UserPassword(brokerUser, password), Host: b.server.Addr().String()}
	b.url = u.String()
	return b, nil
}

// launch starts a server on the store and returns it when it is ready.
func (b *Broker) launch() (*server.Server, error) {
	_, disk, err := storeBytes(b.dir, b.store)
	if err != nil {
		return nil, fmt.Errorf("room for the broker: %w", err)
	}
	opts := &server.Options{}
	if err := opts.ProcessConfigString(fmt.Sprintf(accounts, brokerUser, b.password)); err != nil {
		return nil, fmt.Errorf("broker configuration: %w", err)
	}
	opts.ServerName = "spillway"
	opts.Host, opts.Port = b.host, b.port
	opts.JetStream = true
	opts.StoreDir = b.store
	opts.SyncAlways = true // acknowledged means on disk
	// The streams' own bounds are what counts. The server's must never be smaller
	// than they are, whatever else has filled the disk since they were made: it
	// would not open them.
	opts.JetStreamMaxStore = disk
	opts.JetStreamMaxMemory = memoryStoreBytesMax
	opts.MaxPayload = PayloadBytesMax
	opts.NoSigs = true // signals are this process's own affair
	opts.NoLog = true
	s, err := server.NewServer(opts)
	if err != nil {
		return nil, fmt.Errorf("broker: %w", err)
	}
	s.SetLoggerV2(brokerLog{b.log}, false, false, false)
	s.Start()
	if !s.ReadyForConnections(brokerReadyTimeout) {
		end(s)
		return nil, fmt.Errorf("broker not ready within %v; see the log", brokerReadyTimeout)
	}
	if s.JetStreamConfig() == nil {
		end(s)
		return nil, errors.New("broker: its store could not be opened; see the log")
	}
	return s, nil
}

// end stops a server and returns when its files are closed.
func end(s *server.Server) {
	s.Shutdown()
	s.WaitForShutdown()
}

// URL is the broker's address with the roles' credentials.
func (b *Broker) URL() string { return b.url }

// StoreBytesMax is how much the streams should hold together at most, in bytes.
func (b *Broker) StoreBytesMax() int64 { return b.storeMax }

// InProcessConn connects without a socket (nats.InProcessServer) to the server of
// the moment.
func (b *Broker) InProcessConn() (net.Conn, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.server == nil {
		return nil, fmt.Errorf("broker is being started again: %w", net.ErrClosed)
	}
	return b.server.InProcessConn()
}

// Credentials are those of the roles' user, for an in-process connection.
func (b *Broker) Credentials() (user, password string) { return brokerUser, b.password }

// SyncAlways tells what the running broker does, not what it was asked to do.
func (b *Broker) SyncAlways() bool {
	s := b.running()
	if s == nil {
		return false
	}
	cfg := s.JetStreamConfig()
	return cfg != nil && cfg.SyncAlways
}

// running is the server of the moment, nil between two.
func (b *Broker) running() *server.Server {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.server
}

// Stop ends the broker for good and returns when its files are closed.
func (b *Broker) Stop() {
	b.mu.Lock()
	s := b.server
	b.server, b.stopped = nil, true
	b.mu.Unlock()
	if s != nil {
		end(s)
	}
}

// probeAddress tells whether the address can be listened on.
func probeAddress(address string) error {
	ln, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("broker: %w", err)
	}
	return ln.Close()
}

// storeBytes is the streams' share of the disk that dir lies on, and the size of
// that disk.
func storeBytes(dir, store string) (share, disk int64, err error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, 0, err
	}
	available := int64(st.Bavail) * int64(st.Bsize)
	err = filepath.WalkDir(store, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return ignoreMissing(err)
		}
		fi, err := d.Info()
		if err != nil {
			return ignoreMissing(err)
		}
		available += fi.Size()
		return nil
	})
	return available / storeShare, int64(st.Blocks) * int64(st.Bsize), err
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// brokerLog hands what the broker says to slog: its notices are about itself and
// of interest when something is looked for.
type brokerLog struct{ log *slog.Logger }

func (l brokerLog) Noticef(format string, v ...any) { l.log.Debug(fmt.Sprintf(format, v...)) }

func (l brokerLog) Warnf(format string, v ...any) {
	if strings.HasPrefix(format, "Plaintext passwords detected") {
		return // ours is random and lives in memory and in a file that only we can read
	}
	l.log.Warn(fmt.Sprintf(format, v...))
}
func (l brokerLog) Fatalf(format string, v ...any) { l.log.Error(fmt.Sprintf(format, v...)) }
func (l brokerLog) Errorf(format string, v ...any) { l.log.Error(fmt.Sprintf(format, v...)) }
func (l brokerLog) Debugf(string, ...any)          {}
func (l brokerLog) Tracef(string, ...any)          {}
