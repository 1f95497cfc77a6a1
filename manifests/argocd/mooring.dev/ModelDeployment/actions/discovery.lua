-- What may be asked of a ModelDeployment now; each action checks the same once more, by itself.
local annotations = obj.metadata.annotations or {}
local status = obj.status or {}
local candidate, stable = status.candidate, status.stable
local steps = (obj.spec.rollout or {}).steps or {}

local movable = candidate ~= nil and not candidate.restores
local hasStepsLeft = movable and stable ~= nil and candidate.step < #steps
local awaits = candidate ~= nil and (status.reason == "PausedByStep" or status.reason == "AwaitingApproval")
local comesBack = candidate ~= nil and candidate.restores

-- Argo CD does not tell who clicks, so it cannot stand for someone else than who asked for the revision.
local function isForSomeoneElse(step)
  return step ~= nil and step.approve ~= nil and step.approve.by == "SomeoneElse"
end
local skipsSomeoneElse = false
for index = (candidate or {step = 0}).step + 1, #steps do
  skipsSomeoneElse = skipsSomeoneElse or isForSomeoneElse(steps[index])
end

local paused = annotations["mooring.dev/pause"] ~= nil
local fits = {
  approve = awaits and not isForSomeoneElse(steps[candidate.step + 1]),
  promote = hasStepsLeft and not skipsSomeoneElse,
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
