-- Let the rollout go on from the step that waits for a person.
local status = obj.status or {}
local candidate = status.candidate
if candidate == nil or (status.reason ~= "PausedByStep" and status.reason ~= "AwaitingApproval") then
  error("nothing awaits approval: the phase is " .. (status.phase or "Pending"), 0)
end
local step = ((obj.spec.rollout or {}).steps or {})[candidate.step + 1]
if step ~= nil and step.approve ~= nil and step.approve.by == "SomeoneElse" then
  error("this step is for someone else than who asked for the revision, and Argo CD does not tell who clicks; "
    .. "use: mooring approve " .. obj.metadata.name, 0)
end

local annotations = obj.metadata.annotations or {}
annotations["mooring.dev/approve"] = candidate.revision .. "/" .. candidate.step
-- Argo CD's server, for all who click: what the admission policies want to see.
annotations["mooring.dev/approve-by"] = "system:serviceaccount:argocd:argocd-server"
obj.metadata.annotations = annotations
return obj
