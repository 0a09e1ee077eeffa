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
	// memoryStoreBytesMax bounds streams and consumers kept in memory: only the
	// short state of ordered consumers lives there.
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

// Broker is the embedded nats-server.
type Broker struct {
	server   *server.Server
	url      string
	storeMax int64
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
	store := folder.Path("nats")
	storeMax, disk, err := storeBytes(folder.Dir, store)
	if err != nil {
		return nil, fmt.Errorf("room for the broker: %w", err)
	}
	opts := &server.Options{}
	if err := opts.ProcessConfigString(fmt.Sprintf(accounts, brokerUser, password)); err != nil {
		return nil, fmt.Errorf("broker configuration: %w", err)
	}
	opts.ServerName = "spillway"
	opts.Host = host
	if opts.Port = int(port); port == 0 {
		opts.Port = server.RANDOM_PORT
	} else if err := probeAddress(listen); err != nil {
		return nil, err // the server itself would only log it and wait
	}
	opts.JetStream = true
	opts.StoreDir = store
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
	s.SetLoggerV2(brokerLog{log.With("component", "broker")}, false, false, false)
	b := &Broker{server: s, storeMax: storeMax}
	s.Start()
	if !s.ReadyForConnections(brokerReadyTimeout) {
		b.Stop()
		return nil, fmt.Errorf("broker not ready within %v; see the log", brokerReadyTimeout)
	}
	if cfg := s.JetStreamConfig(); cfg == nil {
		b.Stop()
		return nil, errors.New("broker: its store could not be opened; see the log")
	}
	u := url.URL{Scheme: "nats", User: url.UserPassword(brokerUser, password), Host: s.Addr().String()}
	b.url = u.String()
	return b, nil
}

// URL is the broker's address with the roles' credentials.
func (b *Broker) URL() string { return b.url }

// StoreBytesMax is how much the streams should hold together at most, in bytes.
func (b *Broker) StoreBytesMax() int64 { return b.storeMax }

// InProcessConn connects without a socket (nats.InProcessServer).
func (b *Broker) InProcessConn() (net.Conn, error) { return b.server.InProcessConn() }

// Credentials are those of the roles' user, for an in-process connection.
func (b *Broker) Credentials() (user, password string) {
	u, err := url.Parse(b.url)
	if err != nil {
		return "", "" // b.url was written by url.URL
	}
	password, _ = u.User.Password()
	return u.User.Username(), password
}

// SyncAlways tells what the running broker does, not what it was asked to do.
func (b *Broker) SyncAlways() bool {
	cfg := b.server.JetStreamConfig()
	return cfg != nil && cfg.SyncAlways
}

// Stop ends the broker and returns when its files are closed.
func (b *Broker) Stop() {
	b.server.Shutdown()
	b.server.WaitForShutdown()
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
