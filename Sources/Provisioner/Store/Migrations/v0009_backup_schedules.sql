-- Backups that are made, and tested, without anybody asking for them.
ALTER TABLE operations DROP CONSTRAINT operations_kind_check,
  ADD CONSTRAINT operations_kind_check CHECK (
    kind IN (
      'provision', 'delete', 'upgrade', 'rollback', 'suspend', 'resume', 'backup', 'restore',
      'backup-test')),
  -- Begun on a schedule: what somebody asks for comes first.
  ADD COLUMN scheduled boolean NOT NULL DEFAULT false;
CREATE INDEX operations_scheduled ON operations (state)
  WHERE scheduled AND state IN ('pending', 'running');

ALTER TABLE stores
  -- Seconds between its backups; 0: none. NULL: as the platform does.
  ADD COLUMN backup_interval int CHECK (backup_interval = 0 OR backup_interval BETWEEN 3600 AND 2592000),
  -- When it is next backed up, and has a backup tested; NULL: not drawn yet.
  ADD COLUMN backup_due_at timestamptz,
  ADD COLUMN backup_test_due_at timestamptz;
CREATE INDEX stores_backups_due ON stores (backup_due_at) WHERE state = 'ready' AND NOT suspended;
CREATE INDEX stores_backup_tests_due ON stores (backup_test_due_at)
  WHERE state = 'ready' AND NOT suspended;

ALTER TABLE backups
  -- When it was last seen whether a store can be brought to it, and why not.
  ADD COLUMN tested_at timestamptz,
  ADD COLUMN error_code text,
  ADD COLUMN error_message text,
  ADD COLUMN error_retryable boolean,
  ADD COLUMN error_user_fault boolean,
  ADD CHECK (num_nulls(error_code, error_message, error_retryable, error_user_fault) IN (0, 4)),
  ADD CHECK (error_code IS NULL OR tested_at IS NOT NULL);

-- Whether a store is one that can be backed up now.
CREATE FUNCTION is_at_rest(candidate stores) RETURNS boolean
  LANGUAGE sql STABLE SET search_path FROM CURRENT
AS $$
  SELECT candidate.state = 'ready' AND NOT candidate.suspended
    -- It may hold half of something.
    AND NOT candidate.conditions @> '[{"type": "Released", "reason": "RestoreFailed"}]'
    AND NOT EXISTS (
      SELECT FROM operations o
      WHERE o.store = candidate.id AND o.state IN ('pending', 'running'))
    AND NOT EXISTS (
      SELECT FROM clusters c WHERE c.name = candidate.cluster AND c.abandoned_at IS NOT NULL)
$$;

-- Whether nobody works on it now: it waits for a worker, whether or not one had it before.
CREATE FUNCTION is_unheld(candidate operations) RETURNS boolean
  LANGUAGE sql VOLATILE SET search_path FROM CURRENT
AS $$
  SELECT candidate.state = 'pending' OR candidate.state = 'running'
    AND coalesce(candidate.lease_expires_at <= clock_timestamp(), true)
$$;

-- Up to `wanted` stores of all tenants for which work of a kind, 'backup' or 'backup-test', is due, each
-- for one caller, who tells when it is due next: where nothing comes of it, after `again`. `standard` is
-- in seconds, 0 for never. Stores on the clusters `away` wait. The tenants have their turns, so that one
-- with many stores holds up nobody else, and of each no more than `tenant_max` wait for a worker at once.
CREATE FUNCTION claim_due(
    work text, standard int, wanted int, tenant_max int, away text[], again interval)
  RETURNS TABLE (claimed text, claimed_tenant text)
  LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT
AS $$
DECLARE
  due text := CASE work WHEN 'backup' THEN 'backup_due_at' ELSE 'backup_test_due_at' END;
  seconds text := CASE work WHEN 'backup' THEN 'coalesce(d.backup_interval, $1)' ELSE '$1' END;
BEGIN
  -- Drawn at first, so that stores that were made at once are not backed up at once. One that is too far
  -- ahead is of a longer interval, or of a clock that was wrong.
  EXECUTE format($query$
    UPDATE stores d
    SET %1$I = CASE WHEN %2$s > 0
      THEN clock_timestamp() + make_interval(secs => %2$s * random()) END
    WHERE d.id IN (
      SELECT d.id FROM stores d
      WHERE d.state = 'ready' AND NOT d.suspended
        AND CASE WHEN %2$s = 0 THEN d.%1$I IS NOT NULL
          ELSE d.%1$I IS NULL
            OR d.%1$I > clock_timestamp() + make_interval(secs => %2$s * 1.1) END
      LIMIT 1000 FOR NO KEY UPDATE SKIP LOCKED)
    $query$, due, seconds) USING standard;
  RETURN QUERY EXECUTE format($query$
    WITH waiting AS (
      SELECT o.tenant, count(*) AS waiting FROM operations o
      WHERE o.scheduled AND o.kind = $2 AND o.state IN ('pending', 'running') AND is_unheld(o)
      GROUP BY o.tenant
    ), turns AS (
      SELECT d.id, d.%1$I AS due, coalesce(w.waiting, 0)
        + row_number() OVER (PARTITION BY d.tenant ORDER BY d.%1$I, d.id) AS turn
      FROM stores d LEFT JOIN waiting w ON w.tenant = d.tenant
      WHERE d.state = 'ready' AND NOT d.suspended AND d.%1$I <= clock_timestamp() AND %2$s > 0
        AND d.cluster <> ALL ($5) AND is_at_rest(d)
        -- Only the newest is tested.
        AND ($2 = 'backup' OR EXISTS (
          SELECT FROM backups b WHERE b.store = d.id AND b.state = 'available'
            AND b.tested_at IS NULL AND NOT EXISTS (
              SELECT FROM backups newer WHERE newer.store = b.store AND newer.state = 'available'
                AND (newer.ended_at, newer.id) > (b.ended_at, b.id))))
    )
    UPDATE stores s SET %1$I = clock_timestamp() + $6
    WHERE s.id IN (
      SELECT d.id FROM stores d JOIN turns t ON t.id = d.id
      WHERE t.turn <= $4 AND d.%1$I <= clock_timestamp()
      ORDER BY t.turn, t.due LIMIT $3
      FOR NO KEY UPDATE OF d SKIP LOCKED)
    RETURNING s.id, s.tenant
    $query$, due, seconds) USING standard, work, wanted, tenant_max, away, again;
END
$$;

-- The stores whose backups are due for longer than `age`, whatever keeps them from being made.
CREATE FUNCTION overdue_backups(age interval) RETURNS bigint
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT
AS $$
  SELECT count(*) FROM stores s WHERE s.state = 'ready' AND NOT s.suspended AND (
    s.backup_due_at < clock_timestamp() - age OR EXISTS (
      SELECT FROM operations o WHERE o.store = s.id AND o.scheduled AND o.kind = 'backup'
        AND o.state IN ('pending', 'running') AND o.created_at < clock_timestamp() - age))
$$;

-- As before, but the newest of a store that is there stays, however old it is; and the newest that a
-- store was seen to come back from until its age is over, however many there are after it.
CREATE OR REPLACE FUNCTION expire_backups(age interval, kept int, wanted int) RETURNS bigint
  LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT
AS $$
DECLARE
  doomed uuid[];
  expired bigint;
BEGIN
  SELECT array_agg(id) INTO doomed FROM (
    SELECT b.id FROM backups b
    WHERE b.state = 'available' AND (
      b.ended_at < clock_timestamp() - age AND (
        EXISTS (SELECT FROM stores s WHERE s.id = b.store AND s.state = 'deleted')
        OR EXISTS (
          SELECT FROM backups newer
          WHERE newer.store = b.store AND newer.state = 'available'
            AND (newer.ended_at, newer.id) > (b.ended_at, b.id)))
      OR (SELECT count(*) FROM backups newer
          WHERE newer.store = b.store AND newer.state = 'available'
            AND (newer.ended_at, newer.id) > (b.ended_at, b.id)) >= kept
        AND (b.tested_at IS NULL OR b.error_code IS NOT NULL OR EXISTS (
          SELECT FROM backups newer
          WHERE newer.store = b.store AND newer.state = 'available'
            AND newer.tested_at IS NOT NULL AND newer.error_code IS NULL
            AND (newer.ended_at, newer.id) > (b.ended_at, b.id))))
    ORDER BY b.ended_at LIMIT wanted FOR UPDATE OF b SKIP LOCKED) AS locked;
  -- Asked only now: what took one of them before it was locked is seen.
  UPDATE backups b SET state = 'deleting' WHERE b.id = ANY (doomed) AND NOT EXISTS (
    SELECT FROM operations o WHERE o.backup = b.id AND o.state IN ('pending', 'running'));
  GET DIAGNOSTICS expired = ROW_COUNT;
  RETURN expired;
END
$$;

-- How much of a limit there is for work: what is scheduled leaves half of it to people.
CREATE FUNCTION share_of(limit_max int, is_scheduled boolean) RETURNS int
  LANGUAGE sql IMMUTABLE SET search_path FROM CURRENT
AS $$
  SELECT CASE WHEN is_scheduled THEN greatest(1, limit_max / 2) ELSE limit_max END
$$;

-- As claim_operations of eight arguments, which replicas of the version before still call. Of what the
-- schedule begins no more than `scheduled_wanted` is claimed, and only while no more than half of each
-- limit is under way. It comes after all that somebody asked for until a worker has had it once, or it has
-- waited for an hour: then it takes its turn.
CREATE FUNCTION claim_operations(
    claimer text, wanted int, lease interval, tenant_max int, cluster_max int, overall_max int,
    kinds text[], clusters text[], scheduled_wanted int)
  RETURNS TABLE (
    claimed uuid, claimed_tenant text, claimed_store text, claimed_kind text, token bigint,
    was_interrupted boolean, is_scheduled boolean)
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
    SELECT o.id, o.tenant, s.cluster, p.scheduled, p.yields, o.available_at, o.created_at,
      coalesce(b.running, 0) AS running, coalesce(b.running, 0) + row_number() OVER (
        PARTITION BY o.tenant, s.cluster
        ORDER BY p.yields, o.available_at, o.created_at, o.id) AS turn
    FROM operations o JOIN stores s ON s.id = o.store LEFT JOIN busy_tenants b ON b.tenant = o.tenant
      -- What is to be cancelled is in somebody's way.
      CROSS JOIN LATERAL (
        SELECT o.scheduled AND o.cancel_requested_at IS NULL AS scheduled,
          o.scheduled AND o.cancel_requested_at IS NULL AND o.started_at IS NULL
            AND o.created_at > clock_timestamp() - interval '1 hour' AS yields) AS p
    WHERE o.state IN ('pending', 'running') AND o.kind = ANY (kinds) AND is_claimable(o)
      AND (clusters IS NULL OR s.cluster = ANY (clusters))
  ), placed AS (
    SELECT w.*, coalesce(b.running, 0) + row_number() OVER (
        PARTITION BY w.cluster ORDER BY w.yields, w.turn, w.available_at, w.id) AS place
    FROM waiting w LEFT JOIN busy_clusters b ON b.cluster = w.cluster
    WHERE w.turn <= share_of(tenant_max, w.scheduled)
  ), ordered AS (
    SELECT id, scheduled, yields, available_at, running + row_number() OVER (
        PARTITION BY tenant ORDER BY yields, available_at, created_at, id) AS turn
    FROM placed WHERE place <= share_of(cluster_max, scheduled)
  ), ranked AS (
    SELECT o.*, (SELECT count(*) FROM busy) + row_number() OVER (
        ORDER BY yields, turn, available_at, id) AS rank,
      row_number() OVER (PARTITION BY scheduled ORDER BY yields, turn, available_at, id) AS rank_of_kind
    FROM ordered o WHERE turn <= share_of(tenant_max, scheduled)
  ), chosen AS (
    SELECT o.id, o.lease_expires_at IS NOT NULL AS was_interrupted
    FROM operations o JOIN ranked p ON p.id = o.id
    WHERE is_claimable(o) AND p.rank <= share_of(overall_max, p.scheduled)
      AND (NOT p.scheduled OR p.rank_of_kind <= scheduled_wanted)
    ORDER BY p.yields, p.turn, p.available_at, o.id
    LIMIT greatest(0, wanted)
    FOR UPDATE OF o SKIP LOCKED
  )
  UPDATE operations o
  SET state = 'running', holder = claimer, fence = nextval('fencing_tokens'),
    lease_expires_at = clock_timestamp() + lease,
    started_at = coalesce(o.started_at, clock_timestamp()), updated_at = clock_timestamp(),
    revision = o.revision + 1
  FROM chosen WHERE o.id = chosen.id
  RETURNING o.id, o.tenant, o.store, o.kind, o.fence, chosen.was_interrupted, o.scheduled
$$;

-- As before, but what is scheduled may wait until it takes its turn.
CREATE OR REPLACE FUNCTION neglected_operations(age interval, wanted int)
  RETURNS TABLE (neglected uuid, of_all bigint)
  LANGUAGE sql SECURITY DEFINER SET search_path FROM CURRENT
AS $$
  SELECT o.id, count(*) OVER () FROM operations o
  WHERE o.state IN ('pending', 'running') AND is_claimable(o)
    AND (NOT o.scheduled OR o.started_at IS NOT NULL)
    AND greatest(o.available_at, o.lease_expires_at) < clock_timestamp() - age
  ORDER BY greatest(o.available_at, o.lease_expires_at), o.id LIMIT wanted
$$;

DO $do$
BEGIN
  EXECUTE format(
    'GRANT EXECUTE ON FUNCTION '
    'claim_operations(text, int, interval, int, int, int, text[], text[], int), '
    'claim_due, overdue_backups TO %I', current_schema() || '_worker');
  EXECUTE format('GRANT EXECUTE ON FUNCTION is_at_rest, is_unheld TO %I', current_schema() || '_app');
END
$do$;
