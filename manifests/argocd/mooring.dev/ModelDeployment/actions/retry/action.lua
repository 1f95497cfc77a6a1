-- Try the rejected revision again.
local failed = (obj.status or {}).failedRevision
if failed == nil then
  error("no revision was rejected: the phase is " .. ((obj.status or {}).phase or "Pending"), 0)
end

local annotations = obj.metadata.annotations or {}
annotations["mooring.dev/retry"] = failed
-- Argo CD's server, for all who click: what the admission policies want to see.
annotations["mooring.dev/retry-by"] = "system:serviceaccount:argocd:argocd-server"
obj.metadata.annotations = annotations
return obj
