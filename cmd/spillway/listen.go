package main

import (
	"errors"
	"fmt"
	"net"
	"syscall"
)

// listen opens a TCP listener. A taken address is an error that says what to do,
// because it is what most first starts fail on.
func listen(address, flag string) (net.Listener, error) {
	ln, err := net.Listen("tcp", address)
	switch {
	case err == nil:
		return ln, nil
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("another program listens on %s already; choose another address with %s HOST:PORT (port 0 takes any free one)", address, flag)
	case errors.Is(err, syscall.EACCES):
		return nil, fmt.Errorf("this user may not listen on %s; choose a port above 1023 with %s HOST:PORT", address, flag)
	}
	return nil, fmt.Errorf("%s %s: %w", flag, address, err)
}
