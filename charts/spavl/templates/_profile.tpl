{{/* The profile as the ConfigMap holds it: the user's, with what the chart knows itself written into `launch`. */}}
{{- define "spavl.profile" -}}
{{- include "spavl.checks" . -}}
{{- $launch := dict
  "kind" "kubernetes"
  "namespace" .Release.Namespace
  "service_account" "spavl-job"
  "secrets" .Values.secrets
  "env" (merge (dict "SPAVL_STORE" .Values.store.url) .Values.environment)
  "images" (dict
    "data" .Values.images.data
    "training" .Values.images.training
    "vllm" .Values.images.vllm
    "pull_policy" .Values.images.pullPolicy
    "pull_secrets" .Values.images.pullSecrets)
-}}
{{- with include "spavl.modelCacheClaim" . }}{{ $_ := set $launch "model_cache_claim" . }}{{ end }}
{{- if .Values.trainjob.enabled }}
{{- $_ := set $launch "trainjob" (dict "runtime" "spavl-training" "num_nodes" .Values.trainjob.numNodes) }}
{{- $training := dict "grace_s" .Values.trainjob.graceSeconds }}
{{- with .Values.trainjob.priorityClass }}{{ $_ := set $training "priority_class" . }}{{ end }}
{{- $_ := set $launch "training" $training }}
{{- end }}
{{- if .Values.kueue.enabled }}
{{- range .Values.kueue.pods }}
{{- $_ := set $launch . (merge (dict "queue" $.Values.kueue.localQueue) (get $launch . | default dict)) }}
{{- end }}
{{- end }}
{{- $profile := deepCopy .Values.profile }}
{{- $_ := set $profile "installation" .Values.installation }}
{{- $_ := set $profile "launch" (mustMergeOverwrite (deepCopy ($profile.launch | default dict)) $launch) }}
{{- toYaml $profile }}
{{- end }}

{{/* What no schema can say: values that must be there, and values that must agree. Each failure names the value and the remedy. */}}
{{- define "spavl.checks" -}}
{{- $_ := required "store.url is empty: set it to s3://bucket/prefix." .Values.store.url }}
{{- $images := dict "images.data" .Values.images.data "images.training" .Values.images.training "images.vllm" .Values.images.vllm }}
{{- $_ := set $images (ternary "airflow.images.airflow" "launcher.image" .Values.airflow.enabled) (include "spavl.launcherImage" . | trimSuffix ":") }}
{{- range $name, $image := $images }}
{{- $_ := $image | required (printf "%s is empty: build it with `make images`, push it, and name it with its tag." $name) }}
{{- $last := splitList "/" $image | last }}
{{- if and (not (contains "@sha256:" $image)) (or (not (contains ":" $last)) (hasSuffix ":latest" $last)) }}
{{- fail (printf "%s is %q: give it a tag other than latest, or a digest; tomorrow latest is another." $name $image) }}
{{- end }}
{{- end }}
{{- range $name := list "SPAVL_STORE" "SPAVL_PROFILE" }}
{{- if hasKey $.Values.environment $name }}
{{- fail (printf "environment.%s is the chart's to write: leave it out, and set store.url and profile." $name) }}
{{- end }}
{{- end }}
{{- range $name := list "AWS_SECRET_ACCESS_KEY" "AWS_SESSION_TOKEN" "HF_TOKEN" "OPENAI_API_KEY" }}
{{- if hasKey $.Values.environment $name }}
{{- fail (printf "environment.%s would be readable in a ConfigMap and in every plan: put it into a Secret, and name that in secrets." $name) }}
{{- end }}
{{- end }}
{{- range $key := list "kind" "namespace" "service_account" "images" "env" "secrets" "model_cache_claim" "trainjob" }}
{{- if hasKey ($.Values.profile.launch | default dict) $key }}
{{- fail (printf "profile.launch.%s is the chart's to write: leave it out, and set the chart's own value (namespace by --namespace; images, environment, secrets, storage.modelCache, trainjob)." $key) }}
{{- end }}
{{- end }}
{{- range $pod := list "cpu" "inference" "training" }}
{{- if dig $pod "queue" "" ($.Values.profile.launch | default dict) }}
{{- fail (printf "profile.launch.%s.queue is the chart's to write: set kueue.enabled, kueue.localQueue and kueue.pods." $pod) }}
{{- end }}
{{- end }}
{{- if .Values.trainjob.enabled }}
{{- range $key := list "grace_s" "priority_class" }}
{{- if hasKey (dig "training" dict ($.Values.profile.launch | default dict)) $key }}
{{- fail (printf "profile.launch.training.%s is the chart's to write, since it is in the TrainingRuntime too: set trainjob.graceSeconds and trainjob.priorityClass." $key) }}
{{- end }}
{{- end }}
{{- end }}
{{- if and .Values.kueue.enabled .Values.kueue.createLocalQueue (not .Values.kueue.clusterQueue) }}
{{- fail "kueue.clusterQueue is empty: name the ClusterQueue that the LocalQueue draws from, or set kueue.createLocalQueue to false." }}
{{- end }}
{{- if and .Values.storage.modelCache.existingClaim (not .Values.storage.modelCache.enabled) }}
{{- fail (printf "storage.modelCache.existingClaim is %q, and storage.modelCache.enabled is false: set it to true, or leave the claim out." .Values.storage.modelCache.existingClaim) }}
{{- end }}
{{- if .Values.airflow.enabled }}
{{- if and (dig "postgresql" "enabled" false .Values.airflow) (dig "data" "metadataSecretName" "" .Values.airflow) }}
{{- fail (printf "airflow.postgresql.enabled is true, and airflow.data.metadataSecretName is %q, which names another database: set it to null for the trial's, or leave postgresql off." .Values.airflow.data.metadataSecretName) }}
{{- end }}
{{- $bundled := include "spavl.bundledImage" . }}
{{- if and .Values.launcher.image (ne $bundled .Values.launcher.image) }}
{{- fail (printf "airflow.images.airflow is %q and launcher.image is %q: the bundled Airflow and the sweep run in one image; leave launcher.image empty." $bundled .Values.launcher.image) }}
{{- end }}
{{- range .Values.secrets }}
{{- if not (regexMatch (printf "(?m)name: *%s *$" .) $.Values.airflow.extraEnvFrom) }}
{{- fail (printf "secrets has %q, which airflow.extraEnvFrom does not name: the bundled Airflow opens the store too; add a secretRef, or call the Secret spavl-secrets." .) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
