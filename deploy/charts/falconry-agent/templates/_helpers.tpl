{{- define "falconry.labels" -}}
{"app.kubernetes.io/name": "falconry-agent", "app.kubernetes.io/managed-by": {{ toJson .Release.Service }}, "app.kubernetes.io/part-of": "falconry"}
{{- end }}

{{- define "falconry.annotations" -}}
{"falconry/cluster": {{ toJson .Values.cluster.name }}}
{{- end }}

{{- /* The audit log as whoever reads it calls it: the agent, or the Fluent Bit that ships for it. */ -}}
{{- define "falconry.auditLog" -}}
{{- if not .Values.fluentBit.enabled -}}
/var/log/falconry-audit/{{ base .Values.auditLog }}
{{- else if .Values.fluentBit.auditLog -}}
{{ .Values.fluentBit.auditLog }}
{{- else -}}
{{ .Values.auditLog }}
{{- end -}}
{{- end }}

{{- /* What no signature can widen: which files a shipper config may read on the nodes, and where it may send. */ -}}
{{- define "falconry.allowList" -}}
{"tailDirectories":[{{ include "falconry.auditLog" . | dir | toJson }}],"destinations":[
{{- range $i, $each := .Values.destinations }}{{ if $i }},{{ end }}{"host":{{ toJson $each.host }},"port":{{ int $each.port }},"tls":"required"}{{ end -}}
],"listen":[{{ if .Values.monitoring.enabled }}{"host":"0.0.0.0","port":2020}{{ end }}]{{ if .Values.outputs.secretName }},"secretDirectories":["/etc/falconry/secrets"]{{ end }}}
{{- end }}

{{- define "falconry.collector" -}}
{{- if .tls }}https{{ else }}http{{ end }}://{{ if contains ":" .host }}[{{ .host }}]{{ else }}{{ .host }}{{ end }}:{{ int .port }}
{{- end }}

{{- define "falconry.records" -}}
http://{{ if contains ":" .host }}[{{ .host }}]{{ else }}{{ .host }}{{ end }}:{{ int .port }}{{ .path }}
{{- end }}

{{- /* Where a host may be: its address, and any but link-local ones for a name. */ -}}
{{- define "falconry.peers" -}}
{{- if contains ":" .host -}}
[{"ipBlock": {"cidr": "{{ .host }}/128"}}]
{{- else if regexMatch "^[0-9]+[.][0-9]+[.][0-9]+[.][0-9]+$" .host -}}
[{"ipBlock": {"cidr": "{{ .host }}/32"}}]
{{- else -}}
[{"ipBlock": {"cidr": "0.0.0.0/0", "except": ["169.254.0.0/16"]}}, {"ipBlock": {"cidr": "::/0", "except": ["fe80::/10"]}}]
{{- end -}}
{{- end }}
