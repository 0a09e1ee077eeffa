package broker

import (
	"strings"
	"testing"
)

func TestConfig_AnUnreadableURLIsNotQuoted(t *testing.T) {
	for _, u := range []string{"nats://u:hunter2@bad host:1", "nats://u:hunter2%zz@h:4222", "nats://ok:4222, nats://u:hunter2@h:port"} {
		err := Config{URL: u}.Validate()
		if err == nil {
			t.Errorf("%s: accepted", u)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the password is shown: %v", err)
		}
	}
	for _, u := range []string{"nats://u:secret@h:4222", "h:4222", "127.0.0.1:4222", "nats://a:1,nats://b:2", "tls://u@h"} {
		if err := (Config{URL: u}).Validate(); err != nil {
			t.Errorf("%s: %v", u, err)
		}
	}
}
