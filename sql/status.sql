-- How much there is of what, for the status page: tables that stay small beside the devices'.

-- name: status_campaigns
SELECT state, count(*) FROM campaign GROUP BY state

-- name: status_executions
SELECT state, sum(n) FROM wave_count GROUP BY state
