package config

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"spillway/ingest/trace"
	"spillway/ingest/trace/otlp"
)

// Tracing says where traces go. The standard variables of OpenTelemetry are read
// beside the flags, which count first.
type Tracing struct {
	TraceEndpoint string   `placeholder:"URL" help:"Send traces to this OpenTelemetry collector, by OTLP over HTTP: http://collector:4318. Off unless it is given here or in OTEL_EXPORTER_OTLP_ENDPOINT."`
	TracePart     *float64 `placeholder:"PART" help:"Part of the donations that are traced, from 0 to 1; the same for every process. 0.01 unless given here or in OTEL_TRACES_SAMPLER."`
}

// tracePartDefault is one donation of a hundred: some five a second in the hottest
// minute of a large event.
const tracePartDefault = 0.01

// tracesPath is what a collector's address is completed by
// (opentelemetry.io/docs/specs/otel/protocol/exporter).
const tracesPath = "/v1/traces"

// Traces is what Tracing and the environment come to.
type Traces struct {
	Exporter otlp.Config
	Sampler  trace.Sampler
	Service  string // OTEL_SERVICE_NAME, "" for our own names
}

// ErrTracing says that what was given about traces cannot be followed.
var ErrTracing = errors.New("traces")

// Traces reads the standard variables from environ, which is as os.Environ gives it.
// Nil means that nothing is traced. Errors: ErrTracing, with everything that is wrong.
func (t Tracing) Traces(environ []string) (*Traces, error) {
	v := otelVariables(environ)
	endpoint, err := t.endpoint(v)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTracing, err)
	}
	if endpoint == "" {
		return nil, nil
	}
	var errs []error
	note := func(err error) {
		if err != nil {
			errs = append(errs, err)
		}
	}
	all := &Traces{Service: v["OTEL_SERVICE_NAME"]}
	if !utf8.ValidString(all.Service) {
		note(errors.New("OTEL_SERVICE_NAME: not UTF-8"))
	}
	all.Exporter.Endpoint = endpoint
	all.Sampler, err = t.sampler(v)
	note(err)
	all.Exporter.Headers, err = pairs(v.otlp("HEADERS"))
	note(named("OTEL_EXPORTER_OTLP_HEADERS", err))
	all.Exporter.Resource, err = pairs(v["OTEL_RESOURCE_ATTRIBUTES"])
	note(named("OTEL_RESOURCE_ATTRIBUTES", err))
	if name := all.Exporter.Resource["service.name"]; name != "" {
		delete(all.Exporter.Resource, "service.name") // each span's own, from here on
		if all.Service == "" {
			all.Service = name
		}
	}
	all.Exporter.TLS, err = v.tls()
	note(err)
	switch protocol := v.otlp("PROTOCOL"); protocol {
	case "", "http/protobuf":
	default:
		note(fmt.Errorf("OTEL_EXPORTER_OTLP_PROTOCOL: %q is not spoken here; take http/protobuf, at the collector's port 4318", protocol))
	}
	switch compression := v.otlp("COMPRESSION"); compression {
	case "", "none":
	case "gzip":
		all.Exporter.Gzip = true
	default:
		note(fmt.Errorf("OTEL_EXPORTER_OTLP_COMPRESSION: %q is not gzip or none", compression))
	}
	for name, d := range map[string]*time.Duration{
		v.otlpName("TIMEOUT"): &all.Exporter.Timeout, "OTEL_BSP_SCHEDULE_DELAY": &all.Exporter.Every,
	} {
		ms, err := v.number(name)
		note(err)
		*d = time.Duration(ms) * time.Millisecond
	}
	all.Exporter.QueueMax, err = v.number("OTEL_BSP_MAX_QUEUE_SIZE")
	note(err)
	all.Exporter.BatchMax, err = v.number("OTEL_BSP_MAX_EXPORT_BATCH_SIZE")
	note(err)
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTracing, err)
	}
	return all, nil
}

// endpoint is the URL that spans are posted to, "" when nothing is traced.
func (t Tracing) endpoint(v variables) (string, error) {
	base := t.TraceEndpoint
	switch {
	case strings.EqualFold(v["OTEL_SDK_DISABLED"], "true"), base == "" && v["OTEL_TRACES_EXPORTER"] == "none":
		return "", nil
	case base != "":
	case v["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"] != "": // taken as it is
		return checkEndpoint(v["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"], "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
	case v["OTEL_EXPORTER_OTLP_ENDPOINT"] != "":
		base = v["OTEL_EXPORTER_OTLP_ENDPOINT"]
	default:
		return "", nil
	}
	if _, err := checkEndpoint(base, "--trace-endpoint or OTEL_EXPORTER_OTLP_ENDPOINT"); err != nil {
		return "", err
	}
	return strings.TrimSuffix(strings.TrimSuffix(base, "/"), tracesPath) + tracesPath, nil
}

func checkEndpoint(endpoint, from string) (string, error) {
	u, err := url.Parse(endpoint)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return "", fmt.Errorf("%s: not http://host:4318", from)
	}
	return endpoint, nil
}

func (t Tracing) sampler(v variables) (trace.Sampler, error) {
	if t.TracePart != nil {
		if !(*t.TracePart >= 0 && *t.TracePart <= 1) {
			return trace.Sampler{}, errors.New("--trace-part: not from 0 to 1")
		}
		return trace.Part(*t.TracePart), nil
	}
	name := v["OTEL_TRACES_SAMPLER"]
	if name == "" {
		return trace.Part(tracePartDefault), nil
	}
	s, err := trace.ParseSampler(name, v["OTEL_TRACES_SAMPLER_ARG"])
	return s, named("OTEL_TRACES_SAMPLER", err)
}

// variables are those that begin with OTEL_.
type variables map[string]string

func otelVariables(environ []string) variables {
	v := variables{}
	for _, kv := range environ {
		if name, value, _ := strings.Cut(kv, "="); strings.HasPrefix(name, "OTEL_") {
			v[name] = strings.TrimSpace(value)
		}
	}
	return v
}

// otlpName is the variable that counts for an exporter's setting: the one for traces,
// where it is given.
func (v variables) otlpName(setting string) string {
	if name := "OTEL_EXPORTER_OTLP_TRACES_" + setting; v[name] != "" {
		return name
	}
	return "OTEL_EXPORTER_OTLP_" + setting
}

func (v variables) otlp(setting string) string { return v[v.otlpName(setting)] }

// number reads a variable that is a number; 0 when it is not given.
func (v variables) number(name string) (int, error) {
	if v[name] == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(v[name])
	if err != nil || n < 0 || n > 1<<30 {
		return 0, fmt.Errorf("%s: %q is no number that can be followed", name, v[name])
	}
	return n, nil
}

// tls reads the certificates; nil when none are named.
func (v variables) tls() (*tls.Config, error) {
	ca, key, certificate := v.otlp("CERTIFICATE"), v.otlp("CLIENT_KEY"), v.otlp("CLIENT_CERTIFICATE")
	if ca == "" && key == "" && certificate == "" {
		return nil, nil
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if ca != "" {
		pem, err := os.ReadFile(ca)
		if err != nil {
			return nil, named(v.otlpName("CERTIFICATE"), err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s: no certificate in PEM in %s", v.otlpName("CERTIFICATE"), ca)
		}
	}
	if key != "" || certificate != "" {
		pair, err := tls.LoadX509KeyPair(certificate, key)
		if err != nil {
			return nil, named(v.otlpName("CLIENT_CERTIFICATE"), err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// pairs reads "key=value,key=value", the values URL-encoded UTF-8, which is all that
// OTLP can say. Values may be secret and are not quoted.
func pairs(text string) (map[string]string, error) {
	all := map[string]string{}
	for part := range strings.SplitSeq(text, ",") {
		if strings.TrimSpace(part) == "" {
			continue
		}
		key, value, found := strings.Cut(part, "=")
		decoded, err := url.PathUnescape(strings.TrimSpace(value))
		if key = strings.TrimSpace(key); !found || key == "" || err != nil || !utf8.ValidString(key+decoded) {
			return nil, errors.New("not key=value,key=value in UTF-8")
		}
		all[key] = decoded
	}
	return all, nil
}

func named(name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", name, err)
}
