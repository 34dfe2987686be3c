{{- define "framebus.fullname" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Of (dict "root" $ "component" "consumer"); producers add "name". */}}
{{- define "framebus.selector" -}}
app.kubernetes.io/name: {{ .root.Chart.Name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- with .name }}
framebus/producer: {{ . }}
{{- end }}
{{- end -}}

{{- define "framebus.labels" -}}
{{ include "framebus.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end -}}

{{- define "framebus.image" -}}
{{- $image := .root.Values.image -}}
{{- with $image.registry }}{{ trimSuffix "/" . }}/{{ end -}}
{{ .image }}:{{ $image.tag | default .root.Chart.AppVersion }}
{{- end -}}

{{- define "framebus.secretName" -}}
{{- .Values.secrets.existingSecret | default (include "framebus.fullname" .) -}}
{{- end -}}

{{/* The bus as one program reaches it, as YAML: what its own `kafka` says wins. */}}
{{- define "framebus.kafka" -}}
{{- $kafka := mergeOverwrite (deepCopy .root.Values.kafka) (deepCopy (.settings.kafka | default dict)) -}}
{{- if not $kafka.bootstrapServers -}}
{{- fail "kafka.bootstrapServers is missing: host:port of your brokers, comma-separated; Kafka is not part of this chart" -}}
{{- end -}}
{{- if and $kafka.sasl.mechanism (not (and $kafka.sasl.username $kafka.sasl.password.secretName)) -}}
{{- fail (printf "kafka.sasl.mechanism is %s: set username and password.secretName, too" $kafka.sasl.mechanism) -}}
{{- end -}}
{{- if and (or $kafka.tls.ca.secretName $kafka.tls.client.secretName) (not $kafka.tls.enabled) -}}
{{- fail "kafka.tls names a Secret, and would not be used: set kafka.tls.enabled to true" -}}
{{- end -}}
{{- toYaml $kafka -}}
{{- end -}}

{{/* librdkafka's options for it, as JSON. The files are those of framebus.kafkaFiles. */}}
{{- define "framebus.kafkaOptions" -}}
{{- $tls := .tls.enabled -}}
{{- $sasl := .sasl.mechanism -}}
{{- $options := dict -}}
{{- if or $tls $sasl -}}
{{- $_ := set $options "security.protocol" (ternary (ternary "SASL_SSL" "SSL" (not (empty $sasl))) "SASL_PLAINTEXT" $tls) -}}
{{- end -}}
{{- if .tls.ca.secretName -}}
{{- $_ := set $options "ssl.ca.location" "/etc/framebus/kafka/ca.crt" -}}
{{- end -}}
{{- if .tls.client.secretName -}}
{{- $_ := set $options "ssl.certificate.location" "/etc/framebus/kafka/user.crt" -}}
{{- $_ := set $options "ssl.key.location" "/etc/framebus/kafka/user.key" -}}
{{- end -}}
{{- if $sasl -}}
{{- $_ := set $options "sasl.mechanism" $sasl -}}
{{- $_ := set $options "sasl.username" .sasl.username -}}
{{- $_ := set $options "sasl.password.file" "/etc/framebus/kafka/password" -}}
{{- end -}}
{{- merge (deepCopy .options) $options | toJson -}}
{{- end -}}

{{- define "framebus.kafkaFiles" -}}
{{- if .tls.ca.secretName }}
- secret: {name: {{ .tls.ca.secretName }}, items: [{key: {{ .tls.ca.key }}, path: ca.crt}]}
{{- end }}
{{- if .tls.client.secretName }}
- secret:
    name: {{ .tls.client.secretName }}
    items: [{key: {{ .tls.client.cert }}, path: user.crt}, {key: {{ .tls.client.key }}, path: user.key}]
{{- end }}
{{- if .sasl.mechanism }}
- secret: {name: {{ .sasl.password.secretName }}, items: [{key: {{ .sasl.password.key }}, path: password}]}
{{- end }}
{{- end -}}

{{/* The topics of frames that have a name, as a JSON list: those of routes, and those of producers. */}}
{{- define "framebus.frameTopics" -}}
{{- $topics := list -}}
{{- range .Values.routes -}}
{{- if not (hasPrefix "^" .topic) -}}{{- $topics = append $topics .topic -}}{{- end -}}
{{- end -}}
{{- range .Values.producers -}}
{{- with .topic -}}{{- $topics = append $topics . -}}{{- end -}}
{{- end -}}
{{- $topics | uniq | toJson -}}
{{- end -}}

{{/* What frames of each model come from, as JSON: {"model": ["topic", ...]}. */}}
{{- define "framebus.topicsOfModels" -}}
{{- $models := dict -}}
{{- range $route := .Values.routes -}}
{{- range $route.models -}}
{{- $_ := set $models . (append (get $models . | default list) $route.topic) -}}
{{- end -}}
{{- end -}}
{{- $models | toJson -}}
{{- end -}}
