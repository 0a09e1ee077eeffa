package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

func parse[T any](t *testing.T, args ...string) (T, error) {
	t.Helper()
	var c T
	parser, err := kong.New(&c, kong.Vars{"data_default": "/data"}, kong.DefaultEnvars(Prefix), kong.Exit(func(int) { t.Fatal("kong exits") }))
	if err != nil {
		t.Fatal(err)
	}
	_, err = parser.Parse(args)
	return c, err
}

func TestUp_Defaults(t *testing.T) {
	c, err := parse[Up](t)
	if err != nil {
		t.Fatal(err)
	}
	if c.Listen != "127.0.0.1:8080" || c.OpsListen != "127.0.0.1:8081" || c.Data != "/data" || c.Shards != 1 || c.Replicas != 1 || c.NoInstall {
		t.Errorf("%+v", c)
	}
}

func TestUp_EnvironmentAndFlagsThatBeatIt(t *testing.T) {
	t.Setenv("SPILLWAY_LISTEN", "127.0.0.1:1")
	t.Setenv("SPILLWAY_OPS_LISTEN", "127.0.0.1:2")
	t.Setenv("SPILLWAY_NO_INSTALL", "true")
	t.Setenv("SPILLWAY_NATS_URL", "nats://u:p@h")
	t.Setenv("SPILLWAY_DATABASE_URL", "postgres://u:p@h/d")
	t.Setenv("SPILLWAY_KNOWN_NETWORK", "192.0.2.0/24=50,2001:db8::/32=7.5")
	t.Setenv("SPILLWAY_TRUSTED_PROXY", "10.0.0.0/8,fd00::/8")
	c, err := parse[Up](t, "--listen", "127.0.0.1:9")
	if err != nil {
		t.Fatal(err)
	}
	if c.Listen != "127.0.0.1:9" || c.OpsListen != "127.0.0.1:2" || !c.NoInstall ||
		c.NATSURL.Reveal() != "nats://u:p@h" || c.DatabaseURL.Reveal() != "postgres://u:p@h/d" {
		t.Errorf("%+v", c)
	}
	if len(c.KnownNetwork) != 2 || c.KnownNetwork["192.0.2.0/24"] != 50 || c.KnownNetwork["2001:db8::/32"] != 7.5 {
		t.Errorf("known networks %v", c.KnownNetwork)
	}
	if len(c.TrustedProxy) != 2 || c.TrustedProxy[0].String() != "10.0.0.0/8" {
		t.Errorf("trusted proxies %v", c.TrustedProxy)
	}
}

func TestParse_RefusesWhatMakesNoSense(t *testing.T) {
	for _, args := range [][]string{
		{"--replicas", "2"}, {"--shards", "many"}, {"--trusted-proxy", "10.0.0.1/99"}, {"--known-network", "10.0.0.0/8=fast"}, {"--drain-wait", "5"},
	} {
		if c, err := parse[Up](t, args...); err == nil {
			t.Errorf("%v was taken: %+v", args, c)
		}
	}
}

func TestSecret_NeverPrints(t *testing.T) {
	type holder struct{ URL Secret }
	h := holder{"postgres://u:hunter2@h/d"}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("start", "config", h, "url", h.URL)
	slog.New(slog.NewTextHandler(&log, nil)).Info("start", "config", h, "url", h.URL)
	asJSON, err := json.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	for what, text := range map[string]string{
		"%v": fmt.Sprintf("%v", h), "%+v": fmt.Sprintf("%+v", h), "%#v": fmt.Sprintf("%#v", h), "%s": fmt.Sprintf("%s and more", h.URL),
		"%q": fmt.Sprintf("%q", h.URL), "json": string(asJSON), "log": log.String(),
	} {
		if strings.Contains(text, "hunter2") {
			t.Errorf("%s shows it: %s", what, text)
		}
	}
	if h.URL.Reveal() != "postgres://u:hunter2@h/d" {
		t.Error("the value itself is lost")
	}
}

func TestCheckEnvironment(t *testing.T) {
	var c struct {
		Up     Up     `cmd:""`
		Ledger Ledger `cmd:""`
	}
	parser, err := kong.New(&c, kong.Vars{"data_default": "/data"}, kong.DefaultEnvars(Prefix))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		environment []string
		says        []string // nothing: fine
	}{
		"nothing":             {nil, nil},
		"known":               {[]string{"SPILLWAY_LISTEN=x", "SPILLWAY_NATS_URL=x", "SPILLWAY_CI_INSTALL=no"}, nil},
		"a secret's file":     {[]string{"SPILLWAY_NATS_URL_FILE=x"}, nil},
		"no secret's file":    {[]string{"SPILLWAY_LISTEN_FILE=x"}, []string{"SPILLWAY_LISTEN_FILE"}},
		"somebody else's":     {[]string{"SPILLWAYS=x", "HOME=/", "spillway_listen=x"}, nil},
		"misspelt":            {[]string{"SPILLWAY_LISTN=hunter2"}, []string{"SPILLWAY_LISTN", "SPILLWAY_LISTEN?"}},
		"underscore too many": {[]string{"SPILLWAY_DATA_BASE_URL=hunter2"}, []string{"SPILLWAY_DATABASE_URL?"}},
		"nothing like it":     {[]string{"SPILLWAY_ZZZZZZZZZZZZZZZZZZZ=1"}, []string{"SPILLWAY_ZZZZZZZZZZZZZZZZZZZ"}},
		"all of them":         {[]string{"SPILLWAY_LISTN=1", "SPILLWAY_SHARD=2"}, []string{"SPILLWAY_LISTEN?", "SPILLWAY_SHARDS?"}},
	} {
		t.Run(name, func(t *testing.T) {
			err := CheckEnvironment(parser.Model, c.environment)
			if len(c.says) == 0 {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if !errors.Is(err, ErrUnknownVariable) {
				t.Fatalf("%v", err)
			}
			for _, says := range c.says {
				if !strings.Contains(err.Error(), says) {
					t.Errorf("%q does not say %q", err, says)
				}
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("a value is shown: %v", err)
			}
		})
	}
}

func TestDataDefault(t *testing.T) {
	for name, c := range map[string]struct {
		goos string
		uid  int
		env  map[string]string
		want string
	}{
		"root":            {"linux", 0, map[string]string{"HOME": "/srv/root", "XDG_STATE_HOME": "/state-of-root"}, "/var/lib/spillway"},
		"home":            {"linux", 1000, map[string]string{"HOME": "/srv/ada"}, "/srv/ada/.local/state/spillway"},
		"xdg":             {"linux", 1000, map[string]string{"HOME": "/srv/ada", "XDG_STATE_HOME": "/state"}, "/state/spillway"},
		"xdg is relative": {"linux", 1000, map[string]string{"HOME": "/srv/ada", "XDG_STATE_HOME": "state"}, "/srv/ada/.local/state/spillway"},
		"mac":             {"darwin", 501, map[string]string{"HOME": "/srv/mac"}, "/srv/mac/Library/Application Support/Spillway"},
	} {
		if got := dataDefault(c.goos, c.uid, func(k string) string { return c.env[k] }); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}
