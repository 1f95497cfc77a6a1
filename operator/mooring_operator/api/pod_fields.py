"""The fields of a pod's spec and of KServe's components, as ``spec.serving.template`` and its like take them.

Source: Kubernetes 1.36, core/v1; KServe 0.21, serving.kserve.io/v1beta1. Volumes of drivers that Kubernetes has
removed, of single disks (fc, iscsi), rules for restarts of single containers, options of Windows, and probes of
containers that come before others (but in ``template``) are left out: a definition has little room.

The fields are spelled out, and not left open, so that the API server refuses what it does not know, and nesting has an
end: a thousand brackets in a field that takes anything would stop every reader of the list.
subPathExpr is left out: it lives by expanding $(NAME), and no text of a spec is expanded.
"""

from functools import lru_cache
from typing import Any

Schema = dict[str, Any]

MOST_ITEMS = 64

# NAME is text; NAME:KIND a kind or a structure below; NAME:[KIND] a list, [] one of texts; NAME:{KIND} a map, {} to
# texts. A kind is int, bool, or amount, which is a whole number or text; A+B has the fields of both.
_STRUCTURES = {
    "Name": "name",
    "Setting": "name value",
    "Optional": "name optional:bool",
    "Key": "key name optional:bool",
    "Path": "key mode:int path",
    "Expression": "key operator values:[]",
    "Labels": "matchLabels:{} matchExpressions:[Expression]",
    "NodeTerm": "matchExpressions:[Expression] matchFields:[Expression]",
    "NodeTerms": "nodeSelectorTerms:[NodeTerm]",
    "PreferredNode": "weight:int preference:NodeTerm",
    "NodeAffinity": "requiredDuringSchedulingIgnoredDuringExecution:NodeTerms "
    "preferredDuringSchedulingIgnoredDuringExecution:[PreferredNode]",
    "PodTerm": "labelSelector:Labels matchLabelKeys:[] mismatchLabelKeys:[] namespaceSelector:Labels namespaces:[] "
    "topologyKey",
    "PreferredPod": "weight:int podAffinityTerm:PodTerm",
    "PodAffinity": "requiredDuringSchedulingIgnoredDuringExecution:[PodTerm] "
    "preferredDuringSchedulingIgnoredDuringExecution:[PreferredPod]",
    "Affinity": "nodeAffinity:NodeAffinity podAffinity:PodAffinity podAntiAffinity:PodAffinity",
    "Toleration": "key operator value effect tolerationSeconds:int",
    "Spread": "labelSelector:Labels matchLabelKeys:[] maxSkew:int minDomains:int nodeAffinityPolicy nodeTaintsPolicy "
    "topologyKey whenUnsatisfiable",
    # Containers
    "Field": "apiVersion fieldPath",
    "FileKey": "key optional:bool path volumeName",
    "Resource": "containerName divisor:amount resource",
    "Source": "configMapKeyRef:Key fieldRef:Field fileKeyRef:FileKey resourceFieldRef:Resource secretKeyRef:Key",
    "Variable": "name value valueFrom:Source",
    "Variables": "configMapRef:Optional prefix secretRef:Optional",
    "Command": "command:[]",
    "Http": "host httpHeaders:[Setting] path port:amount scheme",
    "Socket": "host port:amount",
    "Grpc": "port:int service",
    "Sleep": "seconds:int",
    "Handler": "exec:Command httpGet:Http sleep:Sleep tcpSocket:Socket",
    "Lifecycle": "postStart:Handler preStop:Handler stopSignal",
    "Probe": "exec:Command grpc:Grpc httpGet:Http tcpSocket:Socket failureThreshold:int initialDelaySeconds:int "
    "periodSeconds:int successThreshold:int terminationGracePeriodSeconds:int timeoutSeconds:int",
    "Port": "containerPort:int hostIP hostPort:int name protocol",
    "Claim": "name request",
    "Resources": "claims:[Claim] limits:{amount} requests:{amount}",
    "Profile": "localhostProfile type",
    "Capabilities": "add:[] drop:[]",
    "SELinux": "level role type user",
    "Security": "allowPrivilegeEscalation:bool appArmorProfile:Profile capabilities:Capabilities privileged:bool "
    "procMount readOnlyRootFilesystem:bool runAsGroup:int runAsNonRoot:bool runAsUser:int seLinuxOptions:SELinux "
    "seccompProfile:Profile",
    "Device": "devicePath name",
    "Mount": "mountPath mountPropagation name readOnly:bool recursiveReadOnly subPath",
    "InitContainer": "args:[] command:[] env:[Variable] envFrom:[Variables] image imagePullPolicy name ports:[Port] "
    "resources:Resources restartPolicy securityContext:Security stdin:bool stdinOnce:bool terminationMessagePath "
    "terminationMessagePolicy tty:bool volumeDevices:[Device] volumeMounts:[Mount] workingDir",
    "Lived": "lifecycle:Lifecycle livenessProbe:Probe readinessProbe:Probe startupProbe:Probe",
    # Volumes
    "ConfigMapVolume": "defaultMode:int items:[Path] name optional:bool",
    "SecretVolume": "defaultMode:int items:[Path] optional:bool secretName",
    "Items": "items:[Path] name optional:bool",
    "PodFile": "fieldRef:Field mode:int path resourceFieldRef:Resource",
    "PodFiles": "items:[PodFile]",
    "PodVolume": "defaultMode:int items:[PodFile]",
    "Bundle": "labelSelector:Labels name optional:bool path signerName",
    "Certificate": "certificateChainPath credentialBundlePath keyPath keyType maxExpirationSeconds:int signerName",
    "Token": "audience expirationSeconds:int path",
    "Projection": "clusterTrustBundle:Bundle configMap:Items downwardAPI:PodFiles podCertificate:Certificate "
    "secret:Items serviceAccountToken:Token",
    "Projected": "defaultMode:int sources:[Projection]",
    "EmptyDir": "medium sizeLimit:amount",
    "ClaimVolume": "claimName readOnly:bool",
    "DataSource": "apiGroup kind name namespace",
    "Amounts": "limits:{amount} requests:{amount}",
    "ClaimSpec": "accessModes:[] dataSource:DataSource dataSourceRef:DataSource resources:Amounts selector:Labels "
    "storageClassName volumeAttributesClassName volumeMode volumeName",
    "Metadata": "labels:{} annotations:{}",
    "ClaimTemplate": "metadata:Metadata spec:ClaimSpec",
    "Ephemeral": "volumeClaimTemplate:ClaimTemplate",
    "Csi": "driver fsType nodePublishSecretRef:Name readOnly:bool volumeAttributes:{}",
    "HostPath": "path type",
    "ImageVolume": "pullPolicy reference",
    "Nfs": "path readOnly:bool server",
    "Volume": "name configMap:ConfigMapVolume csi:Csi downwardAPI:PodVolume emptyDir:EmptyDir ephemeral:Ephemeral "
    "hostPath:HostPath image:ImageVolume nfs:Nfs persistentVolumeClaim:ClaimVolume "
    "projected:Projected secret:SecretVolume",
    # Pods
    "Dns": "nameservers:[] options:[Setting] searches:[]",
    "Host": "hostnames:[] ip",
    "Gate": "conditionType",
    "PodClaim": "name resourceClaimName resourceClaimTemplateName",
    "PodSecurity": "appArmorProfile:Profile fsGroup:int fsGroupChangePolicy runAsGroup:int runAsNonRoot:bool "
    "runAsUser:int seLinuxChangePolicy seLinuxOptions:SELinux seccompProfile:Profile supplementalGroups:[int] "
    "supplementalGroupsPolicy sysctls:[Setting]",
    "Pod": "activeDeadlineSeconds:int affinity:Affinity containers:[InitContainer+Lived] dnsConfig:Dns dnsPolicy "
    "enableServiceLinks:bool hostAliases:[Host] hostIPC:bool hostNetwork:bool hostPID:bool hostUsers:bool hostname "
    "hostnameOverride imagePullSecrets:[Name] initContainers:[InitContainer] nodeName nodeSelector:{} os:Name "
    "overhead:{amount} preemptionPolicy priority:int priorityClassName readinessGates:[Gate] "
    "resourceClaims:[PodClaim] resources:Resources restartPolicy runtimeClassName schedulerName "
    "schedulingGates:[Name] securityContext:PodSecurity serviceAccountName setHostnameAsFQDN:bool "
    "shareProcessNamespace:bool subdomain terminationGracePeriodSeconds:int tolerations:[Toleration] "
    "topologySpreadConstraints:[Spread] volumes:[Volume]",
    # KServe's components
    "RollingUpdate": "maxSurge:amount maxUnavailable:amount",
    "Strategy": "rollingUpdate:RollingUpdate type",
    "Storage": "key parameters:{} path serviceAccountName",
    "Logger": "batchInterval batchSize:int marshallerUrl metadataAnnotations:[] metadataHeaders:[] mode "
    "storage:Storage url",
    "Batcher": "maxBatchSize:int maxLatency:int timeout:int",
    "Component": "annotations:{} batcher:Batcher containerConcurrency:int deploymentStrategy:Strategy labels:{} "
    "logger:Logger timeout:int",
    "ScaledComponent": "minReplicas:int maxReplicas:int scaleMetric scaleMetricType scaleTarget:int",
    "Confidential": "enabled:bool resourceId",
    "ModelOnly": "confidential:Confidential protocolVersion runtimeVersion",
    "WorkerOnly": "pipelineParallelSize:int tensorParallelSize:int",
}

_KINDS: dict[str, Schema] = {
    # Texts have no length of their own: spec.serving has one in all, and a definition has to fit into an annotation.
    "": {"type": "string"},
    "int": {"type": "integer"},
    "bool": {"type": "boolean"},
    "amount": {"x-kubernetes-int-or-string": True},
}


@lru_cache(maxsize=256)
def structure(*names: str) -> Schema:
    """Give the structural schema of an object that has the fields of all these structures."""
    fields = [field for name in names for field in _STRUCTURES[name].split()]
    return {"type": "object", "properties": {name: _kind(kind) for name, _, kind in map(_split, fields)}}


def _split(field: str) -> tuple[str, str, str]:
    return field.partition(":")


def _kind(kind: str) -> Schema:
    if kind.startswith("["):
        return {"type": "array", "maxItems": MOST_ITEMS, "items": _kind(kind[1:-1])}
    if kind.startswith("{"):
        return {"type": "object", "maxProperties": MOST_ITEMS, "additionalProperties": _kind(kind[1:-1])}
    return dict(_KINDS[kind]) if kind in _KINDS else structure(*kind.split("+"))
