package checks

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"

	rollouts "github.com/argoproj/argo-rollouts/pkg/apis/rollouts/v1alpha1"
	"github.com/nats-io/nats-server/v2/conf"
	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"github.com/santhosh-tekuri/jsonschema/v6"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"sigs.k8s.io/yaml"
)

// kinds are the Go types of what the chart makes; the others have schemas in testdata.
var kinds = map[string]func() any{
	"apps/v1/Deployment":                     func() any { return new(appsv1.Deployment) },
	"batch/v1/Job":                           func() any { return new(batchv1.Job) },
	"v1/Service":                             func() any { return new(corev1.Service) },
	"autoscaling/v2/HorizontalPodAutoscaler": func() any { return new(autoscalingv2.HorizontalPodAutoscaler) },
	"policy/v1/PodDisruptionBudget":          func() any { return new(policyv1.PodDisruptionBudget) },
	"networking.k8s.io/v1/NetworkPolicy":     func() any { return new(networkingv1.NetworkPolicy) },
	"argoproj.io/v1alpha1/Rollout":           func() any { return new(rollouts.Rollout) },
	"argoproj.io/v1alpha1/AnalysisTemplate":  func() any { return new(rollouts.AnalysisTemplate) },
	"monitoring.coreos.com/v1/PodMonitor":    func() any { return new(monitoring.PodMonitor) },
	// The rules themselves are promtool's to judge (TestAlerts).
	"monitoring.coreos.com/v1/PrometheusRule": func() any { return new(monitoring.PrometheusRule) },
}

// decode takes a manifest as its type or schema has it: a field that is not there is refused.
func decode(t *testing.T, o object) (any, error) {
	t.Helper()
	name := fmt.Sprint(o.content["apiVersion"], "/", o.kind)
	if blank, ok := kinds[name]; ok {
		v := blank()
		return v, yaml.UnmarshalStrict(o.text, v)
	}
	all, err := schemas()
	if err != nil {
		t.Fatal(err)
	}
	schema := all[name]
	if schema == nil {
		return nil, fmt.Errorf("%s has neither a type nor a schema here", name)
	}
	b, err := json.Marshal(o.content)
	if err != nil {
		return nil, err
	}
	instance, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	return nil, schema.Validate(instance)
}

// schemas are those of KEDA's own definition and of what we use of CloudNativePG.
var schemas = sync.OnceValues(func() (map[string]*jsonschema.Schema, error) {
	b, err := os.ReadFile("testdata/keda-scaledobject-2.21.0.yaml")
	if err != nil {
		return nil, err
	}
	var definition struct {
		Spec struct {
			Versions []struct {
				Schema struct {
					OpenAPIV3Schema map[string]any `json:"openAPIV3Schema"`
				} `json:"schema"`
			} `json:"versions"`
		} `json:"spec"`
	}
	if err := yaml.Unmarshal(b, &definition); err != nil {
		return nil, err
	}
	keda := definition.Spec.Versions[0].Schema.OpenAPIV3Schema
	closeObjects(keda)
	// Kubernetes' own field, which definitions leave open.
	keda["properties"].(map[string]any)["metadata"] = map[string]any{"type": "object"}
	text, err := json.Marshal(keda)
	if err != nil {
		return nil, err
	}
	resource, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("keda.json", resource); err != nil {
		return nil, err
	}
	compiled := map[string]*jsonschema.Schema{}
	for name, at := range map[string]string{
		"keda.sh/v1alpha1/ScaledObject":         "keda.json",
		"postgresql.cnpg.io/v1/Cluster":         "testdata/cloudnativepg.schema.json#/$defs/Cluster",
		"postgresql.cnpg.io/v1/ScheduledBackup": "testdata/cloudnativepg.schema.json#/$defs/ScheduledBackup",
		"barmancloud.cnpg.io/v1/ObjectStore":    "testdata/cloudnativepg.schema.json#/$defs/ObjectStore",
	} {
		if compiled[name], err = c.Compile(at); err != nil {
			return nil, err
		}
	}
	return compiled, nil
})

// closeObjects has a definition refuse fields that it does not name, as the API server does
// under strict validation.
func closeObjects(schema map[string]any) {
	properties, named := schema["properties"].(map[string]any)
	if _, open := schema["additionalProperties"]; named && !open && schema["x-kubernetes-preserve-unknown-fields"] == nil {
		schema["additionalProperties"] = false
	}
	for _, p := range properties {
		closeObjects(p.(map[string]any))
	}
	for _, key := range []string{"items", "additionalProperties"} {
		if m, ok := schema[key].(map[string]any); ok {
			closeObjects(m)
		}
	}
}

// manifests renders a size of event and decodes everything in it.
func manifests(t *testing.T, overlays ...string) []any {
	t.Helper()
	values := valuesOf(t, overlays...)
	if err := judge(t, values); err != nil {
		t.Fatal(err)
	}
	rendered, err := render(values)
	if err != nil {
		t.Fatal(err)
	}
	all, err := objects(rendered)
	if err != nil {
		t.Fatal(err)
	}
	var decoded []any
	for _, o := range all {
		v, err := decode(t, o)
		if err != nil {
			t.Errorf("%s %s: %v\n%s", o.kind, o.name, err, o.text)
		}
		if v != nil {
			decoded = append(decoded, v)
		}
	}
	return decoded
}

// variants are what people install.
func variants(t *testing.T) map[string][]string {
	t.Helper()
	v := map[string][]string{
		"as it is":  nil,
		"rollout":   {"ingest: {rollout: {enabled: true}}"},
		"traces":    {"traces: {endpoint: 'http://collector.tracing:4318'}"},
		"jetstream": {"ledger: {lag: {source: nats-jetstream}}"},
		"managed":   {"postgres: {mode: managed}\nnats: {enabled: false}\nbrokerCA: broker-ca\nnetwork: {brokerCIDRs: [10.1.0.0/24], databaseCIDRs: [10.2.0.4/32]}"},
	}
	sizes, err := filepath.Glob(filepath.Join(chartDir, "values", "*.yaml"))
	if err != nil || len(sizes) != 3 {
		t.Fatalf("sizes %v, %v", sizes, err)
	}
	for _, size := range sizes {
		v[filepath.Base(size)] = []string{read(t, filepath.Join("chart", "values", filepath.Base(size)))}
	}
	return v
}

// Every size is what Kubernetes, KEDA, Argo Rollouts, Prometheus' operator and CloudNativePG
// take, and holds what an event needs of it.
func TestChart(t *testing.T) {
	for name, overlays := range variants(t) {
		t.Run(name, func(t *testing.T) {
			all := manifests(t, overlays...)
			if err := sound(all); err != nil {
				t.Error(err)
			}
			if len(all) < 20 {
				t.Errorf("%d objects", len(all))
			}
			helm(t, overlays)
		})
	}
}

// helm has the program itself lint the chart, where it is installed.
func helm(t *testing.T, overlays []string) {
	program, err := exec.LookPath("helm")
	if err != nil {
		return // render stands in for it
	}
	args := []string{"lint", "--strict", chartDir}
	for i, text := range overlays {
		path := filepath.Join(t.TempDir(), fmt.Sprint(i, ".yaml"))
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, "--values", path)
	}
	if output, err := run(t, ".", program, args...); err != nil {
		t.Errorf("helm: %v\n%s", err, output)
	}
}

// sound is what no type says: pods without rights, budgets that let nodes be drained,
// and networks that are closed.
func sound(all []any) error {
	var errs []error
	least := map[string]int32{} // replicas by the role's name
	budgets := map[string]*policyv1.PodDisruptionBudget{}
	denied := false
	role := func(labels map[string]string) string { return labels["app.kubernetes.io/name"] }
	for _, v := range all {
		switch o := v.(type) {
		case *appsv1.Deployment:
			errs = append(errs, soundPod(o.Name, o.Spec.Template.Spec))
			least[o.Name] = 2 // autoscaled ones start here; schema and the scaler say more
			if o.Spec.Replicas != nil {
				least[o.Name] = *o.Spec.Replicas
			}
			if !reflect.DeepEqual(o.Spec.Selector.MatchLabels["app.kubernetes.io/name"], role(o.Spec.Template.Labels)) {
				errs = append(errs, fmt.Errorf("%s selects other pods than its own", o.Name))
			}
		case *rollouts.Rollout:
			errs = append(errs, soundPod(o.Name, o.Spec.Template.Spec))
			least[o.Name] = 2
		case *batchv1.Job:
			errs = append(errs, soundPod(o.Name, o.Spec.Template.Spec))
		case *autoscalingv2.HorizontalPodAutoscaler:
			least[o.Spec.ScaleTargetRef.Name] = *o.Spec.MinReplicas
			if *o.Spec.MinReplicas > o.Spec.MaxReplicas {
				errs = append(errs, fmt.Errorf("%s: from %d to %d replicas", o.Name, *o.Spec.MinReplicas, o.Spec.MaxReplicas))
			}
		case *policyv1.PodDisruptionBudget:
			budgets[o.Name] = o
		case *networkingv1.NetworkPolicy:
			errs = append(errs, closed(o))
			if len(o.Spec.Ingress)+len(o.Spec.Egress) == 0 && len(o.Spec.PolicyTypes) == 2 && o.Spec.PodSelector.MatchLabels["app.kubernetes.io/part-of"] == "spillway" {
				denied = true
			}
		}
	}
	if !denied {
		errs = append(errs, errors.New("nothing is denied by default"))
	}
	for name, replicas := range least {
		b := budgets[name]
		if b == nil || b.Spec.MaxUnavailable == nil {
			errs = append(errs, fmt.Errorf("%s has no disruption budget", name))
			continue
		}
		if gone := b.Spec.MaxUnavailable.IntVal; gone < 1 || gone >= replicas {
			errs = append(errs, fmt.Errorf("%s: %d of %d may be gone: nodes could not be drained, or nobody would be left", name, gone, replicas))
		}
	}
	if len(least) != 4 {
		errs = append(errs, fmt.Errorf("roles %v", least))
	}
	return errors.Join(errs...)
}

// soundPod says what a pod may do that it need not.
func soundPod(name string, pod corev1.PodSpec) error {
	var errs []error
	fault := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s: %s", name, fmt.Sprintf(format, args...)))
	}
	s := pod.SecurityContext
	if s == nil || s.RunAsNonRoot == nil || !*s.RunAsNonRoot || s.SeccompProfile == nil || s.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault {
		fault("may be root, or calls what it likes of the kernel")
	}
	if pod.EnableServiceLinks == nil || *pod.EnableServiceLinks {
		fault("Kubernetes adds SPILLWAY_ variables that the program refuses")
	}
	if pod.AutomountServiceAccountToken == nil || *pod.AutomountServiceAccountToken {
		fault("has a token of Kubernetes")
	}
	for _, c := range pod.Containers {
		x := c.SecurityContext
		if x == nil || x.ReadOnlyRootFilesystem == nil || !*x.ReadOnlyRootFilesystem || x.AllowPrivilegeEscalation == nil || *x.AllowPrivilegeEscalation ||
			x.Capabilities == nil || len(x.Capabilities.Drop) != 1 || x.Capabilities.Drop[0] != "ALL" {
			fault("container %s: writes its root, gains privileges or keeps capabilities", c.Name)
		}
		mounted := map[string]bool{}
		for _, m := range c.VolumeMounts {
			mounted[m.MountPath] = m.ReadOnly
		}
		for _, e := range c.Env {
			if strings.HasPrefix(e.Value, "/run/spillway/") && !mounted[filepath.Dir(e.Value)] {
				fault("%s: nothing is mounted read-only at %s", e.Name, e.Value)
			}
			if (strings.HasSuffix(e.Name, "_URL") && e.Name != "SPILLWAY_PUBLIC_URL") || strings.HasSuffix(e.Name, "_STRIPE_KEY") {
				fault("%s is in the manifest; name its file", e.Name)
			}
		}
		if c.Args[0] != "migrate" && (c.ReadinessProbe == nil || c.ReadinessProbe.HTTPGet.Path != "/readyz" || c.LivenessProbe == nil || c.LivenessProbe.HTTPGet.Path != "/healthz") {
			fault("container %s: probes", c.Name)
		}
		if c.Resources.Limits.Memory().IsZero() || c.Resources.Requests.Cpu().IsZero() {
			fault("container %s: no bounds", c.Name)
		}
	}
	return errors.Join(errs...)
}

// closed refuses a policy that opens more than it names: a rule without a port or
// without a peer, everybody as a peer, and the whole Internet but by TLS with what is
// private left out.
func closed(p *networkingv1.NetworkPolicy) error {
	var errs []error
	rule := func(ports []networkingv1.NetworkPolicyPort, peers []networkingv1.NetworkPolicyPeer) {
		if len(ports) == 0 || len(peers) == 0 {
			errs = append(errs, fmt.Errorf("%s: a rule for all ports or all peers", p.Name))
		}
		for _, port := range ports {
			if port.Port == nil || port.EndPort != nil {
				errs = append(errs, fmt.Errorf("%s: a rule for all ports", p.Name))
			}
		}
		for _, peer := range peers {
			switch {
			case peer.IPBlock != nil:
				whole := strings.HasSuffix(peer.IPBlock.CIDR, "/0")
				if whole && (len(ports) != 1 || ports[0].Port == nil || ports[0].Port.IntVal != 443 || len(peer.IPBlock.Except) < 5) {
					errs = append(errs, fmt.Errorf("%s: open to the whole Internet", p.Name))
				}
			case peer.NamespaceSelector != nil && len(peer.NamespaceSelector.MatchLabels) == 0,
				peer.NamespaceSelector == nil && (peer.PodSelector == nil || len(peer.PodSelector.MatchLabels) == 0):
				errs = append(errs, fmt.Errorf("%s: a rule for everybody", p.Name))
			}
		}
	}
	if len(p.Spec.PodSelector.MatchLabels) == 0 {
		errs = append(errs, fmt.Errorf("%s is about pods that are not ours", p.Name))
	}
	for _, r := range p.Spec.Ingress {
		rule(r.Ports, r.From)
	}
	for _, r := range p.Spec.Egress {
		rule(r.Ports, r.To)
	}
	return errors.Join(errs...)
}

// Traces leave the three roles that make them, and only where they are wanted.
func TestChart_Traces(t *testing.T) {
	for overlay, want := range map[string]int{"{}": 0, "traces: {endpoint: 'http://collector.tracing:4318'}": 3} {
		named, open := 0, 0
		for _, v := range manifests(t, overlay) {
			switch o := v.(type) {
			case *appsv1.Deployment:
				for _, e := range o.Spec.Template.Spec.Containers[0].Env {
					if e.Name == "SPILLWAY_TRACE_ENDPOINT" && e.Value == "http://collector.tracing:4318" {
						named++
					}
				}
			case *networkingv1.NetworkPolicy:
				for _, rule := range o.Spec.Egress {
					if rule.Ports[0].Port.IntValue() == 4318 && rule.To[0].NamespaceSelector.MatchLabels["kubernetes.io/metadata.name"] == "tracing" {
						open++
					}
				}
			}
		}
		if named != want || open != want {
			t.Errorf("%s: %d roles are told where traces go, to %d the way is open, want %d", overlay, named, open, want)
		}
	}
}

// What must not be installed is refused, by the schema, by a template or by sound.
func TestChart_Refuses(t *testing.T) {
	for name, overlay := range map[string]string{
		"a misspelt value":              "ledger: {minimum: 3}",
		"a misspelt part":               "ingress: {min: 3}",
		"one front-end":                 "ingest: {min: 1}",
		"a collector by gRPC":           "traces: {endpoint: 'http://collector.tracing:4317'}",
		"everybody a trusted proxy":     "network: {proxyCIDRs: [0.0.0.0/0]}",
		"a secret in a variable":        "payments: {env: {SPILLWAY_STRIPE_KEY: sk_live_x}}",
		"two copies":                    "replicas: 2",
		"brokers that do not sync":      "nats: {config: {jetstream: {merge: {sync_interval: 2m}}}}",
		"a database that does not sync": "postgres: {parameters: {fsync: 'off'}}",
		"memory without a bound":        "ingest: {resources: {limits: null}}",
	} {
		if judge(t, valuesOf(t, overlay)) == nil {
			t.Errorf("%s passed the schema", name)
		}
	}
	for name, overlay := range map[string]string{
		"least above most":                 "ingest: {min: 40}",
		"a pre-scale beyond the most":      "ledger: {prescale: [{timezone: UTC, start: '0 8 1 12 *', end: '0 9 1 12 *', replicas: 50}]}",
		"a managed database of no place":   "postgres: {mode: managed}",
		"brokers of no place":              "nats: {enabled: false}",
		"backups that have no place to go": "postgres: {backup: {destination: ''}}",
	} {
		values := valuesOf(t, overlay)
		if err := judge(t, values); err != nil {
			t.Errorf("%s: the schema refused it already: %v", name, err)
		}
		if _, err := render(values); err == nil {
			t.Errorf("%s was rendered", name)
		}
	}
	rendered, err := render(valuesOf(t, "ingest: {rollout: {enabled: true}}"))
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string][3]string{
		"a policy for everybody":   {"network.yaml", "ports: [{protocol: TCP, port: 4222}]", ""},
		"the whole Internet":       {"network.yaml", "port: 443", "port: 5432"},
		"nothing denied":           {"network.yaml", "policyTypes: [Ingress, Egress]\n---", "policyTypes: [Ingress]\n---"},
		"a budget of everybody":    {"disruption.yaml", "maxUnavailable: 1", "maxUnavailable: 2"},
		"a budget of nobody":       {"disruption.yaml", "maxUnavailable: 1", "maxUnavailable: 0"},
		"a root that is written":   {"roles.yaml", "readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false"},
		"Kubernetes' variables":    {"roles.yaml", "enableServiceLinks: false", "enableServiceLinks: true"},
		"a field of no type":       {"roles.yaml", "terminationGracePeriodSeconds:", "terminationGraceSeconds:"},
		"a field of no Argo type":  {"roles.yaml", "maxSurge: 25%", "maxSurges: 25%"},
		"a field of no KEDA type":  {"scaling.yaml", "minReplicaCount:", "minReplicas:"},
		"a field of no CNPG type":  {"postgres.yaml", "instances:", "replicas:"},
		"a field of no rules type": {"monitoring.yaml", "jobLabel:", "jobLabels:"},
	} {
		changed := map[string]string{}
		for file, text := range rendered {
			if file == change[0] {
				text = strings.ReplaceAll(text, change[1], change[2])
				if text == rendered[file] {
					t.Errorf("%s: nothing to change", name)
				}
			}
			changed[file] = text
		}
		parsed, err := objects(changed)
		var all []any
		for _, o := range parsed {
			v, refused := decode(t, o)
			err = errors.Join(err, refused)
			if v != nil {
				all = append(all, v)
			}
		}
		if err == nil && sound(all) == nil {
			t.Errorf("%s passed", name)
		}
	}
}

// The brokers' users in the chart's values are those of nats-roles.conf.
func TestChart_BrokersRights(t *testing.T) {
	text := read(t, "nats-roles.conf")
	for _, role := range []string{"INGEST", "LEDGER", "PAYMENTS", "ADMIN", "GENERATOR", "OPERATOR"} {
		text = strings.ReplaceAll(text, "$SPILLWAY_"+role+"_PASSWORD", `"<< $SPILLWAY_`+role+`_PASSWORD >>"`)
	}
	parsed, err := conf.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	want, err := yaml.Marshal(parsed["accounts"])
	if err != nil {
		t.Fatal(err)
	}
	var values struct {
		NATS struct {
			Config struct {
				Merge struct {
					Accounts any `json:"accounts"`
				} `json:"merge"`
			} `json:"config"`
		} `json:"nats"`
	}
	if err := yaml.Unmarshal([]byte(read(t, "chart/values.yaml")), &values); err != nil {
		t.Fatal(err)
	}
	got, err := yaml.Marshal(values.NATS.Config.Merge.Accounts)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Errorf("nats.config.merge.accounts of chart/values.yaml are not those of nats-roles.conf:\n%s\nwant\n%s", got, want)
	}
}
