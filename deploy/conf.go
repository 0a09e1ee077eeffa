// Package deploy holds what operators copy, for programs that need the same words.
//
// The one invariant: it is the operators' own file, byte for byte.
package deploy

import _ "embed" // the files below

// NATSServer is nats-server.conf: a broker of its own for Spillway.
//
//go:embed nats-server.conf
var NATSServer string

// NATSCluster is nats-cluster.conf: one of three brokers that keep every stream together.
// It includes NATSRoles by its file's name.
//
//go:embed nats-cluster.conf
var NATSCluster string

// NATSRoles is nats-roles.conf: the accounts, with a user for each role and its rights.
//
//go:embed nats-roles.conf
var NATSRoles string
