-- Donations for wrk: every request has an idempotency key of its own.
-- Arguments (after wrk's --): run prefix, slug prefix, number of campaigns, rehearsal credential.
local counter = 0
local heads, tails = {}, {}
local campaigns, run

function init(args)
  run = args[1]
  local slug, credential = args[2], args[4]
  campaigns = tonumber(args[3])
  for i = 1, campaigns do
    local body = '{"currency":"USD","lines":[{"campaign":"' .. slug .. i ..
      '","amount_minor":2500}],"fee_cover_minor":0,"donor":{"name":"Ada Example",' ..
      '"email":"ada@example.org","anonymous":false,"hide_amount":false},"message":"Go team!",' ..
      '"payment":{"confirmation_token":"ctoken_1NnQUf2eZvKYlo2CIObdtbnb"}}'
    heads[i] = 'POST /v1/donations HTTP/1.1\r\nHost: ' .. wrk.host .. ':' .. wrk.port ..
      '\r\nContent-Type: application/json\r\nSpillway-Rehearsal: ' .. credential ..
      '\r\nContent-Length: ' .. #body .. '\r\nIdempotency-Key: ' .. run
    tails[i] = '\r\n\r\n' .. body
  end
end

function request()
  counter = counter + 1
  local i = counter % campaigns + 1
  return heads[i] .. counter .. tails[i]
end
