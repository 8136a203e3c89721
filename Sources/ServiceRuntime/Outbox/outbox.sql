-- Audit events on their way, written in the transactions of the changes they tell of. The same
-- script serves every service: the roles are those of the schema it runs in.
CREATE TABLE outbox (
  id uuid PRIMARY KEY,
  tenant text COLLATE "C" NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  -- A serialized storeplane.audit.v1.Event whose id is that of the row.
  payload bytea NOT NULL CHECK (octet_length(payload) <= 1048576),
  attempts int NOT NULL DEFAULT 0,
  -- Nobody else claims the row before then: it is being delivered, or waits for another attempt.
  claimed_until timestamptz,
  delivered_at timestamptz,
  -- Refused for good; kept for an operator, with the reason.
  rejected_at timestamptz,
  rejection text,
  CHECK ((rejected_at IS NULL) = (rejection IS NULL)),
  CHECK (delivered_at IS NULL OR rejected_at IS NULL)
);
CREATE INDEX outbox_pending ON outbox (created_at, id)
  WHERE delivered_at IS NULL AND rejected_at IS NULL;
CREATE INDEX outbox_delivered ON outbox (delivered_at) WHERE delivered_at IS NOT NULL;
CREATE INDEX outbox_rejected ON outbox (rejected_at) WHERE rejected_at IS NOT NULL;
SELECT protect_tenant_rows('outbox');

-- Gives out the oldest events that nobody holds, for `lease`. They are chosen once: a subquery of the
-- UPDATE may be run again for every row, each time skipping what it has locked, and claim them all.
CREATE FUNCTION claim_outbox(count int, lease interval)
  RETURNS TABLE (event uuid, event_payload bytea, event_attempts int)
  LANGUAGE sql SECURITY DEFINER SET search_path FROM CURRENT
AS $$
  WITH chosen AS MATERIALIZED (
    SELECT id FROM outbox
    WHERE delivered_at IS NULL AND rejected_at IS NULL
      AND (claimed_until IS NULL OR claimed_until < clock_timestamp())
    ORDER BY created_at, id LIMIT count FOR UPDATE SKIP LOCKED
  )
  UPDATE outbox SET claimed_until = clock_timestamp() + lease, attempts = attempts + 1
  FROM chosen WHERE outbox.id = chosen.id
  RETURNING outbox.id, payload, attempts
$$;

-- Marks events as recorded by audit. Repeating it changes nothing.
CREATE FUNCTION mark_outbox_delivered(events uuid[]) RETURNS void
  LANGUAGE sql SECURITY DEFINER SET search_path FROM CURRENT
AS $$
  UPDATE outbox SET delivered_at = clock_timestamp(), claimed_until = NULL
  WHERE id = ANY (events) AND delivered_at IS NULL AND rejected_at IS NULL
$$;

-- Sets events aside that audit will never take; `reasons` belong to `events` by position.
CREATE FUNCTION mark_outbox_rejected(events uuid[], reasons text[]) RETURNS void
  LANGUAGE sql SECURITY DEFINER SET search_path FROM CURRENT
AS $$
  UPDATE outbox SET rejected_at = clock_timestamp(), rejection = left(reason, 1000),
    claimed_until = NULL
  FROM unnest(events, reasons) AS refused (event, reason)
  WHERE id = event AND delivered_at IS NULL AND rejected_at IS NULL
$$;

-- Gives claimed events back, to be claimed again after `delay`.
CREATE FUNCTION release_outbox(events uuid[], delay interval) RETURNS void
  LANGUAGE sql SECURITY DEFINER SET search_path FROM CURRENT
AS $$
  UPDATE outbox SET claimed_until = clock_timestamp() + delay
  WHERE id = ANY (events) AND delivered_at IS NULL AND rejected_at IS NULL
$$;

-- Deletes events that were delivered longer than `age` ago; says how many.
CREATE FUNCTION purge_outbox(age interval, count int) RETURNS bigint
  LANGUAGE sql SECURITY DEFINER SET search_path FROM CURRENT
AS $$
  WITH old AS MATERIALIZED (
    SELECT id FROM outbox WHERE delivered_at < clock_timestamp() - age
    ORDER BY delivered_at LIMIT count FOR UPDATE SKIP LOCKED
  ), purged AS (
    DELETE FROM outbox USING old WHERE outbox.id = old.id RETURNING 1
  )
  SELECT count(*) FROM purged
$$;

-- For metrics: how much waits, since when, and how much was refused. Each part by an index of its own,
-- without the delivered events, which are nearly all.
CREATE FUNCTION outbox_backlog()
  RETURNS TABLE (pending bigint, oldest timestamptz, rejected bigint)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT
AS $$
  SELECT count(*), min(created_at),
    (SELECT count(*) FROM outbox WHERE rejected_at IS NOT NULL)
  FROM outbox WHERE delivered_at IS NULL AND rejected_at IS NULL
$$;

DO $do$
DECLARE
  app name := current_schema() || '_app';
  worker name := current_schema() || '_worker';
BEGIN
  EXECUTE format('GRANT INSERT ON outbox TO %I', app);
  EXECUTE format(
    'GRANT EXECUTE ON FUNCTION claim_outbox, mark_outbox_delivered, mark_outbox_rejected,
      release_outbox, purge_outbox, outbox_backlog TO %I', worker);
END
$do$;
