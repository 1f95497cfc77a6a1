-- End the rollout: the stable revision has all traffic again.
local candidate = (obj.status or {}).candidate
if candidate == nil or candidate.restores then
  error("nothing is on its way that could be aborted: the phase is " .. ((obj.status or {}).phase or "Pending"), 0)
end

local annotations = obj.metadata.annotations or {}
annotations["mooring.dev/abort"] = candidate.revision
-- Argo CD's server, for all who click: what the admission policies want to see.
annotations["mooring.dev/abort-by"] = "system:serviceaccount:argocd:argocd-server"
obj.metadata.annotations = annotations
return obj
