-- Copies of stores' data in the object store. They outlive their stores.
ALTER TABLE operations DROP CONSTRAINT operations_kind_check,
  ADD CONSTRAINT operations_kind_check CHECK (
    kind IN (
      'provision', 'delete', 'upgrade', 'rollback', 'suspend', 'resume', 'backup', 'restore')),
  -- The backup that it makes, or takes the data from.
  ADD COLUMN backup uuid;
CREATE INDEX operations_backup ON operations (backup)
  WHERE backup IS NOT NULL AND state IN ('pending', 'running');

CREATE TABLE backups (
  id uuid PRIMARY KEY,
  tenant text COLLATE "C" NOT NULL,
  store text COLLATE "C" NOT NULL REFERENCES stores (id),
  store_name text COLLATE "C" NOT NULL,
  engine text NOT NULL CHECK (engine IN ('woocommerce', 'medusa')),
  chart text,
  -- The one that makes it, or made it.
  operation uuid NOT NULL UNIQUE,
  state text NOT NULL DEFAULT 'creating' CHECK (state IN ('creating', 'available', 'deleting')),
  bytes bigint CHECK (bytes > 0),
  sha256 text CHECK (sha256 ~ '^[0-9a-f]{64}$'),
  created_at timestamptz NOT NULL DEFAULT now(),
  ended_at timestamptz,
  -- When the removal of its file was last begun, or not to be before.
  tried_at timestamptz,
  CHECK (num_nulls(bytes, sha256, ended_at) IN (0, 3)),
  CHECK (state <> 'available' OR ended_at IS NOT NULL)
);
CREATE INDEX backups_newest ON backups (tenant, created_at DESC, id DESC);
CREATE INDEX backups_of_store ON backups (store, ended_at DESC, id DESC);
CREATE INDEX backups_deleting ON backups (tried_at, id) WHERE state = 'deleting';
SELECT protect_tenant_rows('backups');

-- Gives up backups that were made more than `age` ago, and those of a store beyond the `kept` newest.
-- What an operation works from stays. Two at once give up each one once.
CREATE FUNCTION expire_backups(age interval, kept int, wanted int) RETURNS bigint
  LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT
AS $$
DECLARE
  doomed uuid[];
  expired bigint;
BEGIN
  SELECT array_agg(id) INTO doomed FROM (
    SELECT b.id FROM backups b
    WHERE b.state = 'available' AND (
      b.ended_at < clock_timestamp() - age
      OR (SELECT count(*) FROM backups newer
          WHERE newer.store = b.store AND newer.state = 'available'
            AND (newer.ended_at, newer.id) > (b.ended_at, b.id)) >= kept)
    ORDER BY b.ended_at LIMIT wanted FOR UPDATE OF b SKIP LOCKED) AS locked;
  -- Asked only now: what took one of them before it was locked is seen.
  UPDATE backups b SET state = 'deleting' WHERE b.id = ANY (doomed) AND NOT EXISTS (
    SELECT FROM operations o WHERE o.backup = b.id AND o.state IN ('pending', 'running'));
  GET DIAGNOSTICS expired = ROW_COUNT;
  RETURN expired;
END
$$;

-- Gives out up to `wanted` backups whose files are to be removed, each to one caller in `patience`.
CREATE FUNCTION removable_backups(wanted int, patience interval)
  RETURNS TABLE (removable uuid, removable_store text, removable_tenant text)
  LANGUAGE sql SECURITY DEFINER SET search_path FROM CURRENT
AS $$
  UPDATE backups SET tried_at = clock_timestamp() WHERE id IN (
    SELECT id FROM backups
    WHERE state = 'deleting' AND (tried_at IS NULL OR tried_at < clock_timestamp() - patience)
    ORDER BY tried_at NULLS FIRST, id LIMIT wanted FOR UPDATE SKIP LOCKED)
  RETURNING id, store, tenant
$$;

-- The files are gone.
CREATE FUNCTION forget_backups(gone uuid[]) RETURNS bigint
  LANGUAGE sql SECURITY DEFINER SET search_path FROM CURRENT
AS $$
  WITH forgotten AS (
    DELETE FROM backups WHERE id = ANY (gone) AND state = 'deleting' RETURNING 1
  )
  SELECT count(*) FROM forgotten
$$;

DO $do$
BEGIN
  EXECUTE format('GRANT SELECT, INSERT, UPDATE ON backups TO %I', current_schema() || '_app');
  EXECUTE format(
    'GRANT EXECUTE ON FUNCTION expire_backups, removable_backups, forget_backups TO %I',
    current_schema() || '_worker');
END
$do$;
