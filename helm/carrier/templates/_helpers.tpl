{{/* Names begin with the release's, but for a release called carrier. */}}
{{- define "carrier.name" -}}
{{- if eq .Release.Name "carrier" -}}carrier{{- else -}}{{ printf "carrier-%s" .Release.Name | trunc 40 | trimSuffix "-" }}{{- end -}}
{{- end -}}

{{- define "carrier.injector" -}}{{ include "carrier.name" . }}-injector{{- end -}}

{{- define "carrier.controller" -}}{{ include "carrier.name" . }}-controller{{- end -}}

{{- define "carrier.caSecret" -}}{{ include "carrier.name" . }}-ca{{- end -}}

{{/* Webhooks are called in the order of their configurations' names. Behind the others ours sees what they added, and has the
     last word where an old one strips restartPolicy from init containers. */}}
{{- define "carrier.webhook" -}}z-{{ include "carrier.injector" . }}{{- end -}}

{{- define "carrier.certificateSecret" -}}
{{- .Values.injector.certificateSecret | default (printf "%s-tls" (include "carrier.injector" .)) -}}
{{- end -}}

{{- define "carrier.labels" -}}
app.kubernetes.io/name: carrier
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{/* prefix/name:tag, or prefix/name@digest: (list . "operator" digest) */}}
{{- define "carrier.image" -}}
{{- $root := index . 0 -}}{{- $name := index . 1 -}}{{- $digest := index . 2 -}}
{{- $reference := printf "%s/%s" (trimSuffix "/" $root.Values.images.prefix) $name -}}
{{- if $digest -}}{{ $reference }}@{{ $digest }}{{- else -}}{{ $reference }}:{{ $root.Values.images.tag | default $root.Chart.AppVersion }}{{- end -}}
{{- end -}}

{{/* What injector and controller must know alike, as environment variables. */}}
{{- define "carrier.sharedEnv" -}}
- name: CARRIER_OPERATOR_SIDECAR_IMAGE
  value: {{ include "carrier.image" (list . "sidecar" .Values.images.sidecarDigest) | quote }}
- name: CARRIER_OPERATOR_SIDECAR_PULL_POLICY
  value: {{ .Values.images.sidecarPullPolicy | quote }}
- name: CARRIER_OPERATOR_NATIVE_SIDECARS
  value: {{ .Values.nativeSidecars | quote }}
- name: CARRIER_OPERATOR_ALLOWED_IMAGES
  value: {{ join "," .Values.policy.allowedImages | quote }}
- name: CARRIER_OPERATOR_ALLOW_ENV_FROM
  value: {{ .Values.policy.allowEnvFrom | quote }}
- name: CARRIER_OPERATOR_ALLOWED_ENV
  value: {{ join "," .Values.policy.allowedEnv | quote }}
- name: CARRIER_OPERATOR_ALLOWED_URLS
  value: {{ join "," .Values.policy.allowedUrls | quote }}
- name: CARRIER_OPERATOR_ALLOW_VOLUME_MOUNTS
  value: {{ .Values.policy.allowVolumeMounts | quote }}
- name: CARRIER_OPERATOR_LOG_LEVEL
  value: {{ .Values.logLevel | quote }}
{{- end -}}

{{- define "carrier.podSecurity" -}}
runAsNonRoot: true
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "carrier.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{/* Namespaces that pods are injected in, as matchExpressions. Where the webhook does not look no pod may be refused either. */}}
{{- define "carrier.injectedNamespaces" -}}
- key: kubernetes.io/metadata.name
  operator: NotIn
  values:
    {{- range concat (list "kube-system" "kube-node-lease" .Release.Namespace) .Values.webhook.excludedNamespaces | uniq }}
    - {{ . | quote }}
    {{- end }}
- key: {{ .Values.webhook.optOutLabel | quote }}
  operator: NotIn
  values: [disabled]
{{- end -}}
