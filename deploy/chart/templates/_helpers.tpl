{{- /* Names, labels and the parts that every role's pods share. */ -}}

{{- define "spillway.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{- /* spillway.select: (dict "root" . "role" "ingest"); what never changes of a role's labels. */ -}}
{{- define "spillway.select" -}}
app.kubernetes.io/name: spillway-{{ .role }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- end -}}

{{- define "spillway.labels" -}}
{{ include "spillway.select" . }}
app.kubernetes.io/part-of: spillway
app.kubernetes.io/version: {{ .root.Values.image.tag | default .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version }}
{{- end -}}

{{- define "spillway.postgres" -}}{{ .Release.Name }}-postgres{{- end -}}

{{- /* spillway.databaseSecret: who a role is to Postgres. The owner migrates, everybody else is the app. */ -}}
{{- define "spillway.databaseSecret" -}}
{{- if eq .role "migrate" -}}
{{- if eq .root.Values.postgres.mode "cloudnative-pg" -}}
{name: {{ include "spillway.postgres" .root }}-app, key: uri}
{{- else -}}
{name: {{ .root.Values.secrets.databaseOwner }}, key: database-url}
{{- end -}}
{{- else -}}
{name: {{ .root.Values.secrets.databaseApp }}, key: database-url}
{{- end -}}
{{- end -}}

{{- /* spillway.pod: the whole pod template of a role. */ -}}
{{- define "spillway.pod" -}}
{{- $v := .root.Values -}}
{{- $role := .role -}}
{{- $broker := ne $role "migrate" -}}
{{- $database := ne $role "ingest" -}}
{{- $installation := has $role (list "ingest" "admin") -}}
{{- $webhooks := has $role (list "ingest" "payments") -}}
{{- $conf := index $v $role -}}
metadata:
  labels:
    {{- include "spillway.labels" . | nindent 4 }}
  {{- with $v.podAnnotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  # No role speaks to Kubernetes.
  automountServiceAccountToken: false
  # Variables of services would begin with SPILLWAY_ too, and roles refuse what they do not know.
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ .grace }}
  {{- with $v.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- with $v.image.pullSecrets }}
  imagePullSecrets:
    {{- range . }}
    - name: {{ . }}
    {{- end }}
  {{- end }}
  {{- if eq $role "migrate" }}
  restartPolicy: Never
  {{- end }}
  securityContext:
    runAsNonRoot: true
    runAsUser: 65532
    runAsGroup: 65532
    fsGroup: 65532
    seccompProfile: {type: RuntimeDefault}
  {{- if $broker }}
  topologySpreadConstraints:
    # Zones first: the loss of one takes its share and no more. A full zone must not keep a
    # pod from starting in the middle of a spike: ledgers and front-ends anywhere beat none.
    {{- range $key := list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
    - maxSkew: 1
      topologyKey: {{ $key }}
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels:
          {{- include "spillway.select" (dict "root" $.root "role" $role) | nindent 10 }}
    {{- end }}
  {{- end }}
  {{- with $v.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $v.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  containers:
    - name: {{ $role }}
      image: {{ include "spillway.image" .root }}
      imagePullPolicy: {{ $v.image.pullPolicy }}
      args: [{{ $role }}]
      securityContext:
        allowPrivilegeEscalation: false
        privileged: false
        readOnlyRootFilesystem: true
        capabilities: {drop: [ALL]}
      env:
        - {name: SPILLWAY_LOG_FORMAT, value: json}
        {{- if $broker }}
        - {name: SPILLWAY_OPS_LISTEN, value: "0.0.0.0:8081"}
        - {name: SPILLWAY_SHARDS, value: {{ $v.shards | quote }}}
        - {name: SPILLWAY_REPLICAS, value: {{ $v.replicas | quote }}}
        - {name: SPILLWAY_NATS_URL_FILE, value: /run/spillway/broker/nats-url}
        {{- if $v.brokerCA }}
        - {name: SPILLWAY_NATS_CA, value: /run/spillway/broker-ca/ca.crt}
        {{- end }}
        {{- end }}
        {{- if $database }}
        - {name: SPILLWAY_DATABASE_URL_FILE, value: /run/spillway/database/database-url}
        {{- end }}
        {{- if $installation }}
        - {name: SPILLWAY_SECRETS, value: /run/spillway/installation/secrets.json}
        {{- end }}
        {{- if $webhooks }}
        - {name: SPILLWAY_STRIPE_WEBHOOK_SECRETS_FILE, value: /run/spillway/webhooks/webhook-secrets}
        {{- end }}
        {{- if eq $role "ingest" }}
        - {name: SPILLWAY_LISTEN, value: "0.0.0.0:8080"}
        - {name: SPILLWAY_PUBLIC_URL, value: {{ $v.publicURL | quote }}}
        - {name: SPILLWAY_STRIPE_PUBLISHABLE_KEY, value: {{ $v.stripePublishableKey | quote }}}
        - {name: SPILLWAY_TRUSTED_PROXY, value: {{ join "," $v.network.proxyCIDRs | quote }}}
        # /readyz says no for so long while everything is answered: endpoints and proxies notice.
        - {name: SPILLWAY_DRAIN_WAIT, value: {{ printf "%ds" (int $v.ingest.drainSeconds) | quote }}}
        {{- else if eq $role "payments" }}
        - {name: SPILLWAY_STRIPE_KEY_FILE, value: /run/spillway/processor/stripe-key}
        {{- else if eq $role "admin" }}
        - {name: SPILLWAY_ADMIN_LISTEN, value: "0.0.0.0:8082"}
        - {name: SPILLWAY_ADMIN_TRUSTED_PROXY, value: {{ join "," $v.network.proxyCIDRs | quote }}}
        {{- end }}
        {{- if and $v.traces.endpoint (has $role (list "ingest" "ledger" "payments")) }}
        - {name: SPILLWAY_TRACE_ENDPOINT, value: {{ $v.traces.endpoint | quote }}}
        - {name: SPILLWAY_TRACE_PART, value: {{ $v.traces.part | quote }}}
        {{- end }}
        {{- range $name, $value := $conf.env }}
        - {name: {{ $name }}, value: {{ $value | quote }}}
        {{- end }}
      {{- if $broker }}
      ports:
        {{- if eq $role "ingest" }}
        - {name: http, containerPort: 8080}
        {{- else if eq $role "admin" }}
        - {name: console, containerPort: 8082}
        {{- end }}
        - {name: ops, containerPort: 8081}
      # The operators' listener answers: a flood of donors must not look like a death.
      startupProbe:
        httpGet: {path: /healthz, port: ops}
        periodSeconds: 2
        failureThreshold: 60
      livenessProbe:
        httpGet: {path: /healthz, port: ops}
        periodSeconds: 10
        timeoutSeconds: 5
        failureThreshold: 6
      readinessProbe:
        httpGet: {path: /readyz, port: ops}
        periodSeconds: 2
        timeoutSeconds: 2
        failureThreshold: 2
      {{- end }}
      resources:
        {{- toYaml $conf.resources | nindent 8 }}
      volumeMounts:
        {{- if $broker }}
        - {name: broker, mountPath: /run/spillway/broker, readOnly: true}
        {{- if $v.brokerCA }}
        - {name: broker-ca, mountPath: /run/spillway/broker-ca, readOnly: true}
        {{- end }}
        {{- end }}
        {{- if $database }}
        - {name: database, mountPath: /run/spillway/database, readOnly: true}
        {{- end }}
        {{- if $installation }}
        - {name: installation, mountPath: /run/spillway/installation, readOnly: true}
        {{- end }}
        {{- if $webhooks }}
        - {name: webhooks, mountPath: /run/spillway/webhooks, readOnly: true}
        {{- end }}
        {{- if eq $role "payments" }}
        - {name: processor, mountPath: /run/spillway/processor, readOnly: true}
        {{- end }}
  volumes:
    {{- if $broker }}
    - name: broker
      secret: {secretName: {{ index $v.secrets.broker $role }}, defaultMode: 0440}
    {{- if $v.brokerCA }}
    - name: broker-ca
      secret: {secretName: {{ $v.brokerCA }}, defaultMode: 0440, items: [{key: ca.crt, path: ca.crt}]}
    {{- end }}
    {{- end }}
    {{- if $database }}
    {{- $secret := fromYaml (include "spillway.databaseSecret" .) }}
    - name: database
      secret: {secretName: {{ $secret.name }}, defaultMode: 0440, items: [{key: {{ $secret.key }}, path: database-url}]}
    {{- end }}
    {{- if $installation }}
    - name: installation
      secret: {secretName: {{ $v.secrets.installation }}, defaultMode: 0440, items: [{key: secrets.json, path: secrets.json}]}
    {{- end }}
    {{- if $webhooks }}
    - name: webhooks
      secret: {secretName: {{ $v.secrets.processor }}, defaultMode: 0440, items: [{key: webhook-secrets, path: webhook-secrets}]}
    {{- end }}
    {{- if eq $role "payments" }}
    - name: processor
      secret: {secretName: {{ $v.secrets.processor }}, defaultMode: 0440, items: [{key: stripe-key, path: stripe-key}]}
    {{- end }}
{{- end -}}
