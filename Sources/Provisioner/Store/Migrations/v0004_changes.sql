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

DO $do$
BEGIN
  EXECUTE format(
    'GRANT SELECT, INSERT, UPDATE, DELETE ON store_releases TO %I', current_schema() || '_app');
END
$do$;
