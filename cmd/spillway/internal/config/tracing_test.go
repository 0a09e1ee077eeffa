package config

import (
	"errors"
	"strings"
	"testing"
	"time"

	"spillway/ingest"
	"spillway/ingest/trace"
)

func TestTraces_OffUnlessAnEndpointIsNamed(t *testing.T) {
	for _, environ := range [][]string{
		nil,
		{"OTEL_TRACES_SAMPLER=always_on", "OTEL_SERVICE_NAME=donations"},
		{"OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4318", "OTEL_SDK_DISABLED=true"},
		{"OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4318", "OTEL_TRACES_EXPORTER=none"},
	} {
		if traces, err := (Tracing{}).Traces(environ); traces != nil || err != nil {
			t.Errorf("%v: %+v %v", environ, traces, err)
		}
	}
}

func TestTraces_Endpoint(t *testing.T) {
	for _, test := range []struct {
		flag    string
		environ []string
		want    string
	}{
		{"http://c:4318", nil, "http://c:4318/v1/traces"},
		{"http://c:4318/v1/traces", nil, "http://c:4318/v1/traces"},
		{"", []string{"OTEL_EXPORTER_OTLP_ENDPOINT=https://c/otlp/"}, "https://c/otlp/v1/traces"},
		{"", []string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://c/as-it-is", "OTEL_EXPORTER_OTLP_ENDPOINT=http://other"}, "http://c/as-it-is"},
		{"http://flag:1", []string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://c", "OTEL_TRACES_EXPORTER=none"}, "http://flag:1/v1/traces"},
	} {
		traces, err := Tracing{TraceEndpoint: test.flag}.Traces(test.environ)
		if err != nil || traces.Exporter.Endpoint != test.want {
			t.Errorf("%+v: %+v %v", test, traces, err)
		}
	}
}

func TestTraces_StandardVariables(t *testing.T) {
	traces, err := (Tracing{}).Traces([]string{
		"OTEL_EXPORTER_OTLP_ENDPOINT=http://c:4318", "OTEL_SERVICE_NAME=giving", "OTEL_RESOURCE_ATTRIBUTES=deployment.environment.name=prod,service.name=other",
		"OTEL_EXPORTER_OTLP_HEADERS=Authorization=Bearer%20x, X-Tenant=a", "OTEL_EXPORTER_OTLP_COMPRESSION=gzip",
		"OTEL_EXPORTER_OTLP_TIMEOUT=2000", "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT=3000", "OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf",
		"OTEL_BSP_MAX_QUEUE_SIZE=7", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE=5", "OTEL_BSP_SCHEDULE_DELAY=250", "OTEL_TRACES_SAMPLER=parentbased_always_on",
	})
	if err != nil {
		t.Fatal(err)
	}
	e := traces.Exporter
	if traces.Service != "giving" || e.Resource["deployment.environment.name"] != "prod" || e.Resource["service.name"] != "" ||
		e.Headers["Authorization"] != "Bearer x" || e.Headers["X-Tenant"] != "a" || !e.Gzip ||
		e.Timeout != 3*time.Second || e.QueueMax != 7 || e.BatchMax != 5 || e.Every != 250*time.Millisecond {
		t.Errorf("%+v", traces)
	}
	if id := trace.ID(ingest.DeriveID([]byte("0123456789abcdef"))); !traces.Sampler.Samples(id) {
		t.Error("always_on leaves one out")
	}
}

// Everything that cannot be followed is told at once, and no secret with it.
func TestTraces_RefusesWhatItCannotFollow(t *testing.T) {
	part := 2.0
	_, err := Tracing{TraceEndpoint: "http://c", TracePart: &part}.Traces([]string{
		"OTEL_EXPORTER_OTLP_PROTOCOL=grpc", "OTEL_EXPORTER_OTLP_COMPRESSION=zstd", "OTEL_EXPORTER_OTLP_TIMEOUT=10s",
		"OTEL_EXPORTER_OTLP_HEADERS=hunter2", "OTEL_BSP_MAX_QUEUE_SIZE=-1", "OTEL_EXPORTER_OTLP_CERTIFICATE=/nowhere/ca.pem",
		"OTEL_RESOURCE_ATTRIBUTES=region=%ff", "OTEL_SERVICE_NAME=\xff",
	})
	if !errors.Is(err, ErrTracing) {
		t.Fatal(err)
	}
	for _, want := range []string{"--trace-part", "PROTOCOL", "COMPRESSION", "TIMEOUT", "HEADERS", "MAX_QUEUE_SIZE", "CERTIFICATE", "RESOURCE_ATTRIBUTES", "SERVICE_NAME"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("nothing about %s: %v", want, err)
		}
	}
	if strings.Contains(err.Error(), "hunter2") {
		t.Errorf("it shows a secret: %v", err)
	}
	for _, endpoint := range []string{"collector:4318", "grpc://c:4317", "http://"} {
		if _, err := (Tracing{TraceEndpoint: endpoint}).Traces(nil); !errors.Is(err, ErrTracing) {
			t.Errorf("%s was taken", endpoint)
		}
	}
}
