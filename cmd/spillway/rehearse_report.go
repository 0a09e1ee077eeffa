package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"

	"spillway/cmd/spillway/internal/config"
	"spillway/deploy/onebox"
	"spillway/loadtest"
	auditdb "spillway/loadtest/audit/postgres"
	"spillway/loadtest/machine"
)

// Roles of an `up`, as the timeline names them.
const (
	upRole       = "spillway up"
	postgresRole = "postgres"
)

// roles lists the processes of the `up` in the data folder as they are now: it may be
// killed in the middle of a rehearsal, and come back as another one. None when it does
// not run, and none of an installation that is elsewhere.
func (a *place) roles() []machine.Role {
	if a.processes != nil {
		return a.processes()
	}
	if a.data == "" {
		return nil
	}
	run, err := onebox.ReadRun(a.data)
	if err != nil {
		return nil
	}
	all := []machine.Role{{Name: upRole, PID: run.PID}}
	// The first line is the postmaster's number (postgresql.org/docs, "Database File Layout").
	text, err := os.ReadFile(filepath.Join(a.data, "postgres", "postmaster.pid"))
	if err != nil {
		return all // a database that was named
	}
	first, _, _ := bytes.Cut(text, []byte{'\n'})
	if pid, err := strconv.Atoi(string(bytes.TrimSpace(first))); err == nil && pid > 0 {
		all = append(all, machine.Role{Name: postgresRole, PID: pid, Children: true})
	}
	return all
}

// operators is where the `up` in the data folder has its metrics.
func (a *place) operators() func() (string, error) {
	if a.metrics != "" {
		return func() (string, error) { return a.metrics, nil }
	}
	if a.data == "" {
		return nil
	}
	return func() (string, error) {
		run, err := onebox.ReadRun(a.data)
		return run.OpsURL, err
	}
}

// Names and bounds of reports.
const (
	pageSuffix = ".html"
	jsonSuffix = ".json"
	// reportsKept bounds the reports in the folder that nobody chose; the oldest go.
	reportsKept = 100
)

// reportFiles are where a report goes; "" for nowhere.
type reportFiles struct {
	page, json string
	// chosen tells that the page's place was named: then it must be written.
	chosen bool
}

// files says where the report goes: where it was asked for; of a private installation,
// which goes with its folder, into the user's cache; otherwise beside the record.
func (c *rehearseRunCommand) files(at *place) reportFiles {
	if at.alone {
		return filesFor(c.HTML, c.JSON, filepath.Join(reportsFolder(), c.RunName))
	}
	return filesFor(c.HTML, c.JSON, strings.TrimSuffix(c.recordPath(at.data), recordSuffix))
}

// filesFor says where a report goes: to the page and the JSON that were asked for, the
// first of which may be a folder; both to base with their suffixes where no page was.
func filesFor(page, asJSON, base string) reportFiles {
	f := reportFiles{page: page, json: asJSON, chosen: page != ""}
	if !f.chosen {
		f.page = base + pageSuffix
		if f.json == "" {
			f.json = base + jsonSuffix
		}
		return f
	}
	if info, err := os.Stat(page); err == nil && info.IsDir() || strings.HasSuffix(page, string(filepath.Separator)) {
		f.page = filepath.Join(page, filepath.Base(base)+pageSuffix)
	}
	return f
}

// reportsFolder is where reports of private installations are kept.
func reportsFolder() string {
	if dir, err := os.UserCacheDir(); err == nil {
		return filepath.Join(dir, "spillway", recordsFolder)
	}
	return filepath.Join(os.TempDir(), "spillway-"+recordsFolder) // no home
}

// write writes a report, as JSON and as a page, and returns what there is to say at the
// very end. asked is the place of the JSON that was asked for by name.
func (f reportFiles) write(report any, write func(io.Writer) error, asked string, log *slog.Logger) (say string, err error) {
	content, err := json.MarshalIndent(report, "", "  ")
	if err != nil {
		return "", err
	}
	var page bytes.Buffer
	if err := write(&page); err != nil {
		return "", err
	}
	put := func(path string, content []byte, must bool) error {
		err := os.MkdirAll(filepath.Dir(path), 0o755)
		if err == nil {
			err = os.WriteFile(path, content, 0o644) //nolint:gosec // a report holds no secrets
		}
		if err != nil && !must {
			log.Warn("the report cannot be kept; name a place with --html", "error", err)
			return nil
		}
		return err
	}
	if f.json != "" {
		if err := put(f.json, append(content, '\n'), f.json == asked); err != nil {
			return "", err
		}
	}
	if err := put(f.page, page.Bytes(), f.chosen); err != nil {
		return "", err
	}
	if filepath.Dir(f.page) == reportsFolder() {
		forget(reportsFolder(), log)
	}
	if _, err := os.Stat(f.page); err != nil {
		return "", nil //nolint:nilerr // it was said that there is none
	}
	path, err := filepath.Abs(f.page)
	if err != nil {
		path = f.page
	}
	return "Report: " + path, nil
}

// forget removes the oldest reports beyond reportsKept, each with its JSON.
func forget(dir string, log *slog.Logger) {
	pages, _ := filepath.Glob(filepath.Join(dir, "*"+pageSuffix)) // the pattern is well-formed
	if len(pages) <= reportsKept {
		return
	}
	age := func(path string) int64 {
		info, err := os.Stat(path)
		if err != nil {
			return 0
		}
		return info.ModTime().UnixNano()
	}
	slices.SortFunc(pages, func(a, b string) int { return cmp.Compare(age(a), age(b)) })
	for _, page := range pages[:len(pages)-reportsKept] {
		for _, path := range []string{page, strings.TrimSuffix(page, pageSuffix) + jsonSuffix} {
			if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
				log.Debug("an old report stays", "error", err)
			}
		}
	}
}

// setting is where and with what the rehearsal is made.
func (c *rehearseRunCommand) setting(ctx context.Context, p *process, at *place) *loadtest.Setting {
	s := &loadtest.Setting{Command: commandLine(os.Args[1:], p.environment), Machine: machine.Here(), Together: at.data != "",
		Connections: c.Connections * max(1, c.Generators), Watchers: c.Watchers}
	if at.alone && !slices.ContainsFunc(os.Args[1:], func(a string) bool { return a == "--run" || strings.HasPrefix(a, "--run=") }) {
		s.Command += " --run " + quoted(c.RunName) // the name makes the keys, and by them who acts how
	}
	if !c.given["seed"] && c.Seed != 0 {
		s.Command += " --seed " + strconv.FormatUint(c.Seed, 10) // it was drawn, or is the scenario's
	}
	add := func(name, version string) {
		if version != "" {
			s.Versions = append(s.Versions, loadtest.Version{Name: name, Version: version})
		}
	}
	add("spillway", build())
	add("go", runtime.Version()+" "+runtime.GOOS+"/"+runtime.GOARCH)
	if where, err := at.find(); err == nil {
		version, err := auditdb.Version(ctx, where.database)
		if err != nil {
			p.log.Debug("the database's version", "error", err)
		}
		add("postgres", version)
	}
	if at.alone { // the broker is this same program's
		add("nats-server", moduleVersion("github.com/nats-io/nats-server/v2"))
	}
	return s
}

// moduleVersion is that of a module that this program is built of.
func moduleVersion(path string) string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, m := range info.Deps {
		if m.Path == path {
			return m.Version
		}
	}
	return ""
}

// commandLine is what was typed, for a shell, with what the environment says before
// it; passwords and secrets are left out.
func commandLine(args, environment []string) string {
	var words []string
	for _, kv := range environment {
		name, value, _ := strings.Cut(kv, "=")
		if !strings.HasPrefix(name, config.Prefix+"_") {
			continue
		}
		if secretName(name) {
			value = "..."
		}
		words = append(words, name+"="+quoted(publicURL(value)))
	}
	slices.Sort(words)
	words = append(words, "spillway")
	for _, a := range args {
		name, value, both := strings.Cut(a, "=")
		if both && strings.HasPrefix(name, "--") {
			words = append(words, name+"="+quoted(publicURL(value)))
			continue
		}
		words = append(words, quoted(publicURL(a)))
	}
	return strings.Join(words, " ")
}

// secretName tells whether a variable may hold a secret.
func secretName(name string) bool {
	return slices.ContainsFunc([]string{"KEY", "SECRET", "PASSWORD", "TOKEN", "CREDENTIAL"}, func(part string) bool { return strings.Contains(name, part) }) &&
		!strings.HasSuffix(name, "_FILE")
}

// publicURL is a URL without its password; anything else stays as it is.
func publicURL(text string) string {
	if !strings.Contains(text, "://") {
		if strings.Contains(text, "password=") {
			return "..." // a database's name in words
		}
		return text
	}
	u, err := url.Parse(text)
	if err != nil {
		return "..."
	}
	if u.RawQuery != "" {
		q := u.Query()
		for name := range q {
			if strings.Contains(name, "password") {
				q.Set(name, "...")
			}
		}
		u.RawQuery = q.Encode()
	}
	return u.Redacted()
}

// quoted is a word as a shell reads it.
func quoted(word string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:,=%@+", r)
	}
	if word != "" && strings.IndexFunc(word, func(r rune) bool { return !plain(r) }) < 0 {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// sayReport writes the last line of all.
func (c *rehearseRunCommand) sayReport(p *process) {
	if c.reportSaid != "" {
		fmt.Fprintln(p.stdout, c.reportSaid)
	}
}
