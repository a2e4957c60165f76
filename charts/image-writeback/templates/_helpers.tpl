{{- define "image-writeback.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "image-writeback.fullname" -}}
{{- $name := include "image-writeback.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "image-writeback.selectorLabels" -}}
app.kubernetes.io/name: {{ include "image-writeback.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "image-writeback.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{ include "image-writeback.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: argocd
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- define "image-writeback.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "image-writeback.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- required "set serviceAccount.name, since serviceAccount.create is false" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "image-writeback.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{/* config.yaml: config, plus the GitHub App from github.app, and Leases. */}}
{{- define "image-writeback.config" -}}
{{- $config := deepCopy .Values.config -}}
{{- $app := .Values.github.app -}}
{{- if $app.id -}}
{{- if dig "github" "app" "id" 0 $config -}}
{{- fail "github.app.id and config.github.app.id are both set; use github.app alone" -}}
{{- end -}}
{{- $_ := required "github.app.privateKeySecret is needed: set it to the name of a Secret with the key privateKey; to create one, run kubectl create secret generic NAME --from-file=privateKey=app.pem" $app.privateKeySecret -}}
{{- $github := dict "app" (dict "id" (int64 $app.id) "installationID" (int64 $app.installationID) "privateKeyFile" "/etc/image-writeback/github/privateKey") -}}
{{- $config = mustMergeOverwrite $config (dict "github" $github) -}}
{{- end -}}
{{- if .Values.events.types -}}
{{- $_ := required "events.secret is needed: set it to the name of a Secret with a key for each of events.types; to create one, run kubectl create secret generic NAME --from-literal=ghcr.io=…" .Values.events.secret -}}
{{- $files := dict -}}
{{- range .Values.events.types -}}
{{- $_ := set $files . (printf "/etc/image-writeback/events/%s" .) -}}
{{- end -}}
{{- $config = mustMerge $config (dict "events" (dict "listen" ":8082" "secretFiles" $files)) -}}
{{- end -}}
{{- $defaults := dict "leaderElection" (dict "enabled" true "name" (include "image-writeback.fullname" .)) -}}
{{- $_ := set $defaults "shutdownTimeout" (printf "%ds" (max 1 (sub (int64 .Values.terminationGracePeriodSeconds) 5))) -}}
{{- mustMerge $config $defaults | toYaml -}}
{{- end -}}

{{- define "image-writeback.leases" -}}
{{- if dig "leaderElection" "enabled" true .Values.config -}}
{{- dig "leaderElection" "namespace" "" .Values.config | default .Release.Namespace -}}
{{- end -}}
{{- end -}}

{{- define "image-writeback.argocdNamespace" -}}
{{- dig "argocd" "namespace" "" .Values.config | default .Release.Namespace -}}
{{- end -}}

{{/* The ports of web.listen and web.metricsListen. */}}
{{- define "image-writeback.port" -}}
{{- dig "web" "listen" ":8080" .Values.config | regexFind "[0-9]+$" | required "config.web.listen must be an address such as :8080, since the probes need it" -}}
{{- end -}}
{{- define "image-writeback.metricsPort" -}}
{{- dig "web" "metricsListen" "" .Values.config | regexFind "[0-9]+$" -}}
{{- end -}}

{{/* The port of events.listen; empty if no webhooks are served. */}}
{{- define "image-writeback.eventsPort" -}}
{{- $default := ternary ":8082" "" (not (empty .Values.events.types)) -}}
{{- dig "events" "listen" $default .Values.config | default $default | regexFind "[0-9]+$" -}}
{{- end -}}

{{/* The Secrets that are read by name, as NAMESPACE: [NAME…]: from secrets, config.registries and config.annotations. */}}
{{- define "image-writeback.secrets" -}}
{{- $all := dict -}}
{{- range .Values.secrets -}}
{{- $_ := set $all .namespace (append (dig .namespace list $all) .name) -}}
{{- end -}}
{{- range .Values.config.registries -}}
{{- if regexMatch "^(secret|pullsecret):" (default "" .credentials) -}}
{{- $at := .credentials | regexFind "[^:]+/[^#]+" | splitList "/" -}}
{{- if eq (len $at) 2 -}}
{{- $_ := set $all (first $at) (append (dig (first $at) list $all) (last $at)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- range dig "annotations" "secrets" list .Values.config -}}
{{- $at := splitList "/" .secret -}}
{{- if eq (len $at) 2 -}}
{{- $_ := set $all (first $at) (append (dig (first $at) list $all) (last $at)) -}}
{{- end -}}
{{- end -}}
{{- toYaml $all -}}
{{- end -}}

{{/* The rights on Applications, ImageUpdaters and Events. */}}
{{- define "image-writeback.applicationRules" -}}
- apiGroups: [argoproj.io]
  resources: [applications]
  verbs: [list, watch{{ if or (has "argocd" .Values.writeBackMethods) (eq "argocd" (dig "defaults" "writeBackMethod" "" .Values.config)) }}, get, patch{{ end }}]
- apiGroups: [argocd-image-updater.argoproj.io]
  resources: [imageupdaters]
  verbs: [list, watch]
- apiGroups: [""]
  resources: [events]
  verbs: [create]
{{- end -}}

{{/* A Role and its binding: (dict "root" . "namespace" … "name" … "rules" …). */}}
{{- define "image-writeback.role" -}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: {{ .name }}
  namespace: {{ .namespace }}
  labels: {{- include "image-writeback.labels" .root | nindent 4 }}
rules:
{{ .rules }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: {{ .name }}
  namespace: {{ .namespace }}
  labels: {{- include "image-writeback.labels" .root | nindent 4 }}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: {{ .name }}}
subjects: [{kind: ServiceAccount, name: {{ include "image-writeback.serviceAccountName" .root }}, namespace: {{ .root.Release.Namespace }}}]
{{ end -}}
