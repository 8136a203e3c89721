-- No store comes or goes between the count below and the trigger that goes on with it.
LOCK TABLE stores IN SHARE ROW EXCLUSIVE MODE;

-- The clusters that stores are placed on. They belong to no tenant.
CREATE TABLE clusters (
  name text COLLATE "C" PRIMARY KEY CHECK (name ~ '^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$'),
  labels jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(labels) = 'object'),
  -- NULL: no limit. What is there already may be more.
  stores_max int CHECK (stores_max > 0),
  -- Stores that are not deleted, counted by count_stores.
  stores int NOT NULL DEFAULT 0 CHECK (stores >= 0),
  schedule text NOT NULL DEFAULT 'open' CHECK (schedule IN ('open', 'cordoned', 'draining')),
  -- Whether the last checks let stores be placed there.
  ready boolean NOT NULL DEFAULT true,
  findings jsonb NOT NULL DEFAULT '[]' CHECK (jsonb_typeof(findings) = 'array'),
  checked_at timestamptz,
  server text NOT NULL DEFAULT '',
  -- The name of the secret that is its kubeconfig, kept by the config service: another one with every
  -- kubeconfig. NULL for the cluster that the provisioner is started with.
  secret text UNIQUE,
  domain_suffix text NOT NULL DEFAULT '',
  ingress_address text NOT NULL DEFAULT '',
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  CHECK ((name = 'default') = (secret IS NULL))
);

INSERT INTO clusters (name, stores)
  SELECT 'default', count(*) FROM stores WHERE cluster = 'default' AND state <> 'deleted';

-- The row's lock gives those their turns who place a store on it, or remove it.
CREATE FUNCTION count_stores() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
  IF TG_OP = 'INSERT' THEN
    UPDATE clusters SET stores = stores + 1 WHERE name = NEW.cluster;
    IF NOT FOUND THEN
      RAISE foreign_key_violation USING MESSAGE = format('cluster %s is not registered', NEW.cluster);
    END IF;
  ELSIF NEW.state = 'deleted' AND OLD.state <> 'deleted' THEN
    UPDATE clusters SET stores = stores - 1 WHERE name = NEW.cluster;
  END IF;
  RETURN NULL;
END
$$;
CREATE TRIGGER count_stores AFTER INSERT OR UPDATE OF state ON stores
  FOR EACH ROW EXECUTE FUNCTION count_stores();

-- Clusters may share a domain, so a host is of one store in all of them.
CREATE UNIQUE INDEX stores_host_anywhere ON stores (host) WHERE state <> 'deleted';

-- The stores of all tenants on a cluster, for who looks after it.
CREATE INDEX stores_of_cluster ON stores (cluster, id) WHERE state <> 'deleted';
CREATE FUNCTION cluster_stores(of_cluster text, after_id text, wanted int)
  RETURNS TABLE (id text, tenant text, name text, state text, namespace text)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT
AS $$
  SELECT s.id, s.tenant, s.name, s.state, s.namespace FROM stores s
  WHERE s.cluster = of_cluster AND s.state <> 'deleted' AND s.id > after_id
  ORDER BY s.id LIMIT wanted
$$;

-- As before, but what waits for a cluster that is busy does not take its tenant's turns elsewhere. Of the
-- stores on `clusters` alone, where they are named: the versions before know one cluster only, and would
-- make and remove all stores there.
DROP FUNCTION claim_operations(text, int, interval);
DROP FUNCTION claim_operations(text, int, interval, int, int, int, text[]);
CREATE FUNCTION claim_operations(
    claimer text, wanted int, lease interval, tenant_max int, cluster_max int, overall_max int,
    kinds text[], clusters text[])
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
    SELECT o.id, o.tenant, s.cluster, o.available_at, o.created_at,
      coalesce(b.running, 0) AS running, coalesce(b.running, 0) + row_number() OVER (
        PARTITION BY o.tenant, s.cluster ORDER BY o.available_at, o.created_at, o.id) AS turn
    FROM operations o JOIN stores s ON s.id = o.store LEFT JOIN busy_tenants b ON b.tenant = o.tenant
    WHERE o.state IN ('pending', 'running') AND o.kind = ANY (kinds) AND is_claimable(o)
      AND (clusters IS NULL OR s.cluster = ANY (clusters))
  ), placed AS (
    SELECT w.*, coalesce(b.running, 0) + row_number() OVER (
        PARTITION BY w.cluster ORDER BY w.turn, w.available_at, w.id) AS place
    FROM waiting w LEFT JOIN busy_clusters b ON b.cluster = w.cluster
    WHERE w.turn <= tenant_max
  ), ordered AS (
    SELECT id, available_at, running + row_number() OVER (
        PARTITION BY tenant ORDER BY available_at, created_at, id) AS turn
    FROM placed WHERE place <= cluster_max
  ), chosen AS (
    SELECT o.id, o.lease_expires_at IS NOT NULL AS was_interrupted
    FROM operations o JOIN ordered p ON p.id = o.id
    WHERE p.turn <= tenant_max AND is_claimable(o)
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
    claimer, wanted, lease, tenant_max, cluster_max, overall_max, ARRAY['provision', 'delete'],
    ARRAY['default'])
$$;

DO $do$
BEGIN
  EXECUTE format(
    'GRANT EXECUTE ON FUNCTION claim_operations(text, int, interval, int, int, int, text[], text[]) '
    'TO %I', current_schema() || '_worker');
  EXECUTE format(
    'GRANT SELECT, INSERT, UPDATE, DELETE ON clusters TO %I', current_schema() || '_app');
  EXECUTE format(
    'GRANT EXECUTE ON FUNCTION cluster_stores TO %I', current_schema() || '_worker');
END
$do$;
