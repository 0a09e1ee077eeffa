package fleet

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// Describe says of a file what another generator needs to receive it. Errors: the file
// system's.
func Describe(path string) (*File, error) {
	file, err := describe(path)
	if err != nil {
		return nil, err
	}
	file.Name = filepath.Base(path)
	return file, nil
}

func describe(path string) (file *File, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	sum := sha256.New()
	n, err := io.Copy(sum, f)
	if err != nil {
		return nil, err
	}
	return &File{Bytes: n, SHA256: hex.EncodeToString(sum.Sum(nil))}, nil
}

// whole tells whether a file came as it was sent.
func whole(path string, want *File) error {
	got, err := describe(path)
	if err != nil {
		return err
	}
	if got.Bytes != want.Bytes || got.SHA256 != want.SHA256 {
		return fmt.Errorf("%s came with %d bytes and another checksum, sent were %d: %w", want.Name, got.Bytes, want.Bytes, ErrRefused)
	}
	return nil
}
