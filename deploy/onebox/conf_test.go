package onebox

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"

	"spillway/ingest/broker"
)

func TestNATSServerConf_IsWhatTheRolesNeed(t *testing.T) {
	t.Setenv("SPILLWAY_BROKER_PASSWORD", "not-a-secret")
	o, err := server.ProcessConfigFile("../nats-server.conf")
	if err != nil {
		t.Fatal(err)
	}
	if !o.SyncAlways {
		t.Error("does not sync before it acknowledges")
	}
	if o.SystemAccount != "SYS" || o.MaxPayload < PayloadBytesMax || o.ServerName != "broker-1" {
		t.Errorf("system account %q, payload %d, name %q", o.SystemAccount, o.MaxPayload, o.ServerName)
	}
	// That the roles' account may ask for JSZ is shown on the embedded broker, whose
	// accounts are the same.
	if len(o.Accounts) != 2 || len(o.Users) != 1 || o.Users[0].Username != brokerUser {
		t.Errorf("accounts %v, users %v", o.Accounts, o.Users)
	}
}

// The three servers of a cluster run on one file; what differs is in their environment.
func TestNATSClusterConf_IsWhatTheRolesNeed(t *testing.T) {
	t.Setenv("SPILLWAY_BROKER_NAME", "broker-2")
	t.Setenv("SPILLWAY_BROKER_ZONE", "az-b")
	for _, role := range broker.Roles {
		t.Setenv("SPILLWAY_"+strings.ToUpper(string(role))+"_PASSWORD", "p0f"+string(role))
	}
	o, err := server.ProcessConfigFile("../nats-cluster.conf")
	if err != nil {
		t.Fatal(err)
	}
	if !o.SyncAlways || o.JetStreamUniqueTag != "az-" || !o.Tags.Contains("az-b") || o.ServerName != "broker-2" {
		t.Errorf("sync %v, unique tag %q, tags %v, name %q", o.SyncAlways, o.JetStreamUniqueTag, o.Tags, o.ServerName)
	}
	if o.SystemAccount != "SYS" || o.MaxPayload < PayloadBytesMax || len(o.Routes) != 3 {
		t.Errorf("system account %q, payload %d, routes %v", o.SystemAccount, o.MaxPayload, o.Routes)
	}
	users := map[string]*server.User{}
	for _, u := range o.Users {
		users[u.Username] = u
	}
	for _, role := range broker.Roles {
		u := users[string(role)]
		if u == nil || u.Password != "p0f"+string(role) {
			t.Errorf("role %s has no user of its own", role)
			continue
		}
		// Each hears what is sent to itself. An operator may everything.
		if role != broker.RoleOperator && (u.Permissions == nil || !slices.Contains(u.Permissions.Subscribe.Allow, role.InboxPrefix()+".>")) {
			t.Errorf("role %s does not hear its answers", role)
		}
	}
	if len(users) != len(broker.Roles) {
		t.Errorf("users %v", slices.Sorted(maps.Keys(users)))
	}
}
