{{/* What a schema cannot say: settings that only fail together. */}}
{{- define "store.validate" -}}
{{- if not .Values.store.host }}
{{- fail "store.host is required: the host name the store answers at, for example shop.example.com" }}
{{- end }}
{{- if gt (int .Values.autoscaling.minReplicas) (int .Values.autoscaling.maxReplicas) }}
{{- fail "autoscaling.minReplicas is greater than autoscaling.maxReplicas" }}
{{- end }}
{{- if and .Values.httpRoute.enabled (not .Values.httpRoute.parentRefs) }}
{{- fail "httpRoute.enabled needs httpRoute.parentRefs: the Gateway that serves the store" }}
{{- end }}
{{- if eq .Values.engine "woocommerce" }}
{{- include "store.validateWooCommerce" . }}
{{- else if not .Values.medusa.image.repository }}
{{- fail "engine medusa needs medusa.image.repository: Medusa publishes no image, it is built from a project of your own" }}
{{- end }}
{{- end }}

{{- define "store.validateWooCommerce" -}}
{{- $wordpress := .Values.wordpress }}
{{- $shared := has "ReadWriteMany" $wordpress.persistence.accessModes }}
{{- if and $wordpress.persistence.enabled (not $shared) (or .Values.autoscaling.enabled (gt (int $wordpress.replicas) 1)) }}
{{- fail "more than one WordPress pod needs wordpress.persistence.accessModes: [ReadWriteMany], or they cannot share their files" }}
{{- end }}
{{- if and (not $wordpress.persistence.enabled) (or .Values.autoscaling.enabled (gt (int $wordpress.replicas) 1)) }}
{{- fail "more than one WordPress pod needs wordpress.persistence.enabled: each would keep uploads of its own" }}
{{- end }}
{{- if and .Values.metrics.enabled (not $wordpress.apache.manageConfig) }}
{{- fail "metrics.enabled needs wordpress.apache.manageConfig: the exporter reads Apache's status page, which the managed configuration serves" }}
{{- end }}
{{- if not .Values.mariadb.enabled }}
{{- if not .Values.externalDatabase.host }}
{{- fail "mariadb.enabled is false: externalDatabase.host is required" }}
{{- end }}
{{- if not .Values.existingSecret }}
{{- fail "mariadb.enabled is false: existingSecret is required, with the database's password under mariadb-password" }}
{{- end }}
{{- if and .Values.networkPolicy.enabled (not .Values.externalDatabase.peers) }}
{{- fail "mariadb.enabled is false: externalDatabase.peers is required, for example [{ipBlock: {cidr: 203.0.113.7/32}}], or the policy would keep WordPress from its database" }}
{{- end }}
{{- end }}
{{- end }}
