{{/* Every name is fixed: the namespace is the store's own, and what runs the set-up finds them by name. */}}

{{/* Labels of an object. Takes (dict "root" $ "component" NAME). The chart's version stays out of
pod templates and selectors, where a new one would restart or refuse the workload. */}}
{{- define "store.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{ include "store.podLabels" . }}
{{- end }}

{{- define "store.podLabels" -}}
{{ include "store.selector" . }}
storeplane.dev/engine: {{ .root.Values.engine }}
{{- with .root.Values.store.id }}
storeplane.dev/store-id: {{ . | quote }}
{{- end }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "store.selector" -}}
app.kubernetes.io/part-of: ecommerce-store
app.kubernetes.io/name: {{ .component }}
{{- end }}

{{/* Object annotations. Takes (dict "root" $ "extra" MAP "kept" BOOL). */}}
{{- define "store.annotations" -}}
{{- $all := mergeOverwrite (dict) .root.Values.commonAnnotations (.extra | default dict) }}
{{- if and .kept (eq .root.Values.dataPolicy "retain") }}
{{- $_ := set $all "helm.sh/resource-policy" "keep" }}
{{- end }}
{{- with $all }}
{{- dict "annotations" . | toYaml }}
{{- end }}
{{- end }}

{{- define "store.image" -}}
{{- $name := .repository }}
{{- with .registry }}{{ $name = printf "%s/%s" . $name }}{{ end }}
{{- if .digest }}{{ printf "%s@%s" $name .digest }}{{ else }}{{ printf "%s:%s" $name .tag }}{{ end }}
{{- end }}

{{- define "store.secretName" -}}
{{ .Values.existingSecret | default "store-credentials" }}
{{- end }}

{{- define "store.url" -}}
{{- $scheme := ternary "https" "http" .Values.ingress.tls.enabled }}
{{- .Values.store.url | default (printf "%s://%s" $scheme .Values.store.host) }}
{{- end }}

{{/* Environment name -> key of the Secret, for WordPress' keys and salts. */}}
{{- define "store.wordpressSalts" -}}
WORDPRESS_AUTH_KEY: wordpress-auth-key
WORDPRESS_SECURE_AUTH_KEY: wordpress-secure-auth-key
WORDPRESS_LOGGED_IN_KEY: wordpress-logged-in-key
WORDPRESS_NONCE_KEY: wordpress-nonce-key
WORDPRESS_AUTH_SALT: wordpress-auth-salt
WORDPRESS_SECURE_AUTH_SALT: wordpress-secure-auth-salt
WORDPRESS_LOGGED_IN_SALT: wordpress-logged-in-salt
WORDPRESS_NONCE_SALT: wordpress-nonce-salt
{{- end }}

{{/* Environment name -> key of the Secret, for Medusa's pods. */}}
{{- define "store.medusaSecrets" -}}
COOKIE_SECRET: medusa-cookie-secret
JWT_SECRET: medusa-jwt-secret
POSTGRES_PASSWORD: postgres-password
REDIS_PASSWORD: redis-password
{{- end }}

{{/* The workload and Service that visitors reach. */}}
{{- define "store.frontend" -}}
{{- ternary "medusa-server" "wordpress" (eq .Values.engine "medusa") }}
{{- end }}
