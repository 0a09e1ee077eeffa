package onebox

import (
	"testing"

	"github.com/nats-io/nats-server/v2/server"
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
