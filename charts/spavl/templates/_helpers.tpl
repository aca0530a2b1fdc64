{{/* Labels of the chart's own objects. `managed-by` stays Helm's: spavl's sweep removes only what says managed-by=spavl. */}}
{{- define "spavl.labels" -}}
app.kubernetes.io/name: spavl
app.kubernetes.io/instance: {{ .Values.installation }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{/* Labels of the chart's own pods: no version, so that an upgrade that changes nothing else changes no pod. */}}
{{- define "spavl.podLabels" -}}
app.kubernetes.io/name: spavl
app.kubernetes.io/managed-by: Helm
{{- end }}

{{- define "spavl.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "spavl.containerSecurity" -}}
runAsNonRoot: true
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{/* The file system of a container is read-only: home and /tmp are volumes, and these variables lead there. */}}
{{- define "spavl.homeEnvironment" -}}
- name: HOME
  value: /home/spavl
- name: USER
  value: spavl
- name: SPAVL_HOME
  value: /home/spavl/state
- name: HF_HOME
  value: /home/spavl/hf
{{- end }}

{{- define "spavl.pullSecrets" -}}
{{- with .Values.images.pullSecrets }}
imagePullSecrets:
{{- range . }}
  - name: {{ . }}
{{- end }}
{{- end }}
{{- end }}

{{/* Volumes and mounts of the chart's own small pods: home, /tmp and the profile. */}}
{{- define "spavl.smallPodVolumes" -}}
- name: home
  emptyDir:
    sizeLimit: {{ .Values.storage.scratch }}
- name: tmp
  emptyDir:
    sizeLimit: {{ .Values.storage.scratch }}
- name: profile
  configMap:
    name: spavl-profile
{{- end }}

{{- define "spavl.smallPodMounts" -}}
- name: home
  mountPath: /home/spavl
- name: tmp
  mountPath: /tmp
- name: profile
  mountPath: /etc/spavl
  readOnly: true
{{- end }}

{{/* Name of the claim that keeps weights, empty where there is none. */}}
{{- define "spavl.modelCacheClaim" -}}
{{- if .Values.storage.modelCache.enabled }}{{ .Values.storage.modelCache.existingClaim | default "spavl-models" }}{{ end }}
{{- end }}

{{/* Where pods may connect to outside of the cluster, as one egress rule. */}}
{{- define "spavl.outside" -}}
- to:
    {{- range .Values.networkPolicies.outside.cidrs }}
    - ipBlock: {{ toJson . }}
    {{- end }}
  ports:
    {{- range .Values.networkPolicies.outside.ports }}
    - protocol: TCP
      port: {{ . }}
    {{- end }}
{{- end }}

{{/* The Kubernetes API, as one egress rule. */}}
{{- define "spavl.apiServer" -}}
- to:
    {{- range .Values.networkPolicies.apiServer.cidrs }}
    - ipBlock:
        cidr: {{ . }}
    {{- end }}
  ports:
    {{- range .Values.networkPolicies.apiServer.ports }}
    - protocol: TCP
      port: {{ . }}
    {{- end }}
{{- end }}

{{/* Image of the bundled Airflow, in the official chart's words. */}}
{{- define "spavl.bundledImage" -}}
{{- with .Values.airflow.images.airflow }}
{{- if .digest }}{{ printf "%s@%s" .repository .digest }}{{ else }}{{ printf "%s:%s" .repository .tag }}{{ end }}
{{- end }}
{{- end }}

{{/* Image of what launches jobs. */}}
{{- define "spavl.launcherImage" -}}
{{- if .Values.launcher.image }}{{ .Values.launcher.image }}{{ else if .Values.airflow.enabled }}{{ include "spavl.bundledImage" . }}{{ end }}
{{- end }}
