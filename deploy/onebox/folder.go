package onebox

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// ErrLocked says that another process works in the data folder.
var ErrLocked = errors.New("data folder in use")

// ErrNotRunning says that no `up` runs in the data folder.
var ErrNotRunning = errors.New("no spillway is running in the data folder")

// Names of what the data folder holds.
const (
	lockName     = "lock"
	runName      = "run.json"
	secretsName  = "secrets.json"
	passwordName = "broker.password"
)

// Folder is the data folder of `up`, locked by this process.
type Folder struct {
	Dir  string // absolute
	lock *os.File
}

// OpenFolder creates the folder if need be and locks it, for as long as the
// process lives or until Close. A folder with other things in it is refused,
// because whoever removes a data folder means to remove our data only.
//
// Errors: ErrLocked, naming the process that holds it.
func OpenFolder(dir string) (*Folder, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return nil, fmt.Errorf("data folder: %w", err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("data folder: %w", err)
	}
	if err := refuseForeign(dir); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("data folder: %w", err)
	}
	if err := patientLock(f); err != nil {
		holder, _ := io.ReadAll(io.LimitReader(f, 32)) // only to be helpful
		_ = f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("%w: %s is held by process %s; stop that one first, or choose another folder with --data",
				ErrLocked, dir, bytes.TrimSpace(holder))
		}
		return nil, fmt.Errorf("lock %s: %w", f.Name(), err)
	}
	folder := &Folder{Dir: dir, lock: f}
	if err := folder.settle(); err != nil {
		folder.Close()
		return nil, err
	}
	return folder, nil
}

// lockPatience is how long a lock may be held by somebody who only looks (see
// free), or by the kernel's remains of a killed process.
const lockPatience = time.Second

func patientLock(f *os.File) error {
	tick := time.NewTicker(lockPatience / 20)
	defer tick.Stop()
	for deadline := time.Now().Add(lockPatience); ; <-tick.C {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if !errors.Is(err, unix.EWOULDBLOCK) || time.Now().After(deadline) {
			return err
		}
	}
}

// settle writes down who holds the folder and sets its mode.
func (f *Folder) settle() error {
	mode := fs.FileMode(0o700)
	if os.Geteuid() == 0 {
		mode = 0o711 // the database's user must get through to its own folder
	}
	if err := os.Chmod(f.Dir, mode); err != nil {
		return fmt.Errorf("data folder: %w", err)
	}
	if err := f.lock.Truncate(0); err != nil {
		return err
	}
	if _, err := f.lock.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0); err != nil {
		return err
	}
	// What a killed process left: it is not running now.
	return f.RemoveRun()
}

func refuseForeign(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("data folder: %w", err)
	}
	if len(entries) == 0 {
		return nil
	}
	if _, err := os.Lstat(filepath.Join(dir, lockName)); err == nil {
		return nil
	}
	return fmt.Errorf("data folder %s holds %s and is not one of ours; choose an empty or new folder with --data", dir, entries[0].Name())
}

// Close gives the folder up. Everything that writes into it has ended before.
func (f *Folder) Close() {
	_ = f.lock.Close() // closing releases the lock; there is nothing to flush
}

// Path is a path below the folder.
func (f *Folder) Path(names ...string) string {
	return filepath.Join(append([]string{f.Dir}, names...)...)
}

// Output opens logs/name for appending, with the one before kept as name.1 when
// it has grown beyond outputBytesMax.
func (f *Folder) Output(name string) (*os.File, error) {
	if err := os.MkdirAll(f.Path("logs"), 0o700); err != nil {
		return nil, err
	}
	path := f.Path("logs", name)
	if fi, err := os.Stat(path); err == nil && fi.Size() > outputBytesMax {
		if err := os.Rename(path, path+".1"); err != nil {
			return nil, err
		}
	}
	return os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o600)
}

// outputBytesMax bounds a log of a child process, looked at when it starts.
const outputBytesMax = 16 << 20

// Secrets returns the path of the installation's secrets, made by generate at
// first start.
func (f *Folder) Secrets(generate func() ([]byte, error)) (path string, err error) {
	_, err = f.keep(secretsName, generate)
	return f.Path(secretsName), err
}

// keep returns the content of a private file, written durably the first time.
func (f *Folder) keep(name string, generate func() ([]byte, error)) ([]byte, error) {
	path := f.Path(name)
	content, err := os.ReadFile(path)
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return content, err
	}
	if content, err = generate(); err != nil {
		return nil, err
	}
	return content, replace(path, content)
}

// replace writes a private file so that it is there whole or not at all, also
// after a power cut.
func replace(path string, content []byte) error {
	tmp, err := os.OpenFile(path+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = tmp.Write(content)
	if err := errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	if err := os.Rename(tmp.Name(), path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// Run says where a running `up` can be reached. It holds credentials and is
// readable by its owner only.
type Run struct {
	PID       int       `json:"pid"`
	StartedAt time.Time `json:"started_at"`
	HTTPURL   string    `json:"http_url"`
	OpsURL    string    `json:"ops_url"`
	// ConsoleURL is the organisers' console, "" when it runs elsewhere. FirstOwnerURL
	// is the one-time link that up printed, "" once there was a user at start.
	ConsoleURL    string `json:"console_url,omitempty"`
	FirstOwnerURL string `json:"first_owner_url,omitempty"`
	// NATSURL carries the credentials of the roles' account.
	NATSURL     string `json:"nats_url"`
	DatabaseURL string `json:"database_url"`
	// PostgresSocketDir is where the private Postgres has its socket: outside the
	// data folder when a socket's path there would be too long. "" without one.
	PostgresSocketDir string `json:"postgres_socket_dir,omitempty"`
	// SimulatorURL is the stand-in for the processor, "" when Stripe charges.
	SimulatorURL string `json:"simulator_url,omitempty"`
	// SecretsFile is the secrets file in use.
	SecretsFile string `json:"secrets_file"`
}

// WriteRun publishes where this process can be reached.
func (f *Folder) WriteRun(r Run) error {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return replace(f.Path(runName), append(b, '\n'))
}

// RemoveRun says that nothing runs here any more.
func (f *Folder) RemoveRun() error {
	if err := os.Remove(f.Path(runName)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// ReadRun finds the `up` that runs in dir. Errors: ErrNotRunning, also for what a
// killed process left behind.
func ReadRun(dir string) (Run, error) {
	b, err := os.ReadFile(filepath.Join(dir, runName))
	if errors.Is(err, fs.ErrNotExist) {
		return Run{}, fmt.Errorf("%w: %s", ErrNotRunning, dir)
	}
	if err != nil {
		return Run{}, err
	}
	var r Run
	if err := json.Unmarshal(b, &r); err != nil {
		return Run{}, fmt.Errorf("%s: %w", filepath.Join(dir, runName), err)
	}
	if free(filepath.Join(dir, lockName)) {
		return Run{}, fmt.Errorf("%w: process %d in %s was killed", ErrNotRunning, r.PID, dir)
	}
	return r, nil
}

// free tells whether nobody holds the lock.
func free(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return errors.Is(err, fs.ErrNotExist)
	}
	defer f.Close()
	// A shared lock disturbs nobody but an `up` that starts in the same instant:
	// it is given back at once, and patientLock waits for that.
	return unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB) == nil
}

// brokerPassword is the installation's own, made once, so that processes which
// were told it find the broker again after a restart.
func (f *Folder) brokerPassword(generate func() string) (string, error) {
	b, err := f.keep(passwordName, func() ([]byte, error) { return []byte(generate() + "\n"), nil })
	return strings.TrimSpace(string(b)), err
}
