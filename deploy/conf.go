// Package deploy holds what operators copy, for programs that need the same words.
//
// The one invariant: it is the operators' own file, byte for byte.
package deploy

import _ "embed" // the file below

// NATSServer is nats-server.conf: a broker of its own for Spillway.
//
//go:embed nats-server.conf
var NATSServer string
