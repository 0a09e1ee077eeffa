package main

import (
	"context"
	"log/slog"
	"runtime/debug"
	"time"

	"spillway/campaigns/status"
	"spillway/campaigns/status/meter"
	"spillway/cmd/spillway/internal/lifecycle"
	"spillway/ingest/broker"
)

// reportedRole is one of the roles of this process, for the organisers' console.
type reportedRole struct {
	name  string
	ready func() error // nil: a role that is started is ready
}

// report has the process tell the consoles once a second how its roles do. It goes
// by the connection of one of them, with what operators see anyway.
func report(ctx context.Context, group *lifecycle.Group, b *broker.Broker, operators *ops, log *slog.Logger, roles ...reportedRole) {
	group.Go(ctx, "reports of status", quickStop, func(ctx context.Context) error {
		return meter.Run(ctx, meter.Config{Node: nodeName(), Build: build(), StartedAt: startedAt}, meter.Deps{
			Meter: meter.New(operators.registry.Figures()), Publish: b.PublishStatus, Log: log,
			Roles: func() []status.Role {
				now := make([]status.Role, len(roles))
				for i, r := range roles {
					var err error
					if r.ready != nil {
						err = r.ready()
					}
					now[i] = status.ReadyRole(r.name, err)
				}
				return now
			},
		})
	})
}

// startedAt is when this process began, for people.
var startedAt = time.Now()

// revisionDigits of a commit tell two builds apart.
const revisionDigits = 12

// build names the binary: its version where it was made of a released module, else
// the commit it was built of, "development" when neither is known.
func build() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "development"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	revision, edited := "", ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			revision = s.Value[:min(len(s.Value), revisionDigits)]
		case s.Key == "vcs.modified" && s.Value == "true":
			edited = ", edited"
		}
	}
	if revision == "" {
		return "development"
	}
	return revision + edited
}
