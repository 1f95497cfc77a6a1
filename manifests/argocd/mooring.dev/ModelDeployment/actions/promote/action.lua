-- Skip the steps that are left.

-- The stages that the operator goes through: those of the strategy, and the steps.
local function course(rollout)
  local ahead = {BlueGreen = 1, Shadow = 2, ABTest = 2}
  local stages = {}
  for _ = 1, ahead[rollout.strategy] or 0 do
    table.insert(stages, {})
  end
  -- A preview ends by a pause, unless an approval among the steps stands for it.
  local pauses = rollout.strategy == "BlueGreen"
  local timed = (rollout.blueGreen or {}).promoteAfter ~= nil
  for _, step in ipairs(rollout.steps or {{setWeight = 100}}) do
    pauses = pauses and (timed or step.approve == nil)
    if pauses and step.setWeight == 100 then
      table.insert(stages, {})
    end
    table.insert(stages, step)
  end
  return stages
end

local status = obj.status or {}
local candidate = status.candidate
if candidate == nil or candidate.restores then
  error("nothing is on its way to be promoted: the phase is " .. (status.phase or "Pending"), 0)
end
local stages = course(obj.spec.rollout or {})
if status.stable == nil or candidate.step >= #stages then
  error("there are no steps left to skip", 0)
end
for _, condition in ipairs(status.conditions or {}) do
  if condition.type == "Stalled" and condition.status == "True" then
    error("what is asked for cannot be carried out; correct first: " .. (status.message or ""), 0)
  end
end
for index = candidate.step + 1, #stages do
  local approve = stages[index].approve
  if approve ~= nil and approve.by == "SomeoneElse" then
    error("this skips an approval by someone else than who asked for the revision, and Argo CD does not tell who "
      .. "clicks; use: mooring promote " .. obj.metadata.name, 0)
  end
end

local annotations = obj.metadata.annotations or {}
annotations["mooring.dev/promote"] = candidate.revision
-- Argo CD's server, for all who click: what the admission policies want to see.
annotations["mooring.dev/promote-by"] = "system:serviceaccount:argocd:argocd-server"
obj.metadata.annotations = annotations
return obj
