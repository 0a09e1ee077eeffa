package main

import (
	"strings"
	"syscall"
	"testing"

	readapi "spillway/campaigns/httpapi"
)

func TestOpenFiles_RaisesTheLimit(t *testing.T) {
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	limit, err := openFiles()
	if err != nil {
		t.Fatal(err)
	}
	var after syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &after); err != nil {
		t.Fatal(err)
	}
	if after.Cur < before.Cur || limit != int(min(after.Cur, 1<<20)) {
		t.Errorf("said %d; before %+v, after %+v", limit, before, after)
	}
}

func TestViewersWith_LeavesDonorsAPlace(t *testing.T) {
	for files, want := range map[int]int{
		1 << 20: readapi.ViewersMax, filesWanted: readapi.ViewersMax, 20_000: 20_000 - filesOwn, 4096: 2048, 1024: 512,
	} {
		if got := viewersWith(files); got != want {
			t.Errorf("%d files: %d viewers, want %d", files, got, want)
		}
		if said := fewFiles(files); (said == "") != (files >= filesWanted) || said != "" && !strings.Contains(said, "ulimit -n 20480") {
			t.Errorf("%d files: %q", files, said)
		}
	}
}
