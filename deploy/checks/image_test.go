package checks

import (
	"crypto/sha256"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
)

var reproduce = flag.Bool("reproduce", false, "build the image's program twice, from two folders and without what was compiled before: minutes")

// imageBuild is the Dockerfile's build line, with the continuation joined.
var imageBuild = regexp.MustCompile(`(?m)^RUN (CGO_ENABLED=0 .*\\\n.*go build .*)$`)

// The same commit gives the same program, byte for byte, wherever it is built.
func TestImage_Reproducible(t *testing.T) {
	m := imageBuild.FindStringSubmatch(read(t, "image/Dockerfile"))
	if m == nil {
		t.Fatal("the Dockerfile's build line is not found")
	}
	line := strings.ReplaceAll(m[1], "\\\n", " ")
	for _, flag := range []string{"CGO_ENABLED=0", "-trimpath", "-buildvcs=false", "-buildid="} {
		if !strings.Contains(line, flag) {
			t.Errorf("the build line lacks %s: %s", flag, line)
		}
	}
	if !*reproduce {
		t.Skip("minutes of compiling: go test -run Reproducible -reproduce -v .")
	}
	var sums [2][sha256.Size]byte
	for i, name := range []string{"a", "b/deeper"} {
		dir := t.TempDir()
		tree, out := filepath.Join(dir, name), filepath.Join(dir, "spillway")
		if err := os.MkdirAll(filepath.Dir(tree), 0o750); err != nil {
			t.Fatal(err)
		}
		if output, err := run(t, filepath.Join(deploy, ".."), "git", "clone", "--quiet", "--no-hardlinks", ".", tree); err != nil {
			t.Fatalf("%v\n%s", err, output)
		}
		script := "export GOFLAGS= GOCACHE=" + filepath.Join(dir, "cache") + " TARGETOS=" + runtime.GOOS + " TARGETARCH=" + runtime.GOARCH + "\n" +
			strings.ReplaceAll(line, "/out/spillway", out)
		if output, err := run(t, tree, "sh", "-c", script); err != nil {
			t.Fatalf("%v\n%s", err, output)
		}
		b, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		sums[i] = sha256.Sum256(b)
		t.Logf("%s: %d bytes, sha256 %x", name, len(b), sums[i])
		if strings.Contains(string(b), tree) {
			t.Errorf("the program names the folder that it was built in")
		}
	}
	if sums[0] != sums[1] {
		t.Error("two builds of one commit differ")
	}
}
