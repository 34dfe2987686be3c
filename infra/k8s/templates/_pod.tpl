{{/*
A pod of one container, of a dict:
  root, component, name: as for labels
  settings: the program's values
  image, args, port: what runs; port 0: it serves none
  env: settings that the chart makes; what users set wins
  podIp: whether $(POD_IP) is needed
  volumes: beside /tmp and Kafka's files, each with name, path and source
  threads: settings that are as many as the CPUs of the limit
  resources, tolerations, runtimeClassName, restartPolicy, annotations
  graceSeconds, stop: how it ends
*/}}
{{- define "framebus.pod" -}}
{{- $kafka := include "framebus.kafka" . | fromYaml -}}
{{- $options := include "framebus.kafkaOptions" $kafka -}}
{{- $files := include "framebus.kafkaFiles" $kafka -}}
{{- $values := .root.Values -}}
{{- $env := dict
  "FRAMEBUS_KAFKA__BOOTSTRAP_SERVERS" $kafka.bootstrapServers
  "FRAMEBUS_KAFKA__GROUP_ID" $kafka.groupId
  "FRAMEBUS_KAFKA__OPTIONS" $options
  "FRAMEBUS_TOPICS__PARTITIONS" (int $values.topics.partitions | toString)
  "FRAMEBUS_TOPICS__REPLICATION_FACTOR" (int $values.topics.replicationFactor | toString)
  "FRAMEBUS_ROUTES" ($values.routes | toJson)
-}}
{{- $env = mergeOverwrite $env (.env | default dict) $values.env (.settings.env | default dict) -}}
metadata:
  labels:
    {{- include "framebus.selector" . | nindent 4 }}
  {{- with mergeOverwrite (deepCopy (.annotations | default dict)) (.settings.annotations | default dict) }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  automountServiceAccountToken: false
  # Otherwise a Service named framebus would set FRAMEBUS_PORT and the like, which framebus refuses: no such setting.
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ .graceSeconds }}
  {{- with $values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  securityContext:
    {{- toYaml $values.podSecurityContext | nindent 4 }}
  {{- with .restartPolicy }}
  restartPolicy: {{ . }}
  {{- end }}
  {{- with .runtimeClassName }}
  runtimeClassName: {{ . }}
  {{- end }}
  {{- with .settings.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .settings.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- if .port }}
  topologySpreadConstraints:
    - maxSkew: 1
      topologyKey: kubernetes.io/hostname
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels:
          {{- include "framebus.selector" . | nindent 10 }}
  {{- end }}
  containers:
    - name: {{ .component }}
      image: {{ include "framebus.image" . }}
      imagePullPolicy: {{ $values.image.pullPolicy }}
      args: {{ .args | toJson }}
      env:
        {{- if .podIp }}
        - name: POD_IP
          valueFrom: {fieldRef: {fieldPath: status.podIP}}
        {{- end }}
        {{- range .threads }}
        {{- if not (hasKey $env .) }}
        - name: {{ . }}
          valueFrom: {resourceFieldRef: {resource: limits.cpu}}
        {{- end }}
        {{- end }}
        {{- range $name, $value := $env }}
        - name: {{ $name }}
          value: {{ $value | quote }}
        {{- end }}
      {{- if .port }}
      ports:
        - {name: http, containerPort: {{ .port }}}
      # What is slow here is importing; whether models have loaded is for readiness alone.
      startupProbe:
        httpGet: {path: /healthz, port: http}
        periodSeconds: 5
        failureThreshold: 60
        timeoutSeconds: 5
      livenessProbe:
        httpGet: {path: /healthz, port: http}
        periodSeconds: 10
        failureThreshold: 6
        timeoutSeconds: 5
      readinessProbe:
        httpGet: {path: /readyz, port: http}
        periodSeconds: 5
        timeoutSeconds: 5
      {{- end }}
      {{- with .stop }}
      lifecycle:
        preStop: {{ toJson . }}
      {{- end }}
      resources:
        {{- toYaml .resources | nindent 8 }}
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities: {drop: [ALL]}
      volumeMounts:
        - {name: tmp, mountPath: /tmp}
        {{- if $files }}
        - {name: kafka, mountPath: /etc/framebus/kafka, readOnly: true}
        {{- end }}
        {{- range .volumes }}
        - {name: {{ .name }}, mountPath: {{ .path }}, readOnly: true}
        {{- end }}
  volumes:
    - name: tmp
      emptyDir: {}
    {{- if $files }}
    - name: kafka
      projected:
        sources:
          {{- trim $files | nindent 10 }}
    {{- end }}
    {{- range .volumes }}
    - name: {{ .name }}
      {{- toYaml .source | nindent 6 }}
    {{- end }}
{{- end -}}

{{/* The model repository, as a volume of framebus.pod. */}}
{{- define "framebus.models" -}}
{{- $models := .Values.models -}}
{{- if eq (empty $models.existingClaim) (empty $models.volume) -}}
{{- fail "models: set either existingClaim, a PersistentVolumeClaim that has the model repository, or volume, any volume that has it" -}}
{{- end -}}
{{- $claim := dict "persistentVolumeClaim" (dict "claimName" $models.existingClaim "readOnly" true) -}}
{{- dict "name" "models" "path" "/models" "source" (ternary $claim $models.volume (not (empty $models.existingClaim))) | toJson -}}
{{- end -}}

{{/* Some of the tokens, as a volume of framebus.pod, of (list $ "worker-token" ...). */}}
{{- define "framebus.tokens" -}}
{{- $items := list -}}
{{- range rest . -}}{{- $items = append $items (dict "key" . "path" .) -}}{{- end -}}
{{- $secret := dict "secretName" (include "framebus.secretName" (first .)) "items" $items -}}
{{- dict "name" "tokens" "path" "/etc/framebus/tokens" "source" (dict "secret" $secret) | toJson -}}
{{- end -}}
