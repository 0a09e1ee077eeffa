package haproxy

import (
	"errors"
	"testing"
)

func TestParseServers_Rubbish(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "Permission denied\n", "# pxname,svname\na,b\n", "# pxname,svname,status,weight,econ,eresp,wretr,addr,hrsp_1xx,hrsp_2xx,hrsp_3xx,hrsp_4xx,hrsp_5xx,rtime\na,b,UP,x,,,,,,,,,,\n",
		"# pxname,svname,status,weight,econ,eresp,wretr,addr,hrsp_1xx,hrsp_2xx,hrsp_3xx,hrsp_4xx,hrsp_5xx,rtime\na,b,UP\n"} {
		if servers, err := parseServers(text); !errors.Is(err, ErrProxy) {
			t.Errorf("%q: %v, %v", text, servers, err)
		}
	}
}
