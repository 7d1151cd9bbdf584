-- Health of all kinds of Portico, by their conditions. argocd-cm.yaml holds the same text, for Argo CD to read.

-- What waits for a decision or a payment of somebody, and what is off for now because its owner wants that, is neither on
-- its way nor broken: nothing will come of waiting, and nobody need mend it.
local resting = {
  Pending = true,
  PendingPayment = true,
  Suspended = true,
  Disabled = true,
}

local function health(status, condition)
  return { status = status, message = condition.message or condition.reason or "" }
end

local status = obj.status
if status == nil or status.conditions == nil then
  return { status = "Progressing", message = "Portico has not looked at it yet" }
end
if status.observedGeneration ~= nil and status.observedGeneration < obj.metadata.generation then
  return { status = "Progressing", message = "Portico has not looked at its last change yet" }
end

local conditions = {}
for _, condition in ipairs(status.conditions) do
  conditions[condition.type] = condition
end
local function holds(name)
  return conditions[name] ~= nil and conditions[name].status == "True"
end

local ready = conditions.Ready
if ready ~= nil and resting[ready.reason] then
  return health("Suspended", ready)
end
if holds("Stalled") then
  return health("Degraded", conditions.Stalled)
end
if holds("Reconciling") then
  return health("Progressing", conditions.Reconciling)
end
if holds("Ready") then
  return health("Healthy", ready)
end
return health("Progressing", ready or { message = "Portico does not say yet whether it is ready" })
