-- Health of a ModelDeployment, by its conditions; a rollout that waits for a person is suspended.
local generation = obj.metadata.generation or 0
local status = obj.status or {}
local conditions = {}
for _, condition in ipairs(status.conditions or {}) do
  conditions[condition.type] = condition
end

-- The operator failed on this spec. What it is late with, it will still do.
local reconciled = conditions["Reconciled"]
if reconciled ~= nil and reconciled.status == "False" and (reconciled.observedGeneration or 0) >= generation then
  local late = reconciled.reason == "DeadlineExceeded"
  return {status = late and "Progressing" or "Degraded", message = reconciled.message}
end
if (status.observedGeneration or -1) < generation then
  return {status = "Progressing", message = "Mooring has not looked at this spec yet"}
end

-- Waiting does not help these: Stalled goes with a rollout, the others with spec.batch and spec.stream.
local stalled, ready = conditions["Stalled"], conditions["Ready"]
if stalled ~= nil and stalled.status == "True" then
  return {status = "Degraded", message = stalled.message}
end
for _, kind in ipairs({"Ready", "BatchApplied", "StreamApplied"}) do
  local condition = conditions[kind]
  if condition ~= nil and condition.status == "False" then
    return {status = "Degraded", message = condition.message}
  end
end
if ready ~= nil and ready.status == "True" then
  return {status = "Healthy", message = ready.message}
end
if status.phase == "AwaitingApproval" or status.phase == "Paused" then
  return {status = "Suspended", message = status.message}
end
return {status = "Progressing", message = status.message or ""}
