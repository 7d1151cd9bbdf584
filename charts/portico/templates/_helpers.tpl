{{- define "portico.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "portico.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains (include "portico.name" .) .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "portico.name" .) | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "portico.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/name: {{ include "portico.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: portico
{{- end -}}

{{- define "portico.selector" -}}
app.kubernetes.io/name: {{ include "portico.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end -}}

{{/* Of all gateways of this release. */}}
{{- define "portico.gatewaySelector" -}}
app.kubernetes.io/name: {{ include "portico.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: gateway
{{- end -}}

{{- define "portico.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "portico.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "portico.lease" -}}
{{- default (include "portico.fullname" .) .Values.lease.name -}}
{{- end -}}

{{/* The host by which Envoys know Portico. */}}
{{- define "portico.host" -}}
{{- printf "%s.%s.svc" (include "portico.fullname" .) .Release.Namespace -}}
{{- end -}}

{{/* Call with (list IMAGE DEFAULT-TAG). */}}
{{- define "portico.image" -}}
{{- $image := index . 0 -}}
{{- $name := $image.repository -}}
{{- if $image.registry -}}{{- $name = printf "%s/%s" $image.registry $name -}}{{- end -}}
{{- if $image.digest -}}
{{- printf "%s@%s" $name $image.digest -}}
{{- else -}}
{{- printf "%s:%s" $name (default (index . 1) $image.tag) -}}
{{- end -}}
{{- end -}}

{{/* Namespaces where Secrets may be written, as a JSON list. */}}
{{- define "portico.secretNamespaces" -}}
{{- toJson (.Values.rbac.secrets.namespaces | default (list .Release.Namespace) | uniq) -}}
{{- end -}}

{{/* Namespaces where Secrets may only be read, as a JSON list. */}}
{{- define "portico.secretReadNamespaces" -}}
{{- $read := list -}}
{{- range .Values.rbac.secrets.readNamespaces -}}
{{- if not (has . (include "portico.secretNamespaces" $ | fromJsonArray)) -}}{{- $read = append $read . -}}{{- end -}}
{{- end -}}
{{- toJson ($read | uniq) -}}
{{- end -}}

{{/* The Secret with the certificate of Portico. */}}
{{- define "portico.serverSecret" -}}
{{- if eq .Values.xds.tls.mode "existing" -}}
{{- required "xds.tls.existing.server: name the Secret with tls.crt, tls.key and ca.crt that Portico shows to Envoys" .Values.xds.tls.existing.server -}}
{{- else -}}
{{- printf "%s-xds" (include "portico.fullname" .) -}}
{{- end -}}
{{- end -}}

{{/* The Secret with the certificate of the gateways. */}}
{{- define "portico.clientSecret" -}}
{{- if eq .Values.xds.tls.mode "existing" -}}
{{- if and .Values.gateways (not .Values.xds.tls.existing.client) -}}
{{- fail "xds.tls.existing.client: name the Secret with tls.crt, tls.key and ca.crt that the gateways show to Portico" -}}
{{- end -}}
{{- .Values.xds.tls.existing.client -}}
{{- else -}}
{{- printf "%s-xds-client" (include "portico.fullname" .) -}}
{{- end -}}
{{- end -}}

{{- define "portico.podSecurity" -}}
runAsNonRoot: true
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "portico.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{/* What the operator may do, but for Secrets. */}}
{{- define "portico.operatorRules" -}}
- apiGroups: [portico.dev]
  resources: [{{ include "portico.kinds" . }}]
  verbs: [get, list, watch]
- apiGroups: [portico.dev]
  resources:
    {{- range include "portico.kinds" . | splitList ", " }}
    - {{ . }}/status
    {{- end }}
  verbs: [patch, update]
# The finalizer of what has to wait when it is deleted.{{ if .Values.admission.enabled }} An admission policy lets the operator write nothing else there.{{ end }}
- apiGroups: [portico.dev]
  resources: [apiproducts, plans]
  verbs: [patch]
# Subscriptions that go with their plan (deletionPolicy: Cascade).
- apiGroups: [portico.dev]
  resources: [subscriptions]
  verbs: [delete]
# Where owner references need it: the Secret of a key belongs to its Credential.
- apiGroups: [portico.dev]
  resources: [credentials/finalizers]
  verbs: [update]
# OpenAPI documents.
- apiGroups: [""]
  resources: [configmaps]
  verbs: [get, list, watch]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end -}}

{{- define "portico.kinds" -}}
apiproducts, applications, approvals, credentials, developers, environments, plans, portals, subscriptions, teams
{{- end -}}

{{- define "portico.secretRules" -}}
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, list, watch, create, update, delete]
{{- end -}}

{{- define "portico.secretReadRules" -}}
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, list, watch]
{{- end -}}

{{- define "portico.subject" -}}
- kind: ServiceAccount
  name: {{ include "portico.serviceAccount" . }}
  namespace: {{ .Release.Namespace }}
{{- end -}}

{{/* The version of MutatingAdmissionPolicy: that of the cluster, or, where there is none to ask, of its Kubernetes. */}}
{{- define "portico.mutatingVersion" -}}
{{- $group := "admissionregistration.k8s.io" -}}
{{- $asked := .Capabilities.APIVersions.Has "v1/Secret" -}}
{{- $version := .Capabilities.KubeVersion.Version -}}
{{- if or (.Capabilities.APIVersions.Has (printf "%s/v1/MutatingAdmissionPolicy" $group)) (and (not $asked) (semverCompare ">=1.36.0-0" $version)) -}}
v1
{{- else if .Capabilities.APIVersions.Has (printf "%s/v1beta1/MutatingAdmissionPolicy" $group) -}}
v1beta1
{{- else -}}
{{- fail "this cluster has no MutatingAdmissionPolicy; Kubernetes has it since 1.36. With admission.stamp=false, people write spec.by of an Approval themselves, and what is not true is refused" -}}
{{- end -}}
{{- end -}}

{{/* Who decided an Approval: whoever wrote what it says now, but for accounts that write what others decided in Git. */}}
{{- define "portico.decisionVariables" -}}
{{- $who := index . 0 }}
{{- $same := index . 1 }}
{{- $isExempt := index . 2 -}}
- name: who
  expression: {{ $who | quote }}
- name: isExempt
  expression: {{ $isExempt | quote }}
- name: same
  expression: {{ $same | quote }}
- name: given
  expression: "object.metadata.?annotations['portico.dev/decided-by'].orValue('')"
- name: givenGroups
  expression: "object.metadata.?annotations['portico.dev/decided-by-groups'].orValue('')"
- name: before
  expression: "oldObject.?metadata.annotations['portico.dev/decided-by'].orValue('')"
- name: beforeGroups
  expression: "oldObject.?metadata.annotations['portico.dev/decided-by-groups'].orValue('')"
- name: decider
  expression: "variables.same ? variables.before : variables.isExempt ? '' : variables.who"
- name: groups
  expression: >-
    variables.same ? variables.beforeGroups : variables.isExempt || !has(request.userInfo.groups) ? ''
    : request.userInfo.groups.join('\n')
{{- end }}
