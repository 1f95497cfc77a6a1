-- Let the rollout go on from the step that waits for a person.

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

-- At these a rollout waits for somebody.
local awaited = {
  PausedByStep = true, PausedByAnalysis = true, PausedByCheck = true, AwaitingApproval = true, SideBySide = true,
}

local status = obj.status or {}
local candidate = status.candidate
if candidate == nil or not awaited[status.reason] then
  error("nothing awaits approval: the phase is " .. (status.phase or "Pending"), 0)
end
local step = course(obj.spec.rollout or {})[candidate.step + 1]
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
