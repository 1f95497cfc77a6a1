-- Let a rollout go on that was paused by hand.
local annotations = obj.metadata.annotations or {}
if annotations["mooring.dev/pause"] == nil then
  error("it was not paused by hand: the phase is " .. ((obj.status or {}).phase or "Pending"), 0)
end
annotations["mooring.dev/pause"] = nil
annotations["mooring.dev/pause-by"] = nil
-- An empty table would come back as a list, which Argo CD takes for the map as it was.
obj.metadata.annotations = next(annotations) ~= nil and annotations or nil
return obj
