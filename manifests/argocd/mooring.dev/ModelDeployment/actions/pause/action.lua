-- Hold the rollout between two steps.

-- The stages that the operator goes through: those of the strategy, then the steps where it has any.
local function course(rollout)
  local ahead = {BlueGreen = 3, Shadow = 2, ABTest = 3, Recreate = 1}
  local stages = {}
  for _ = 1, ahead[rollout.strategy] or 0 do
    table.insert(stages, {})
  end
  if ahead[rollout.strategy] == nil or rollout.strategy == "Shadow" then
    for _, step in ipairs(rollout.steps or {}) do
      table.insert(stages, step)
    end
  end
  return stages
end

local status = obj.status or {}
local candidate = status.candidate
if candidate == nil or candidate.restores then
  error("nothing is on its way that could be paused: the phase is " .. (status.phase or "Pending"), 0)
end
if status.stable == nil or candidate.step >= #course(obj.spec.rollout or {}) then
  error("there are no steps left to pause between", 0)
end

local annotations = obj.metadata.annotations or {}
annotations["mooring.dev/pause"] = candidate.revision
-- Argo CD's server, for all who click: what the admission policies want to see.
annotations["mooring.dev/pause-by"] = "system:serviceaccount:argocd:argocd-server"
obj.metadata.annotations = annotations
return obj
