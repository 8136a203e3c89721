-- What happened, one row an event; rows are added and never changed or removed.
CREATE TABLE events (
  -- Made where it happened: an event that is sent twice is recorded once.
  id uuid PRIMARY KEY,
  tenant text COLLATE "C" NOT NULL,
  -- Of texts, the empty one means none, as in the messages.
  store text COLLATE "C" NOT NULL,
  store_name text COLLATE "C" NOT NULL,
  revision bigint NOT NULL CHECK (revision >= 0),
  action text COLLATE "C" NOT NULL,
  previous_state text NOT NULL,
  new_state text NOT NULL,
  occurred_at timestamptz NOT NULL,
  -- One for all events of a batch.
  recorded_at timestamptz NOT NULL,
  -- Tells events that were recorded at the same moment apart. It has gaps and is no order of commits:
  -- nothing may follow it to find what is new.
  position bigint GENERATED ALWAYS AS IDENTITY,
  -- Which transaction added the event: those who wait for new events compare it with snapshots.
  transaction xid8 NOT NULL DEFAULT pg_current_xact_id(),
  -- As storeplane.audit.v1.Actor.Kind has it.
  actor_kind smallint NOT NULL,
  actor_id text COLLATE "C" NOT NULL,
  actor_address text NOT NULL,
  request_id text NOT NULL,
  trace_id text NOT NULL,
  service text COLLATE "C" NOT NULL,
  operation text COLLATE "C" NOT NULL,
  details jsonb CHECK (jsonb_typeof(details) = 'object')
);

-- Lists are in this order unless they are of one store.
CREATE INDEX events_recorded ON events (tenant, recorded_at, position);
CREATE INDEX events_occurred ON events (tenant, occurred_at);
CREATE INDEX events_action ON events (tenant, action, recorded_at);
CREATE INDEX events_actor ON events (tenant, actor_id, recorded_at);
CREATE INDEX events_store ON events (tenant, store, occurred_at) WHERE store <> '';
CREATE INDEX events_store_name ON events (tenant, store_name, occurred_at) WHERE store_name <> '';
CREATE INDEX events_transaction ON events (tenant, transaction);

SELECT protect_tenant_rows('events');
-- Reading is all that the role which serves tenants can do here.
GRANT SELECT ON events TO audit_app;

-- Nobody changes history, the owner of the table included.
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT
AS $$
BEGIN
  RAISE EXCEPTION 'events are added, never changed or removed: % is refused', TG_OP
    USING ERRCODE = 'insufficient_privilege';
END
$$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON events
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Records a batch and returns the ids of the events that were new.
--
-- A batch has events of several tenants, and a scope is of one: with a policy the role that serves
-- tenants would have to be let write for all of them. So this is a function of the worker role, the
-- only way to add an event, and whatever else may be run as audit_app cannot forge one.
CREATE FUNCTION append_events(
  ids uuid[], tenants text[], stores text[], store_names text[], revisions bigint[], actions text[],
  previous_states text[], new_states text[], times timestamptz[], actor_kinds bigint[],
  actor_ids text[], actor_addresses text[], request_ids text[], trace_ids text[], services text[],
  operations text[], contents jsonb[]
) RETURNS SETOF uuid
  LANGUAGE sql SECURITY DEFINER SET search_path FROM CURRENT
AS $$
  INSERT INTO events (
    id, tenant, store, store_name, revision, action, previous_state, new_state, occurred_at,
    recorded_at, actor_kind, actor_id, actor_address, request_id, trace_id, service, operation,
    details
  )
  SELECT
    id, tenant, store, store_name, revision, action, previous_state, new_state, occurred_at,
    statement_timestamp(), actor_kind::smallint, actor_id, actor_address, request_id, trace_id,
    service, operation, details
  FROM unnest(
    ids, tenants, stores, store_names, revisions, actions, previous_states, new_states, times,
    actor_kinds, actor_ids, actor_addresses, request_ids, trace_ids, services, operations, contents
  ) WITH ORDINALITY AS batch (
    id, tenant, store, store_name, revision, action, previous_state, new_state, occurred_at,
    actor_kind, actor_id, actor_address, request_id, trace_id, service, operation, details, place
  )
  ORDER BY place
  ON CONFLICT (id) DO NOTHING
  RETURNING id
$$;
GRANT EXECUTE ON FUNCTION append_events TO audit_worker;
