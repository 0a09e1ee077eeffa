package broker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"spillway/ingest"
)

const (
	// jszSubject is the system account's question to every server about its
	// JetStream; the roles' account imports it (deploy/nats-server.conf shows how).
	jszSubject = "$SYS.REQ.SERVER.PING.JSZ"
	// proofTimeout bounds one round of asking.
	proofTimeout = 2 * time.Second
	// varzBytesMax bounds a monitoring answer; real ones are a few kilobytes.
	varzBytesMax = 1 << 20
	// jszAnswersMax bounds the answers to one question; a super-cluster has fewer servers.
	jszAnswersMax = 1024
)

// errNotTold says what an operator has to do so that the proof can be had.
var errNotTold = errors.New("no server answers " + jszSubject +
	": import it from the system account into this one, or name the servers' monitoring URLs")

func notReady(reason error) error { return fmt.Errorf("%w: %w", ingest.ErrNotReady, reason) }

// streamInfo asks the broker, never a cache.
func (b *Broker) streamInfo(ctx context.Context, stream string) (*jetstream.StreamInfo, error) {
	s, err := b.js.Stream(ctx, stream)
	if err != nil {
		return nil, err
	}
	return s.CachedInfo(), nil // just fetched by Stream
}

// askSync asks which of the servers sync before they acknowledge. A server that
// is not in the result did not answer; err says why none did, when that is known.
func (b *Broker) askSync(ctx context.Context, servers []string) (map[string]serverConfig, error) {
	if b.cfg.Embedded != nil {
		// The connection ends in this process: no other server is behind that name.
		return map[string]serverConfig{b.nc.ConnectedServerName(): {SyncAlways: b.cfg.Embedded()}}, nil
	}
	return b.askServers(ctx, servers)
}

// askServers asks the servers how they store, by whichever way there is.
func (b *Broker) askServers(ctx context.Context, servers []string) (map[string]serverConfig, error) {
	ctx, cancel := context.WithTimeout(ctx, proofTimeout)
	defer cancel()
	if len(b.cfg.MonitorURLs) > 0 {
		return b.askMonitors(ctx)
	}
	return b.askSystemAccount(ctx, servers)
}

// serverConfig is what both ways of asking tell of a server's JetStream.
type serverConfig struct {
	SyncAlways   bool  `json:"sync_always"`
	StorageBytes int64 `json:"max_storage"` // what all its streams may take
	// UniqueTag begins the tags that no two copies of a stream share; "" places them anywhere.
	UniqueTag string `json:"unique_tag"`
	// zone is the server's own such tag, its failure domain; "" when it has none.
	zone string
}

// placed returns the word with its zone found among the server's tags.
func (c serverConfig) placed(tags []string) serverConfig {
	if i := slices.IndexFunc(tags, func(tag string) bool { return strings.HasPrefix(tag, c.UniqueTag) }); c.UniqueTag != "" && i >= 0 {
		c.zone = tags[i]
	}
	return c
}

// jszAnswer is a server's answer to jszSubject (nats-server, ServerAPIResponse).
type jszAnswer struct {
	Server struct {
		Name string   `json:"name"`
		ID   string   `json:"id"`
		Tags []string `json:"tags"`
	} `json:"server"`
	Data *struct {
		Disabled bool         `json:"disabled"`
		Config   serverConfig `json:"config"`
	} `json:"data"`
}

func (b *Broker) askSystemAccount(ctx context.Context, servers []string) (map[string]serverConfig, error) {
	inbox := b.nc.NewInbox()
	answers := make(chan *nats.Msg, jszAnswersMax)
	sub, err := b.nc.ChanSubscribe(inbox, answers)
	if err != nil {
		return nil, err
	}
	defer sub.Unsubscribe() // an error says that the connection is closed anyway
	if err := b.nc.PublishRequest(jszSubject, inbox, nil); err != nil {
		return nil, err
	}
	words := make(map[string]serverConfig)
	wanted := make(map[string]bool)
	for _, s := range servers {
		wanted[s] = true
	}
	for len(wanted) > 0 {
		select {
		case <-ctx.Done():
			if len(words) == 0 {
				return nil, errNotTold
			}
			return words, nil
		case m := <-answers:
			if m.Header.Get("Status") == "503" {
				return nil, errNotTold
			}
			var a jszAnswer
			if json.Unmarshal(m.Data, &a) != nil || a.Data == nil || a.Server.Name == "" {
				continue
			}
			if a.Server.Name == b.nc.ConnectedServerName() && a.Server.ID != b.nc.ConnectedServerId() {
				continue // a namesake: it says nothing about the server at the other end
			}
			word := a.Data.Config.placed(a.Server.Tags)
			word.SyncAlways = word.SyncAlways && !a.Data.Disabled
			vouch(words, a.Server.Name, word)
			delete(wanted, a.Server.Name)
		}
	}
	return words, nil
}

// vouch notes an answer; of two servers under one name the worse one counts.
func vouch(words map[string]serverConfig, server string, word serverConfig) {
	if before, known := words[server]; known {
		word.SyncAlways = word.SyncAlways && before.SyncAlways
	}
	words[server] = word
}

// varz is a server's monitoring answer.
type varz struct {
	Name      string   `json:"server_name"`
	Tags      []string `json:"tags"`
	JetStream struct {
		Config *serverConfig `json:"config"`
	} `json:"jetstream"`
}

func (b *Broker) askMonitors(ctx context.Context) (map[string]serverConfig, error) {
	words := make(map[string]serverConfig)
	var errs []error
	for _, base := range b.cfg.MonitorURLs {
		v, err := askMonitor(ctx, strings.TrimSuffix(base, "/")+"/varz")
		if err != nil {
			errs = append(errs, err)
			continue
		}
		word := serverConfig{}
		if v.JetStream.Config != nil {
			word = v.JetStream.Config.placed(v.Tags)
		}
		vouch(words, v.Name, word)
	}
	return words, errors.Join(errs...)
}

// monitorClient keeps no connection between questions that are half a minute apart.
var monitorClient = &http.Client{Transport: &http.Transport{DisableKeepAlives: true, Proxy: http.ProxyFromEnvironment}}

func askMonitor(ctx context.Context, url string) (v varz, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return v, errors.New("monitoring URL cannot be asked")
	}
	resp, err := monitorClient.Do(req)
	if err != nil {
		return v, fmt.Errorf("monitoring: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return v, fmt.Errorf("monitoring: status %d", resp.StatusCode)
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, varzBytesMax)).Decode(&v); err != nil || v.Name == "" {
		return v, errors.New("monitoring: not a nats-server's answer")
	}
	return v, nil
}
