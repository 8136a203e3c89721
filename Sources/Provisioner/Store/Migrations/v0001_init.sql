-- A token for each claim of an operation, growing: what a former holder still sends is refused by it.
CREATE SEQUENCE fencing_tokens AS bigint;

CREATE TABLE stores (
  id text COLLATE "C" PRIMARY KEY CHECK (id ~ '^[0-9][0-9a-z]{15}$'),
  tenant text COLLATE "C" NOT NULL CHECK (tenant <> ''),
  name text COLLATE "C" NOT NULL CHECK (name ~ '^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$'),
  engine text NOT NULL CHECK (engine IN ('woocommerce', 'medusa')),
  cluster text COLLATE "C" NOT NULL,
  namespace text COLLATE "C" NOT NULL,
  host text COLLATE "C" NOT NULL CHECK (octet_length(host) <= 253),
  parameters jsonb NOT NULL CHECK (jsonb_typeof(parameters) = 'object'),
  state text NOT NULL CHECK (
    state IN ('requested', 'provisioning', 'ready', 'failed', 'deleting', 'deleted')),
  -- Counts the transitions; version counts every change.
  revision bigint NOT NULL DEFAULT 1 CHECK (revision > 0),
  version bigint NOT NULL DEFAULT 1 CHECK (version > 0),
  -- The operation that works on the store, or the last one that did.
  operation uuid NOT NULL,
  error_code text,
  error_message text,
  error_retryable boolean,
  error_user_fault boolean,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  ready_at timestamptz,
  deleted_at timestamptz,
  CHECK ((state = 'failed') = (error_code IS NOT NULL)),
  CHECK (num_nulls(error_code, error_message, error_retryable, error_user_fault) IN (0, 4)),
  CHECK ((state = 'deleted') = (deleted_at IS NOT NULL))
);
CREATE UNIQUE INDEX stores_name ON stores (tenant, name) WHERE state <> 'deleted';
CREATE UNIQUE INDEX stores_host ON stores (cluster, host) WHERE state <> 'deleted';
CREATE UNIQUE INDEX stores_namespace ON stores (cluster, namespace);
CREATE INDEX stores_newest ON stores (tenant, created_at DESC, id DESC);
SELECT protect_tenant_rows('stores');

-- Every transition of every store: watchers are shown each, however fast they follow one another.
CREATE TABLE store_transitions (
  store text COLLATE "C" NOT NULL REFERENCES stores (id),
  revision bigint NOT NULL,
  tenant text COLLATE "C" NOT NULL,
  version bigint NOT NULL,
  previous_state text,
  state text NOT NULL,
  operation uuid NOT NULL,
  error_code text,
  error_message text,
  error_retryable boolean,
  error_user_fault boolean,
  occurred_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (store, revision)
);
SELECT protect_tenant_rows('store_transitions');

CREATE TABLE operations (
  id uuid PRIMARY KEY,
  tenant text COLLATE "C" NOT NULL,
  store text COLLATE "C" NOT NULL REFERENCES stores (id),
  kind text NOT NULL CHECK (kind IN ('provision', 'delete')),
  state text NOT NULL DEFAULT 'pending'
    CHECK (state IN ('pending', 'running', 'succeeded', 'failed', 'cancelled')),
  progress_percent int NOT NULL DEFAULT 0 CHECK (progress_percent BETWEEN 0 AND 100),
  error_code text,
  error_message text,
  error_retryable boolean,
  error_user_fault boolean,
  revision bigint NOT NULL DEFAULT 1,
  -- The request that asked for the work.
  request_id text NOT NULL,
  -- What the caller gave to make asking again safe.
  request_key uuid,
  traceparent text,
  tracestate text,
  principal text,
  created_at timestamptz NOT NULL DEFAULT now(),
  started_at timestamptz,
  updated_at timestamptz NOT NULL DEFAULT now(),
  ended_at timestamptz,
  -- The lease: who works on it, by which token, until when unless it is renewed. None while the
  -- operation waits; one that is past has a holder that died.
  holder text,
  fence bigint NOT NULL DEFAULT 0,
  lease_expires_at timestamptz,
  -- Nobody takes it before then.
  available_at timestamptz NOT NULL DEFAULT now(),
  cancel_requested_at timestamptz,
  CHECK ((state = 'failed') = (error_code IS NOT NULL)),
  CHECK (num_nulls(error_code, error_message, error_retryable, error_user_fault) IN (0, 4)),
  CHECK ((state IN ('succeeded', 'failed', 'cancelled')) = (ended_at IS NOT NULL)),
  CHECK (lease_expires_at IS NULL OR state = 'running'),
  CHECK ((holder IS NULL) = (lease_expires_at IS NULL))
);
-- A deletion may wait for the provisioning that it cancels; nothing else goes side by side.
CREATE UNIQUE INDEX operations_alive ON operations (store, kind)
  WHERE state IN ('pending', 'running');
CREATE UNIQUE INDEX operations_request ON operations (tenant, request_key);
CREATE INDEX operations_work ON operations (tenant, available_at, created_at)
  WHERE state IN ('pending', 'running');
CREATE INDEX operations_newest ON operations (tenant, created_at DESC, id DESC);
CREATE INDEX operations_of_store ON operations (store, created_at DESC, id DESC);
SELECT protect_tenant_rows('operations');

CREATE TABLE operation_steps (
  operation uuid NOT NULL REFERENCES operations (id),
  position int NOT NULL,
  tenant text COLLATE "C" NOT NULL,
  name text NOT NULL,
  state text NOT NULL DEFAULT 'pending'
    CHECK (state IN ('pending', 'running', 'waiting', 'succeeded', 'failed', 'skipped')),
  -- Begun, and failed: the difference was cut off by a crash, a shutdown or a lost lease.
  attempts int NOT NULL DEFAULT 0,
  failures int NOT NULL DEFAULT 0,
  detail text NOT NULL DEFAULT '',
  error_code text,
  error_message text,
  error_retryable boolean,
  error_user_fault boolean,
  started_at timestamptz,
  ended_at timestamptz,
  next_attempt_at timestamptz,
  PRIMARY KEY (operation, position),
  UNIQUE (operation, name),
  CHECK (num_nulls(error_code, error_message, error_retryable, error_user_fault) IN (0, 4))
);
SELECT protect_tenant_rows('operation_steps');

-- Watchers and workers are told by NOTIFY, with nothing but an id.
CREATE FUNCTION announce_store() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_notify('provisioner_stores', NEW.id);
  RETURN NULL;
END
$$;
CREATE TRIGGER announce AFTER INSERT OR UPDATE ON stores
  FOR EACH ROW EXECUTE FUNCTION announce_store();

CREATE FUNCTION announce_operation() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'INSERT' THEN
    PERFORM pg_notify('provisioner_operations', NEW.id::text);
    PERFORM pg_notify('provisioner_work', '');
    RETURN NULL;
  END IF;
  IF NEW.revision <> OLD.revision THEN
    PERFORM pg_notify('provisioner_operations', NEW.id::text);
  END IF;
  IF NEW.cancel_requested_at IS NOT NULL AND OLD.cancel_requested_at IS NULL THEN
    PERFORM pg_notify('provisioner_cancellations', NEW.id::text);
  END IF;
  -- Free to be taken, perhaps: given back, or out of another's way.
  IF OLD.lease_expires_at IS NOT NULL AND NEW.lease_expires_at IS NULL THEN
    PERFORM pg_notify('provisioner_work', '');
  END IF;
  RETURN NULL;
END
$$;
CREATE TRIGGER announce AFTER INSERT OR UPDATE ON operations
  FOR EACH ROW EXECUTE FUNCTION announce_operation();

-- Whether somebody may take an operation now.
CREATE FUNCTION is_claimable(candidate operations) RETURNS boolean
  LANGUAGE sql VOLATILE SET search_path FROM CURRENT
AS $$
  SELECT candidate.state IN ('pending', 'running')
    AND (candidate.available_at <= clock_timestamp() OR candidate.cancel_requested_at IS NOT NULL)
    AND (candidate.lease_expires_at IS NULL OR candidate.lease_expires_at <= clock_timestamp())
    AND (candidate.kind = 'provision' OR NOT EXISTS (
      SELECT FROM operations earlier
      WHERE earlier.store = candidate.store AND earlier.kind = 'provision'
        AND earlier.state IN ('pending', 'running')))
$$;

-- Gives out up to `wanted` operations under a lease, each with a new fencing token. Tenants take
-- turns: who has less under way goes first, and of a tenant what has waited longest.
CREATE FUNCTION claim_operations(claimer text, wanted int, lease interval)
  RETURNS TABLE (
    claimed uuid, claimed_tenant text, claimed_store text, claimed_kind text, token bigint,
    was_interrupted boolean)
  LANGUAGE sql SECURITY DEFINER SET search_path FROM CURRENT
AS $$
  WITH busy AS (
    SELECT tenant, count(*) AS running FROM operations
    WHERE state = 'running' AND lease_expires_at > clock_timestamp() GROUP BY tenant
  ), waiting AS (
    SELECT o.id, o.available_at, coalesce(busy.running, 0) + row_number() OVER (
        PARTITION BY o.tenant ORDER BY o.available_at, o.created_at, o.id) AS turn
    FROM operations o LEFT JOIN busy USING (tenant)
    WHERE o.state IN ('pending', 'running') AND is_claimable(o)
  ), chosen AS (
    SELECT o.id, o.lease_expires_at IS NOT NULL AS was_interrupted
    FROM operations o JOIN waiting w ON w.id = o.id
    WHERE is_claimable(o)
    ORDER BY w.turn, w.available_at, o.id
    LIMIT wanted FOR UPDATE OF o SKIP LOCKED
  )
  UPDATE operations o
  SET state = 'running', holder = claimer, fence = nextval('fencing_tokens'),
    lease_expires_at = clock_timestamp() + lease,
    started_at = coalesce(o.started_at, clock_timestamp()), updated_at = clock_timestamp(),
    revision = o.revision + 1
  FROM chosen WHERE o.id = chosen.id
  RETURNING o.id, o.tenant, o.store, o.kind, o.fence, chosen.was_interrupted
$$;

-- Renews leases that are not over yet, and tells who is to stop. A token that is not returned is lost,
-- though the same process may hold the operation by a later one.
CREATE FUNCTION renew_leases(held uuid[], tokens bigint[], lease interval)
  RETURNS TABLE (renewed bigint, is_cancelled boolean)
  LANGUAGE sql SECURITY DEFINER SET search_path FROM CURRENT
AS $$
  UPDATE operations SET lease_expires_at = clock_timestamp() + lease
  FROM unnest(held, tokens) AS mine (operation, token)
  WHERE id = mine.operation AND fence = mine.token AND lease_expires_at > clock_timestamp()
  RETURNING fence, cancel_requested_at IS NOT NULL
$$;

-- How long until something can be claimed that cannot be now; NULL where nothing waits for a time.
CREATE FUNCTION next_claim_in() RETURNS interval
  LANGUAGE sql SECURITY DEFINER SET search_path FROM CURRENT
AS $$
  SELECT min(greatest(available_at, lease_expires_at)) - clock_timestamp()
  FROM operations WHERE state IN ('pending', 'running')
    AND greatest(available_at, lease_expires_at) > clock_timestamp()
$$;

DO $do$
DECLARE
  app name := current_schema() || '_app';
  worker name := current_schema() || '_worker';
BEGIN
  EXECUTE format(
    'GRANT SELECT, INSERT, UPDATE ON stores, operations, operation_steps TO %I', app);
  EXECUTE format('GRANT SELECT, INSERT ON store_transitions TO %I', app);
  EXECUTE format(
    'GRANT EXECUTE ON FUNCTION claim_operations, renew_leases, next_claim_in TO %I', worker);
END
$do$;
