package otlp

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	collectorpb "go.opentelemetry.io/proto/slim/otlp/collector/trace/v1"
	commonpb "go.opentelemetry.io/proto/slim/otlp/common/v1"
	resourcepb "go.opentelemetry.io/proto/slim/otlp/resource/v1"
	tracepb "go.opentelemetry.io/proto/slim/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"spillway/ingest/trace"
)

// scope names the code that made the spans.
const scope = "spillway/ingest/trace"

// sampledFlag is the flag of W3C Trace Context in a span's or a link's flags.
const sampledFlag = 1

// appendRequest appends the spans as an ExportTraceServiceRequest: those of each service
// under a resource of its own. Errors: a text that is no UTF-8, of which the protocol
// has none.
func appendRequest(dst []byte, spans []trace.Span, resource map[string]string) ([]byte, error) {
	byService := slices.Clone(spans)
	slices.SortStableFunc(byService, func(a, b trace.Span) int { return cmp.Compare(a.Service, b.Service) })
	request := &collectorpb.ExportTraceServiceRequest{}
	for len(byService) > 0 {
		n := 1
		for n < len(byService) && byService[n].Service == byService[0].Service {
			n++
		}
		request.ResourceSpans = append(request.ResourceSpans, resourceSpans(byService[:n], resource))
		byService = byService[n:]
	}
	dst, err := proto.MarshalOptions{}.MarshalAppend(dst, request)
	if err != nil {
		return nil, fmt.Errorf("encode spans: %w", err)
	}
	return dst, nil
}

// resourceSpans are the spans of one service.
func resourceSpans(spans []trace.Span, resource map[string]string) *tracepb.ResourceSpans {
	own := []*commonpb.KeyValue{text("service.name", spans[0].Service)}
	for _, key := range slices.Sorted(maps.Keys(resource)) {
		own = append(own, text(key, resource[key]))
	}
	scoped := &tracepb.ScopeSpans{Scope: &commonpb.InstrumentationScope{Name: scope}}
	for i := range spans {
		scoped.Spans = append(scoped.Spans, span(&spans[i]))
	}
	return &tracepb.ResourceSpans{Resource: &resourcepb.Resource{Attributes: own}, ScopeSpans: []*tracepb.ScopeSpans{scoped}}
}

// span shares memory with s.
func span(s *trace.Span) *tracepb.Span {
	out := &tracepb.Span{
		TraceId: s.Context.Trace[:], SpanId: s.Context.Span[:], Flags: flags(s.Context),
		Name: s.Name, Kind: tracepb.Span_SpanKind(s.Kind), StartTimeUnixNano: nanoseconds(s.Start), EndTimeUnixNano: nanoseconds(s.End),
		DroppedLinksCount: uint32(s.LinksDropped),
	}
	if s.Parent != (trace.SpanID{}) {
		out.ParentSpanId = s.Parent[:]
	}
	for _, a := range s.Attributes {
		if a.Text != "" {
			out.Attributes = append(out.Attributes, text(a.Key.String(), a.Text))
		} else {
			out.Attributes = append(out.Attributes, number(a.Key.String(), a.Number))
		}
	}
	for i := range s.Links {
		l := &s.Links[i]
		out.Links = append(out.Links, &tracepb.Span_Link{TraceId: l.Trace[:], SpanId: l.Span[:], Flags: flags(*l)})
	}
	if s.Failed {
		out.Status = &tracepb.Status{Code: tracepb.Status_STATUS_CODE_ERROR}
	}
	return out
}

func flags(c trace.Context) uint32 {
	if c.Sampled {
		return sampledFlag
	}
	return 0
}

func nanoseconds(t time.Time) uint64 { return uint64(t.UnixNano()) }

func text(key, value string) *commonpb.KeyValue {
	return &commonpb.KeyValue{Key: key, Value: &commonpb.AnyValue{Value: &commonpb.AnyValue_StringValue{StringValue: value}}}
}

func number(key string, value int64) *commonpb.KeyValue {
	return &commonpb.KeyValue{Key: key, Value: &commonpb.AnyValue{Value: &commonpb.AnyValue_IntValue{IntValue: value}}}
}

// rejected reads from an ExportTraceServiceResponse how many spans the collector did
// not take. What cannot be read rejects none: the status said that it took them.
func rejected(response []byte) int64 {
	var r collectorpb.ExportTraceServiceResponse
	if err := proto.Unmarshal(response, &r); err != nil {
		return 0
	}
	return max(0, r.GetPartialSuccess().GetRejectedSpans())
}
