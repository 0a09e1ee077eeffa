// Package checks holds the files of deploy to the programs that will read them:
// promtool, haproxy and systemd where they are installed, and compose's own loader. It
// is a module of its own, so that the product does not carry their libraries.
package checks
