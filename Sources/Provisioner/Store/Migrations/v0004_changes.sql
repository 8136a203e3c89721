-- Work on ready stores beside provisioning and deletion, and the releases that a store can go back to.
ALTER TABLE operations DROP CONSTRAINT operations_kind_check,
  ADD CONSTRAINT operations_kind_check CHECK (
    kind IN ('provision', 'delete', 'upgrade', 'rollback', 'suspend', 'resume')),
  -- What the store is to be afterwards; NULL: what it is.
  ADD COLUMN parameters jsonb CHECK (jsonb_typeof(parameters) = 'object'),
  -- The number of the release that the store is brought back to.
  ADD COLUMN release int CHECK (release > 0),
  -- The operation whose changes this one takes back.
  ADD COLUMN remedies uuid,
  -- What Helm has made, by its own count.
  ADD COLUMN helm_revision int,
  ADD COLUMN chart text,
  ADD CHECK (num_nulls(helm_revision, chart) IN (0, 2));
-- Of all that is done to a store only a deletion may wait for what it cancels.
CREATE UNIQUE INDEX operations_alone ON operations (store)
  WHERE state IN ('pending', 'running') AND kind <> 'delete';

ALTER TABLE stores
  ADD COLUMN release int CHECK (release > 0),
  ADD COLUMN suspended boolean NOT NULL DEFAULT false,
  ADD COLUMN conditions jsonb NOT NULL DEFAULT '[]' CHECK (jsonb_typeof(conditions) = 'array');

CREATE TABLE store_releases (
  store text COLLATE "C" NOT NULL REFERENCES stores (id),
  number int NOT NULL CHECK (number > 0),
  tenant text COLLATE "C" NOT NULL,
  chart text NOT NULL,
  parameters jsonb NOT NULL CHECK (jsonb_typeof(parameters) = 'object'),
  -- Helm's record of it: the latest one, where the release was made more than once.
  helm_revision int NOT NULL CHECK (helm_revision > 0),
  operation uuid NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (store, number)
);
SELECT protect_tenant_rows('store_releases');

CREATE OR REPLACE FUNCTION is_claimable(candidate operations) RETURNS boolean
  LANGUAGE sql VOLATILE SET search_path FROM CURRENT
AS $$
  SELECT candidate.state IN ('pending', 'running')
    AND (candidate.available_at <= clock_timestamp() OR candidate.cancel_requested_at IS NOT NULL)
    AND (candidate.lease_expires_at IS NULL OR candidate.lease_expires_at <= clock_timestamp())
    AND (candidate.kind <> 'delete' OR NOT EXISTS (
      SELECT FROM operations earlier
      WHERE earlier.store = candidate.store AND earlier.kind <> 'delete'
        AND earlier.state IN ('pending', 'running')))
$$;

-- As claim_operations of six arguments, of work that the claimer knows: one of the version before
-- can make nothing of the kinds above, and would lose all that it claimed with them.
CREATE FUNCTION claim_operations(
    claimer text, wanted int, lease interval, tenant_max int, cluster_max int, overall_max int,
    kinds text[])
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
    WHERE o.state IN ('pending', 'running') AND o.kind = ANY (kinds) AND is_claimable(o)
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

CREATE OR REPLACE FUNCTION claim_operations(
    claimer text, wanted int, lease interval, tenant_max int, cluster_max int, overall_max int)
  RETURNS TABLE (
    claimed uuid, claimed_tenant text, claimed_store text, claimed_kind text, token bigint,
    was_interrupted boolean)
  LANGUAGE sql SECURITY DEFINER SET search_path FROM CURRENT
AS $$
  SELECT * FROM claim_operations(
    claimer, wanted, lease, tenant_max, cluster_max, overall_max, ARRAY['provision', 'delete'])
$$;

-- What could have been claimed for longer than `age`, up to `wanted` of it, and how much there is of it.
CREATE FUNCTION neglected_operations(age interval, wanted int)
  RETURNS TABLE (neglected uuid, of_all bigint)
  LANGUAGE sql SECURITY DEFINER SET search_path FROM CURRENT
AS $$
  SELECT o.id, count(*) OVER () FROM operations o
  WHERE o.state IN ('pending', 'running') AND is_claimable(o)
    AND greatest(o.available_at, o.lease_expires_at) < clock_timestamp() - age
  ORDER BY greatest(o.available_at, o.lease_expires_at), o.id LIMIT wanted
$$;

DO $do$
BEGIN
  EXECUTE format(
    'GRANT EXECUTE ON FUNCTION claim_operations(text, int, interval, int, int, int, text[]), '
    'neglected_operations TO %I', current_schema() || '_worker');
  EXECUTE format(
    'GRANT SELECT, INSERT, UPDATE, DELETE ON store_releases TO %I', current_schema() || '_app');
END
$do$;
