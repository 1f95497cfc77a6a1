-- Health of a template: whether deployments can be judged by it.
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

local ready = conditions["Ready"]
if ready ~= nil and ready.status == "True" then
  return {status = "Healthy", message = ready.message}
end
if ready ~= nil and ready.status == "False" then
  return {status = "Degraded", message = ready.message}
end
return {status = "Progressing", message = ready ~= nil and ready.message or ""}
