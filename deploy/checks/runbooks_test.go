package checks

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var link = regexp.MustCompile(`(?:\]\(|\./)([\w-]+\.(?:sh|txt))\b`)

// Each runbook names its script, which was run as it is written, with its transcript beside it.
func TestRunbooks(t *testing.T) {
	pages, err := filepath.Glob(filepath.Join(deploy, "runbooks", "*.md"))
	if err != nil || len(pages) < 20 {
		t.Fatalf("%d pages, %v", len(pages), err)
	}
	used := map[string]bool{}
	for _, page := range pages {
		name := strings.TrimSuffix(filepath.Base(page), ".md")
		if name == "README" {
			continue
		}
		var scripts []string
		told := false
		for _, m := range link.FindAllStringSubmatch(read(t, "runbooks/"+name+".md"), -1) {
			if strings.HasSuffix(m[1], ".sh") {
				scripts = append(scripts, m[1])
				used[m[1]] = true
			}
			told = told || m[1] == name+".txt"
		}
		if len(scripts) == 0 || !told {
			t.Errorf("%s.md names the scripts %v, its transcript %v", name, scripts, told)
			continue
		}
		transcript := read(t, "runbooks/"+name+".txt")
		for _, script := range scripts {
			if !strings.Contains(transcript, script) {
				t.Errorf("%s.txt does not show %s", name, script)
			}
		}
		if strings.Contains(transcript, "/tmp/") || strings.Contains(transcript, "command not found") {
			t.Errorf("%s.txt shows the machine that it was made on, or a program that was not there", name)
		}
	}
	scripts, err := filepath.Glob(filepath.Join(deploy, "runbooks", "*.sh"))
	if err != nil || len(scripts) < 10 {
		t.Fatalf("%d scripts, %v", len(scripts), err)
	}
	for _, script := range scripts {
		name := filepath.Base(script)
		if !used[name] && name != "transcripts.sh" {
			t.Errorf("no page names %s", name)
		}
		if fault := soundScript(t, read(t, "runbooks/"+name)); fault != "" {
			t.Errorf("%s: %s", name, fault)
		}
		if shellcheck, err := exec.LookPath("shellcheck"); err == nil {
			// SC2294: the commands are shown and then evaluated, on purpose. SC2155, SC2034: no matter.
			if output, err := run(t, filepath.Join(deploy, "runbooks"), shellcheck, "--exclude=SC2294,SC2155,SC2034", name); err != nil {
				t.Errorf("%s:\n%s", name, output)
			}
		}
	}
	for name, text := range map[string]string{
		"no syntax":  "#!/usr/bin/env bash\n# Does things.\nset -eu\nif\n",
		"no comment": "#!/usr/bin/env bash\nset -eu\necho\n",
		"goes on":    "#!/usr/bin/env bash\n# Does things.\necho\n",
	} {
		if soundScript(t, text) == "" {
			t.Errorf("a script with %s passed", name)
		}
	}
}

// soundScript says what is wrong with a script: it says what it is for, ends at the first
// command that fails, and the shell understands it.
func soundScript(t *testing.T, text string) string {
	t.Helper()
	lines := strings.Split(text, "\n")
	if len(lines) < 3 || !strings.HasPrefix(lines[0], "#!") || !strings.HasPrefix(lines[1], "# ") {
		return "its first lines do not say what it is for"
	}
	if !regexp.MustCompile(`(?m)^set -e`).MatchString(text) {
		return "goes on after a command that failed"
	}
	command := exec.CommandContext(t.Context(), "bash", "-n")
	command.Stdin = strings.NewReader(text)
	if output, err := command.CombinedOutput(); err != nil {
		return string(output)
	}
	return ""
}
