package checks

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
)

// deploy is the folder under test.
const deploy = ".."

// program finds a program that a check needs: where its variable says, on the PATH,
// or in the places of Debian's administrators. Without it the test is skipped by name.
func program(t *testing.T, name, variable string) string {
	t.Helper()
	if path := os.Getenv(variable); path != "" {
		return path
	}
	for _, candidate := range []string{name, "/usr/sbin/" + name, "/usr/bin/" + name} {
		if path, err := exec.LookPath(candidate); err == nil {
			return path
		}
	}
	t.Skipf("%s is not installed; %s names it", name, variable)
	return ""
}

func run(t *testing.T, dir, name string, args ...string) (output string, err error) {
	t.Helper()
	command := exec.CommandContext(t.Context(), name, args...)
	command.Dir = dir
	b, err := command.CombinedOutput()
	return string(b), err
}

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(deploy, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// Every alert rings at what somebody must look at, and is silent otherwise.
func TestAlerts(t *testing.T) {
	rules, cases := read(t, "prometheus-alerts.yaml"), read(t, "prometheus-alerts-test.yaml")
	alerts := regexp.MustCompile(`(?m)^      - alert: (\w+)$`).FindAllStringSubmatch(rules, -1)
	if len(alerts) == 0 {
		t.Fatal("no alerts found")
	}
	for _, alert := range alerts {
		for _, kind := range []string{"rings", "is silent"} {
			if !strings.Contains(cases, "- name: "+alert[1]+" "+kind+"\n") {
				t.Errorf("%s has no case in which it %s", alert[1], kind)
			}
		}
	}
	promtool := program(t, "promtool", "PROMTOOL_PROGRAM")
	if output, err := run(t, deploy, promtool, "test", "rules", "prometheus-alerts-test.yaml"); err != nil {
		t.Errorf("promtool: %v\n%s", err, output)
	}
	// That the check can fail: without its rule, a case that rings does not.
	dir := t.TempDir()
	for name, content := range map[string]string{"prometheus-alerts.yaml": strings.Replace(rules, "ingest_ready == 0", "ingest_ready == 7", 1), "prometheus-alerts-test.yaml": cases} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if output, err := run(t, dir, promtool, "test", "rules", "prometheus-alerts-test.yaml"); err == nil {
		t.Errorf("an alert that never rings passed:\n%s", output)
	}
}

// HAProxy takes every configuration as it is, alone or with an older system beside Spillway.
func TestHAProxy(t *testing.T) {
	haproxy := program(t, "haproxy", "HAPROXY_PROGRAM")
	dir := t.TempDir()
	certificate(t, filepath.Join(dir, "certificate.pem"))
	elsewhere := strings.NewReplacer("/etc/haproxy/certs/", dir+"/certificate.pem", "/run/haproxy/admin.sock", filepath.Join(dir, "admin.sock"), "/etc/haproxy/route", dir)
	for _, name := range []string{"campaigns.map", "links.map", "paths.map"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(read(t, "haproxy/route/"+name)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		files, old, host string
		wrong            string
	}{
		{files: "haproxy/haproxy.cfg"},
		{files: "compose/haproxy.cfg"},
		{files: "haproxy/haproxy.cfg haproxy/strangler.cfg", old: "10.0.0.31:80"},
		{files: "haproxy/haproxy.cfg haproxy/strangler.cfg", old: "10.0.0.31:80", host: "old.example.org"},
		// One without the other would send every donor to one of the two systems.
		{files: "haproxy/haproxy.cfg haproxy/strangler.cfg", wrong: "set OLD_SYSTEM"},
		{files: "haproxy/haproxy.cfg", old: "10.0.0.31:80", wrong: "unable to find required use_backend: 'old_system'"},
	} {
		args := []string{"OLD_SYSTEM=" + c.old, "OLD_HOST=" + c.host, haproxy, "-c"}
		if c.host == "" {
			args = slices.Delete(args, 1, 2) // set and empty is another thing than not set
		}
		if c.old == "" {
			args = args[1:]
		}
		for _, name := range strings.Fields(c.files) {
			path := filepath.Join(dir, strings.ReplaceAll(name, "/", "-"))
			if err := os.WriteFile(path, []byte(elsewhere.Replace(read(t, name))), 0o600); err != nil {
				t.Fatal(err)
			}
			args = append(args, "-f", path)
		}
		output, err := run(t, dir, "env", args...)
		switch {
		case c.wrong == "" && (err != nil || strings.Contains(output, "WARNING")):
			t.Errorf("%s, older system %q: %v\n%s", c.files, c.old, err, output)
		case c.wrong != "" && (err == nil || !strings.Contains(output, c.wrong)):
			t.Errorf("%s, older system %q passed, or fails by something else: %v\n%s", c.files, c.old, err, output)
		}
	}
}

// systemd takes every unit, and each role has one.
func TestUnits(t *testing.T) {
	units, err := filepath.Glob(filepath.Join(deploy, "systemd", "*.service"))
	if err != nil || len(units) < 6 {
		t.Fatalf("%d units, %v", len(units), err)
	}
	for _, unit := range units {
		content := read(t, filepath.Join("systemd", filepath.Base(unit)))
		for _, line := range []string{"NoNewPrivileges=yes", "ProtectSystem=strict", "User=spillway", "UMask=0077"} {
			if !slices.Contains(strings.Split(content, "\n"), line) {
				t.Errorf("%s lacks %s", unit, line)
			}
		}
	}
	analyze := program(t, "systemd-analyze", "SYSTEMD_ANALYZE_PROGRAM")
	dir := t.TempDir()
	program := filepath.Join(dir, "spillway")                                   // verify wants the program to be there
	if err := os.WriteFile(program, []byte("#!/bin/sh\n"), 0o700); err != nil { //nolint:gosec // a program has to be executable
		t.Fatal(err)
	}
	verify := func(name, content string) (string, error) {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return run(t, dir, analyze, "verify", "--man=no", path)
	}
	for _, unit := range units {
		name := filepath.Base(unit)
		content := strings.ReplaceAll(read(t, filepath.Join("systemd", name)), "/usr/local/bin/spillway", program)
		if output, err := verify(name, content); err != nil || strings.TrimSpace(output) != "" {
			t.Errorf("%s: %v\n%s", name, err, output)
		}
	}
	if output, err := verify("broken.service", "[Service]\nExecStart="+program+"\nTimeoutStopSec=soon\n"); err == nil && strings.TrimSpace(output) == "" {
		t.Error("a unit that means nothing passed")
	}
}

// Compose's own loader takes the file, strictly, and it is what a small event needs.
func TestCompose(t *testing.T) {
	load := func(content string) (*types.Project, error) {
		return loader.LoadWithContext(t.Context(), types.ConfigDetails{
			WorkingDir:  filepath.Join(deploy, "compose"),
			ConfigFiles: []types.ConfigFile{{Filename: "compose.yaml", Content: []byte(content)}},
			Environment: types.Mapping{"SPILLWAY_BROKER_PASSWORD": "p", "PUBLIC_URL": "https://give.example.org", "STRIPE_PUBLISHABLE_KEY": "pk_test_x"},
		})
	}
	content := read(t, "compose/compose.yaml")
	project, err := load(content)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"ingest", "ledger", "payments", "admin", "migrate"} {
		s, err := project.GetService(name)
		if err != nil {
			t.Error(err)
			continue
		}
		if !s.ReadOnly || !slices.Contains(s.CapDrop, "ALL") || s.StopGracePeriod == nil {
			t.Errorf("%s: read only %v, capabilities dropped %v, grace %v", name, s.ReadOnly, s.CapDrop, s.StopGracePeriod)
		}
		if len(s.Ports) > 0 {
			t.Errorf("%s is open to the world: %v", name, s.Ports)
		}
		for variable, value := range s.Environment {
			if value != nil && regexp.MustCompile(`(?i)password|sk_|whsec_`).MatchString(*value) {
				t.Errorf("%s: %s holds a secret; name its file", name, variable)
			}
			if value != nil && strings.HasPrefix(*value, "/run/secrets/") {
				secret := strings.TrimPrefix(*value, "/run/secrets/")
				if !slices.ContainsFunc(s.Secrets, func(c types.ServiceSecretConfig) bool { return c.Source == secret }) {
					t.Errorf("%s: %s is not mounted there", name, secret)
				}
			}
		}
	}
	if _, err := load(strings.Replace(content, "read_only:", "read_onyl:", 1)); err == nil {
		t.Error("a misspelt key passed")
	}
}

// Every panel of the dashboard asks something that Prometheus understands.
func TestDashboard(t *testing.T) {
	var dashboard struct {
		Panels []struct {
			Title, Type string
			Targets     []struct{ Expr string }
		}
	}
	if err := json.Unmarshal([]byte(read(t, "grafana/spillway.json")), &dashboard); err != nil {
		t.Fatal(err)
	}
	// promtool reads queries as the expressions of recording rules.
	rules, n := "groups:\n- name: dashboard\n  rules:\n", 0
	for _, panel := range dashboard.Panels {
		if panel.Type != "row" && len(panel.Targets) == 0 {
			t.Errorf("the panel %q asks nothing", panel.Title)
		}
		for _, target := range panel.Targets {
			n++
			rules += fmt.Sprintf("  - record: dashboard:query:%d\n    expr: %q\n", n, strings.ReplaceAll(target.Expr, "$__rate_interval", "1m"))
		}
	}
	if n == 0 {
		t.Fatal("no queries found")
	}
	check := func(rules string) error {
		path := filepath.Join(t.TempDir(), "queries.yaml")
		if err := os.WriteFile(path, []byte(rules), 0o600); err != nil {
			t.Fatal(err)
		}
		output, err := run(t, ".", program(t, "promtool", "PROMTOOL_PROGRAM"), "check", "rules", path)
		if err != nil {
			return fmt.Errorf("%w\n%s", err, output)
		}
		return nil
	}
	if err := check(rules); err != nil {
		t.Error(err)
	}
	if check(rules+"  - record: dashboard:query:broken\n    expr: 'sum(rate(x[1m])'\n") == nil {
		t.Error("a query that means nothing passed")
	}
}
