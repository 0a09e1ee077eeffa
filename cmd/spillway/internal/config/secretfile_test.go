package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

func TestSecretFiles(t *testing.T) {
	folder := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	key, hooks := file("key", "sk_test_hunter2\n"), file("hooks", "whsec_hunter2,whsec_hunter3\r\n")
	for name, c := range map[string]struct {
		environ, args []string
		key           string
		hooks         int
		says          string // "": fine
	}{
		"nothing":      {},
		"a file":       {environ: []string{"SPILLWAY_STRIPE_KEY_FILE=" + key}, key: "sk_test_hunter2"},
		"a list":       {environ: []string{"SPILLWAY_STRIPE_WEBHOOK_SECRETS_FILE=" + hooks}, hooks: 2},
		"the flag won": {environ: []string{"SPILLWAY_STRIPE_KEY_FILE=" + key}, args: []string{"--stripe-key", "sk_of_flag"}, key: "sk_of_flag"},
		"both": {environ: []string{"SPILLWAY_STRIPE_KEY_FILE=" + key, "SPILLWAY_STRIPE_KEY=sk_hunter2"},
			says: "SPILLWAY_STRIPE_KEY and SPILLWAY_STRIPE_KEY_FILE are both set"},
		"no such file":  {environ: []string{"SPILLWAY_STRIPE_KEY_FILE=" + filepath.Join(folder, "none")}, says: "no such file"},
		"empty":         {environ: []string{"SPILLWAY_STRIPE_KEY_FILE=" + file("empty", "\n")}, says: "is empty"},
		"several lines": {environ: []string{"SPILLWAY_STRIPE_KEY_FILE=" + file("two", "hunter2\nhunter3\n")}, says: "several lines"},
		"too long":      {environ: []string{"SPILLWAY_STRIPE_KEY_FILE=" + file("long", strings.Repeat("x", secretFileMax+1))}, says: "the right file"},
	} {
		t.Run(name, func(t *testing.T) {
			var cli struct {
				Stripe struct {
					StripeKey            Secret   `env:"SPILLWAY_STRIPE_KEY"`
					StripeWebhookSecrets []Secret `env:"SPILLWAY_STRIPE_WEBHOOK_SECRETS" sep:","`
					Listen               string   `env:"SPILLWAY_LISTEN"`
				} `embed:""`
			}
			parser, err := kong.New(&cli, kong.Resolvers(SecretFiles(c.environ)))
			if err != nil {
				t.Fatal(err)
			}
			_, err = parser.Parse(c.args)
			if c.says != "" {
				if !errors.Is(err, ErrSecretFile) || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "hunter") {
					t.Errorf("%v, want %q and no content", err, c.says)
				}
				return
			}
			if err != nil || cli.Stripe.StripeKey.Reveal() != c.key || len(cli.Stripe.StripeWebhookSecrets) != c.hooks {
				t.Errorf("key %q, %d secrets of webhooks, %v", cli.Stripe.StripeKey.Reveal(), len(cli.Stripe.StripeWebhookSecrets), err)
			}
			for _, s := range cli.Stripe.StripeWebhookSecrets {
				if !strings.HasPrefix(s.Reveal(), "whsec_") || strings.ContainsAny(s.Reveal(), "\r\n") {
					t.Errorf("%q", s.Reveal())
				}
			}
		})
	}
}
