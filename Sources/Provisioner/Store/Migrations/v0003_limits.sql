-- As claim_operations of three arguments, which a replica of the version before still calls, within
-- limits of what is under way in a tenant, in a cluster and in all.
CREATE FUNCTION claim_operations(
    claimer text, wanted int, lease interval, tenant_max int, cluster_max int, overall_max int)
  RETURNS TABLE (
    claimed uuid, claimed_tenant text, claimed_store text, claimed_kind text, token bigint,
    was_interrupted boolean)
  LANGUAGE sql SECURITY DEFINER SET search_path FROM CURRENT
AS $$
  -- One after another: two at once would both take the last place.
  SELECT pg_advisory_xact_lock(hashtextextended('storeplane-claims', 0));

  WITH busy AS (
    SELECT o.tenant, s.cluster FROM operations o JOIN stores s ON s.id = o.store
    WHERE o.state = 'running' AND o.lease_expires_at > clock_timestamp()
  ), busy_tenants AS (
    SELECT tenant, count(*) AS running FROM busy GROUP BY tenant
  ), busy_clusters AS (
    SELECT cluster, count(*) AS running FROM busy GROUP BY cluster
  ), waiting AS (
    SELECT o.id, s.cluster, o.available_at, coalesce(b.running, 0) + row_number() OVER (
        PARTITION BY o.tenant ORDER BY o.available_at, o.created_at, o.id) AS turn
    FROM operations o JOIN stores s ON s.id = o.store LEFT JOIN busy_tenants b ON b.tenant = o.tenant
    WHERE o.state IN ('pending', 'running') AND is_claimable(o)
  ), placed AS (
    SELECT w.*, coalesce(b.running, 0) + row_number() OVER (
        PARTITION BY w.cluster ORDER BY w.turn, w.available_at, w.id) AS place
    FROM waiting w LEFT JOIN busy_clusters b ON b.cluster = w.cluster
    WHERE w.turn <= tenant_max
  ), chosen AS (
    SELECT o.id, o.lease_expires_at IS NOT NULL AS was_interrupted
    FROM operations o JOIN placed p ON p.id = o.id
    WHERE p.place <= cluster_max AND is_claimable(o)
    ORDER BY p.turn, p.available_at, o.id
    LIMIT greatest(0, least(wanted, overall_max - (SELECT count(*) FROM busy)))
    FOR UPDATE OF o SKIP LOCKED
  )
  UPDATE operations o
  SET state = 'running', holder = claimer, fence = nextval('fencing_tokens'),
    lease_expires_at = clock_timestamp() + lease,
    started_at = coalesce(o.started_at, clock_timestamp()), updated_at = clock_timestamp(),
    revision = o.revision + 1
  FROM chosen WHERE o.id = chosen.id
  RETURNING o.id, o.tenant, o.store, o.kind, o.fence, chosen.was_interrupted
$$;

-- Forgets up to `wanted` operations that ended more than `age` ago, with their steps; the last one of
-- each store stays.
CREATE FUNCTION forget_operations(age interval, wanted int) RETURNS bigint
  LANGUAGE sql SECURITY DEFINER SET search_path FROM CURRENT
AS $$
  WITH doomed AS (
    SELECT o.id FROM operations o
    WHERE o.ended_at < clock_timestamp() - age
      AND NOT EXISTS (SELECT FROM stores s WHERE s.operation = o.id)
    ORDER BY o.ended_at LIMIT wanted FOR UPDATE SKIP LOCKED
  ), steps AS (
    DELETE FROM operation_steps WHERE operation IN (SELECT id FROM doomed)
  ), gone AS (
    DELETE FROM operations WHERE id IN (SELECT id FROM doomed) RETURNING 1
  )
  SELECT count(*) FROM gone
$$;
CREATE INDEX operations_ended ON operations (ended_at) WHERE ended_at IS NOT NULL;

DO $do$
BEGIN
  EXECUTE format(
    'GRANT EXECUTE ON FUNCTION claim_operations(text, int, interval, int, int, int), '
    'forget_operations TO %I', current_schema() || '_worker');
END
$do$;
