-- Replicas of the version before the one that knows several clusters still claim by this, while they are
-- replaced: the kinds of work that they know, on the one cluster that they know.
CREATE FUNCTION claim_operations(
    claimer text, wanted int, lease interval, tenant_max int, cluster_max int, overall_max int,
    kinds text[])
  RETURNS TABLE (
    claimed uuid, claimed_tenant text, claimed_store text, claimed_kind text, token bigint,
    was_interrupted boolean)
  LANGUAGE sql SECURITY DEFINER SET search_path FROM CURRENT
AS $$
  SELECT * FROM claim_operations(
    claimer, wanted, lease, tenant_max, cluster_max, overall_max, kinds, ARRAY['default'])
$$;

ALTER TABLE clusters
  -- Of its namespace kube-system, which tells it from any other; NULL until it is known.
  ADD COLUMN uid text CHECK (uid <> ''),
  -- The checks whose failures an administrator has put up with.
  ADD COLUMN forced text[] NOT NULL DEFAULT '{}',
  -- When it is to be checked again.
  ADD COLUMN check_at timestamptz NOT NULL DEFAULT now(),
  -- Given up as lost, with all stores on it, and by which request.
  ADD COLUMN abandoned_at timestamptz,
  ADD COLUMN abandon_request_id text,
  ADD COLUMN abandon_tenant text,
  ADD COLUMN abandon_principal text,
  ADD CHECK ((abandoned_at IS NULL) = (abandon_request_id IS NULL)),
  ADD CHECK (abandoned_at IS NULL OR schedule = 'draining');
-- Until now a cluster was ready with failures only where that had been forced.
UPDATE clusters SET forced = ARRAY(
  SELECT finding->>'check' FROM jsonb_array_elements(findings) finding
  WHERE finding->>'outcome' = 'failed')
WHERE ready;

-- The stores of all tenants on clusters that were given up, as far as nothing deletes them yet, or has
-- tried to just now.
CREATE FUNCTION abandoned_stores(after_id text, wanted int)
  RETURNS TABLE (id text, tenant text, cluster text)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT
AS $$
  SELECT s.id, s.tenant, s.cluster FROM stores s JOIN clusters c ON c.name = s.cluster
  WHERE c.abandoned_at IS NOT NULL AND s.state <> 'deleted' AND s.id > after_id
    AND NOT EXISTS (
      SELECT FROM operations o
      WHERE o.store = s.id AND o.kind = 'delete' AND (
        o.state IN ('pending', 'running')
        OR o.ended_at > greatest(c.abandoned_at, clock_timestamp() - interval '1 minute')))
  ORDER BY s.id LIMIT wanted
$$;

DO $do$
BEGIN
  EXECUTE format(
    'GRANT EXECUTE ON FUNCTION claim_operations(text, int, interval, int, int, int, text[]), '
    'abandoned_stores TO %I', current_schema() || '_worker');
END
$do$;
