-- Hold the rollout between two steps.
local status = obj.status or {}
local candidate = status.candidate
if candidate == nil or candidate.restores then
  error("nothing is on its way that could be paused: the phase is " .. (status.phase or "Pending"), 0)
end
if status.stable == nil or candidate.step >= #((obj.spec.rollout or {}).steps or {}) then
  error("there are no steps left to pause between", 0)
end

local annotations = obj.metadata.annotations or {}
annotations["mooring.dev/pause"] = candidate.revision
-- Argo CD's server, for all who click: what the admission policies want to see.
annotations["mooring.dev/pause-by"] = "system:serviceaccount:argocd:argocd-server"
obj.metadata.annotations = annotations
return obj
