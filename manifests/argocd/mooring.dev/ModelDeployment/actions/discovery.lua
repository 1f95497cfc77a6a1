-- What may be asked of a ModelDeployment now; each action checks the same once more, by itself.
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

local annotations = obj.metadata.annotations or {}
local status = obj.status or {}
local candidate, stable = status.candidate, status.stable
local stages = course(obj.spec.rollout or {})

local movable = candidate ~= nil and not candidate.restores
local hasStepsLeft = movable and stable ~= nil and candidate.step < #stages
local awaits = candidate ~= nil and awaited[status.reason] == true
local comesBack = candidate ~= nil and candidate.restores

-- Argo CD does not tell who clicks, so it cannot stand for someone else than who asked for the revision.
local function isForSomeoneElse(step)
  return step ~= nil and step.approve ~= nil and step.approve.by == "SomeoneElse"
end
local skipsSomeoneElse = false
for index = (candidate or {step = 0}).step + 1, #stages do
  skipsSomeoneElse = skipsSomeoneElse or isForSomeoneElse(stages[index])
end

-- What is asked for cannot be carried out: given now, the command would skip the steps of what is corrected.
local stalled = false
for _, condition in ipairs(status.conditions or {}) do
  stalled = stalled or (condition.type == "Stalled" and condition.status == "True")
end

local paused = annotations["mooring.dev/pause"] ~= nil
local fits = {
  approve = awaits and not isForSomeoneElse(stages[candidate.step + 1]),
  promote = hasStepsLeft and not skipsSomeoneElse and not stalled,
  abort = movable,
  retry = status.failedRevision ~= nil,
  pause = hasStepsLeft and not paused,
  resume = paused,
  rollback = stable ~= nil and status.previous ~= nil and not comesBack,
}
local actions = {}
for name, fit in pairs(fits) do
  actions[name] = {disabled = not fit}
end
return actions
