{{/* Pod settings that are the same for every workload. Takes (dict "root" $ "values" WORKLOAD). */}}
{{- define "store.podSettings" -}}
{{- include "store.podIdentity" . }}
{{- with .values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.topologySpreadConstraints }}
topologySpreadConstraints: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Service links are off: a Service named wordpress would put WORDPRESS_PORT into the environment. */}}
{{- define "store.podIdentity" -}}
{{- if or .root.Values.serviceAccount.create (ne .root.Values.serviceAccount.name "store") }}
serviceAccountName: {{ .root.Values.serviceAccount.name }}
{{- end }}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  runAsNonRoot: true
  {{- toYaml .values.podSecurityContext | nindent 2 }}
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
{{- end }}

{{/* Takes (dict "readOnly" BOOL). */}}
{{- define "store.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  privileged: false
  readOnlyRootFilesystem: {{ .readOnly }}
  runAsNonRoot: true
  capabilities: {drop: [ALL]}
  seccompProfile: {type: RuntimeDefault}
{{- end }}

{{/* A variable from the Secret, as a file's path or as its value.
Takes (dict "root" $ "name" ENVIRONMENT-NAME "key" KEY). */}}
{{- define "store.secretVariable" -}}
{{- if eq .root.Values.credentials.delivery "file" }}
- name: {{ .name }}_FILE
  value: /run/secrets/store/{{ .key }}
{{- else }}
- name: {{ .name }}
  valueFrom:
    secretKeyRef:
      name: {{ include "store.secretName" .root }}
      key: {{ .key }}
{{- end }}
{{- end }}

{{/* The Secret's volume with the named keys only. Takes (dict "root" $ "keys" LIST). */}}
{{- define "store.secretVolume" -}}
{{- if eq .root.Values.credentials.delivery "file" }}
- name: credentials
  secret:
    secretName: {{ include "store.secretName" .root }}
    defaultMode: 0440
    items:
      {{- range .keys }}
      - {key: {{ . }}, path: {{ . }}}
      {{- end }}
{{- end }}
{{- end }}

{{- define "store.secretMount" -}}
{{- if eq .Values.credentials.delivery "file" }}
- {name: credentials, mountPath: /run/secrets/store, readOnly: true}
{{- end }}
{{- end }}

{{/* Writable folders over a read-only image. */}}
{{- define "store.scratchMounts" -}}
{{- range . }}
- {name: scratch, mountPath: {{ . }}, subPath: {{ trimPrefix "/" . | replace "/" "-" }}}
{{- end }}
{{- end }}

{{- define "store.claim" -}}
{{- $root := .root }}
{{- $values := .values }}
apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  name: {{ .name }}
  labels: {{- include "store.labels" (dict "root" $root "component" .component) | nindent 4 }}
  {{- with include "store.annotations" (dict "root" $root "extra" $values.annotations "kept" true) }}
  {{- . | nindent 2 }}
  {{- end }}
spec:
  accessModes: {{- toYaml $values.accessModes | nindent 4 }}
  {{- if not (kindIs "invalid" $values.storageClass) }}
  storageClassName: {{ $values.storageClass | quote }}
  {{- end }}
  resources:
    requests:
      storage: {{ $values.size }}
{{- end }}
