package postgres

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// socketPathMax bounds the socket's whole path, in bytes: sun_path holds 108 on
// Linux and 104 on macOS and the BSDs, the final zero included.
const socketPathMax = 100

// socketName is what Postgres calls its socket.
const socketName = ".s.PGSQL.5432"

// temporaryPrefix names the socket folders that we make and remove.
const temporaryPrefix = "spillway-pg-"

// ClosedFolderError says that the user the server runs as cannot reach the data
// folder or the programs, because Folder is closed to it.
type ClosedFolderError struct {
	User, Folder, Wanted string
}

func (e *ClosedFolderError) Error() string {
	return fmt.Sprintf("Postgres runs as the user %q, which cannot reach %s: the folder %s is closed to it; "+
		"choose another place with --data, for example /var/lib/spillway, or open it with: chmod o+x %s",
		e.User, e.Wanted, e.Folder, e.Folder)
}

// prepareFolders makes the data folder and the socket's folder, both for the
// server's user alone, and checks that the user can reach them.
func (c *Cluster) prepareFolders(ctx context.Context) error {
	if err := os.MkdirAll(filepath.Dir(c.cfg.Dir), 0o711); err != nil {
		return err
	}
	if err := c.private(c.cfg.Dir); err != nil {
		return err
	}
	if err := c.reachable(ctx); err != nil {
		return err
	}
	c.socketDir = c.cfg.SocketDir
	if c.socketDir == "" || len(filepath.Join(c.socketDir, socketName)) > socketPathMax {
		dir, err := temporarySocketDir()
		if err != nil {
			return err
		}
		c.socketDir, c.ownSocket = dir, true
	}
	return c.private(c.socketDir)
}

// private makes dir, or takes it over, for the server's user alone.
func (c *Cluster) private(dir string) error {
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := c.id.own(dir); err != nil {
		return err
	}
	return os.Chmod(dir, 0o700)
}

// temporarySocketDir makes a short folder: in the system's temporary one unless
// that alone is too long, then in /tmp.
func temporarySocketDir() (string, error) {
	parent := os.TempDir()
	if len(filepath.Join(parent, temporaryPrefix+"1234567890", socketName)) > socketPathMax {
		parent = "/tmp"
	}
	dir, err := os.MkdirTemp(parent, temporaryPrefix)
	if err != nil {
		return "", fmt.Errorf("folder for the socket: %w", err)
	}
	return dir, nil
}

func (c *Cluster) removeSocketDir() {
	if c.ownSocket {
		removeTemporary(c.socketDir)
	}
}

// removeTemporary removes a socket folder if its name says that we made it.
func removeTemporary(dir string) {
	if strings.HasPrefix(filepath.Base(dir), temporaryPrefix) {
		_ = os.RemoveAll(dir) // a stale empty folder harms nobody
	}
}

// reachable runs a program of the server as the server's user in the data folder:
// the kernel's own answer to whether all folders on the way are open.
func (c *Cluster) reachable(ctx context.Context) error {
	if !c.id.Drop {
		return nil
	}
	cmd := exec.CommandContext(ctx, c.cfg.Binaries.Program("postgres"), "--version")
	cmd.Dir = c.cfg.Dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: c.id.UID, Gid: c.id.GID}}
	err := cmd.Run()
	if err == nil {
		return nil
	}
	if errors.Is(err, fs.ErrPermission) {
		for _, wanted := range []string{c.cfg.Dir, c.cfg.Binaries.Dir} {
			if closed, ok := closedFolder(wanted, c.id); ok {
				return &ClosedFolderError{User: c.id.Name, Folder: closed, Wanted: wanted}
			}
		}
	}
	return fmt.Errorf("run Postgres as the user %q in %s: %w", c.id.Name, c.cfg.Dir, err)
}

// closedFolder finds the first folder on the way to path that its permission bits
// close to the user.
func closedFolder(path string, id Identity) (string, bool) {
	for i := 1; i <= len(path); i++ {
		if i < len(path) && path[i] != '/' {
			continue
		}
		fi, err := os.Stat(path[:i])
		if err != nil {
			return path[:i], true
		}
		st, ok := fi.Sys().(*syscall.Stat_t)
		if !ok {
			continue
		}
		need := fs.FileMode(0o001)
		switch {
		case st.Uid == id.UID:
			need = 0o100
		case st.Gid == id.GID:
			need = 0o010
		}
		if fi.IsDir() && fi.Mode()&need == 0 {
			return path[:i], true
		}
	}
	return "", false
}
