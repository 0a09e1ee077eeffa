package main

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"spillway/cmd/spillway/internal/config"
	"spillway/ingest/keyring"
)

type secretsCommand struct{ config.Secrets }

// Help is shown by --help.
func (secretsCommand) Help() string {
	return `Every front-end of an installation has the same secrets: they sign the donors' holder tokens, seal their personal fields and hash client addresses. Keep old keys in the file when adding new ones: the one with the highest id is used, the others still open what they closed.

Example:
    spillway secrets --out /etc/spillway/secrets.json
    spillway ingest --secrets /etc/spillway/secrets.json --nats-url nats://...`
}

// Run makes a fresh secrets file.
func (c *secretsCommand) Run(p *process) error {
	content, err := freshSecrets()
	if err != nil {
		return err
	}
	if c.Out == "" {
		_, err = p.stdout.Write(content)
		return err
	}
	f, err := os.OpenFile(c.Out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err // an existing file is never replaced: its keys may still be needed
	}
	_, err = f.Write(content)
	return errors.Join(err, f.Sync(), f.Close())
}

// freshSecrets is the content of a new secrets file.
func freshSecrets() ([]byte, error) {
	k, err := keyring.Generate(rand.Reader)
	if err != nil {
		return nil, err
	}
	content, err := json.MarshalIndent(k, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write secrets: %w", err)
	}
	return append(content, '\n'), nil
}

// readSecrets opens a secrets file.
func readSecrets(path string) (*keyring.Keyring, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	k, err := keyring.Parse(content)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return k, nil
}
