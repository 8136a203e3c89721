-- Who may sign in. Signing in happens before any tenant is known, so nothing here is reached by the
-- application role: the worker role has a function for each thing that is done.
CREATE TABLE users (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  username text COLLATE "C" NOT NULL UNIQUE CHECK (username ~ '^[a-z0-9][a-z0-9._@+-]{0,63}$'),
  password_hash text NOT NULL CHECK (octet_length(password_hash) BETWEEN 1 AND 256),
  display_name text NOT NULL CHECK (octet_length(display_name) BETWEEN 1 AND 200),
  -- The only tenant whose resources the user sees; administrators may have none.
  tenant text COLLATE "C" CHECK (tenant ~ '^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$'),
  roles text[] NOT NULL CHECK (roles <@ ARRAY['member', 'admin'] AND cardinality(roles) BETWEEN 1 AND 2),
  created_at timestamptz NOT NULL DEFAULT now(),
  CHECK (tenant IS NOT NULL OR 'admin' = ANY (roles))
);
SELECT protect_tenant_rows('users');

-- A login and what follows from it: a family of refresh tokens, of which the newest alone works.
CREATE TABLE sessions (
  id uuid PRIMARY KEY,
  user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  created_at timestamptz NOT NULL DEFAULT now(),
  -- When its newest refresh token does.
  expires_at timestamptz NOT NULL,
  ended_at timestamptz,
  end_reason text,
  CHECK ((ended_at IS NULL) = (end_reason IS NULL))
);
CREATE INDEX sessions_user ON sessions (user_id, created_at);
CREATE INDEX sessions_expiry ON sessions (expires_at);

-- Tokens are kept as SHA-256: they are random, so that nothing slower is needed.
CREATE TABLE refresh_tokens (
  hash bytea PRIMARY KEY CHECK (octet_length(hash) = 32),
  session uuid NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
  issued_at timestamptz NOT NULL DEFAULT now(),
  expires_at timestamptz NOT NULL,
  -- Presenting a used one again ends the session: one of the two who have it has stolen it.
  used_at timestamptz
);
-- Used ones last: the newest of them are looked at to count exchanges.
CREATE INDEX refresh_tokens_session ON refresh_tokens (session, used_at);

CREATE FUNCTION create_user(
  new_id uuid, new_username text, new_password_hash text, new_display_name text, new_tenant text,
  new_roles text[]
) RETURNS boolean
  LANGUAGE sql SECURITY DEFINER SET search_path FROM CURRENT
AS $$
  WITH created AS (
    INSERT INTO users (id, username, password_hash, display_name, tenant, roles)
    VALUES (new_id, new_username, new_password_hash, new_display_name, new_tenant, new_roles)
    ON CONFLICT (username) DO NOTHING
    RETURNING 1
  )
  SELECT EXISTS (SELECT FROM created)
$$;

CREATE FUNCTION user_named(wanted text) RETURNS SETOF users
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT
AS $$ SELECT * FROM users WHERE username = wanted $$;

CREATE FUNCTION user_with_id(wanted uuid) RETURNS SETOF users
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT
AS $$ SELECT * FROM users WHERE id = wanted $$;

-- Of a user's sessions the `kept` newest stay; says when the new one's token expires.
CREATE FUNCTION begin_session(
  new_session uuid, of_user uuid, token_hash bytea, lifetime interval, kept int
) RETURNS timestamptz
  LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT
AS $$
DECLARE
  expiry timestamptz := clock_timestamp() + lifetime;
BEGIN
  INSERT INTO sessions (id, user_id, expires_at) VALUES (new_session, of_user, expiry);
  INSERT INTO refresh_tokens (hash, session, expires_at) VALUES (token_hash, new_session, expiry);
  DELETE FROM sessions WHERE id IN (
    SELECT id FROM sessions WHERE user_id = of_user
    ORDER BY created_at DESC, id OFFSET kept FOR UPDATE SKIP LOCKED
  );
  RETURN expiry;
END
$$;

-- Exchanges a token for the next one. The outcome is `rotated`, `unknown`, `expired`, `ended`,
-- `limited` or `reused`; the caller ends the session for the last. Two at once take turns at the
-- session's row.
--
-- A session keeps a row for each exchange until that token expires, so that its reuse shows: what
-- bounds them is that an hour has no more than `hourly_max`. `limited` leaves the token as it is and
-- says after how many seconds it can be exchanged.
CREATE FUNCTION rotate_refresh_token(
  old_hash bytea, new_hash bytea, lifetime interval, hourly_max int,
  OUT outcome text, OUT session_id uuid, OUT owner_id uuid, OUT expiry timestamptz,
  OUT retry_seconds bigint
)
  LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT
AS $$
DECLARE
  token refresh_tokens;
  family sessions;
  now_here timestamptz;
  earliest timestamptz;
BEGIN
  SELECT session INTO session_id FROM refresh_tokens WHERE hash = old_hash;
  IF session_id IS NOT NULL THEN
    SELECT * INTO family FROM sessions WHERE id = session_id FOR UPDATE;
    SELECT * INTO token FROM refresh_tokens WHERE hash = old_hash;
  END IF;
  IF token.hash IS NULL THEN
    outcome := 'unknown';
    RETURN;
  END IF;
  owner_id := family.user_id;
  expiry := token.expires_at;
  now_here := clock_timestamp();
  SELECT used_at + interval '1 hour' INTO earliest FROM refresh_tokens
  WHERE session = session_id AND used_at IS NOT NULL
  ORDER BY used_at DESC OFFSET hourly_max - 1 LIMIT 1;
  IF family.ended_at IS NOT NULL THEN
    outcome := 'ended';
  ELSIF token.used_at IS NOT NULL THEN
    outcome := 'reused';
  ELSIF token.expires_at <= now_here THEN
    outcome := 'expired';
  ELSIF earliest > now_here THEN
    outcome := 'limited';
    retry_seconds := ceil(extract(epoch FROM earliest - now_here));
  ELSE
    outcome := 'rotated';
    expiry := now_here + lifetime;
    -- Whoever presents one of these learns no more than that it is not known.
    DELETE FROM refresh_tokens WHERE session = session_id AND expires_at <= now_here;
    UPDATE refresh_tokens SET used_at = now_here WHERE hash = old_hash;
    INSERT INTO refresh_tokens (hash, session, expires_at) VALUES (new_hash, session_id, expiry);
    UPDATE sessions SET expires_at = expiry WHERE id = session_id;
  END IF;
END
$$;

CREATE FUNCTION end_session(ending uuid, reason text) RETURNS void
  LANGUAGE sql SECURITY DEFINER SET search_path FROM CURRENT
AS $$
  UPDATE sessions SET ended_at = clock_timestamp(), end_reason = reason
  WHERE id = ending AND ended_at IS NULL
$$;

-- Forgets sessions that are over; used tokens of living ones stay, so that their reuse shows.
CREATE FUNCTION purge_sessions(count int) RETURNS bigint
  LANGUAGE sql SECURITY DEFINER SET search_path FROM CURRENT
AS $$
  WITH purged AS (
    DELETE FROM sessions WHERE id IN (
      SELECT id FROM sessions WHERE expires_at < clock_timestamp()
      ORDER BY expires_at LIMIT count FOR UPDATE SKIP LOCKED
    )
    RETURNING 1
  )
  SELECT count(*) FROM purged
$$;

GRANT EXECUTE ON FUNCTION create_user, user_named, user_with_id, begin_session,
  rotate_refresh_token, end_session, purge_sessions TO gateway_worker;
-- For a user who has a tenant, in one transaction with the audit event.
GRANT EXECUTE ON FUNCTION begin_session, end_session TO gateway_app;

-- When a tenant may create its next store.
CREATE TABLE store_cooldowns (
  tenant text COLLATE "C" PRIMARY KEY,
  until timestamptz NOT NULL,
  -- The creation that it counts from, to be taken back when the creation is refused.
  reservation uuid NOT NULL,
  -- What the client called that creation: repeating it is no second one.
  request_id text
);
SELECT protect_tenant_rows('store_cooldowns');
GRANT SELECT, INSERT, UPDATE ON store_cooldowns TO gateway_app;

-- The token buckets of all replicas together. Who spends is no tenant's row: addresses have none.
CREATE TABLE rate_buckets (
  policy text COLLATE "C" NOT NULL,
  key text COLLATE "C" NOT NULL CHECK (octet_length(key) <= 256),
  credit float8 NOT NULL,
  updated_at timestamptz NOT NULL,
  PRIMARY KEY (policy, key)
);
CREATE INDEX rate_buckets_age ON rate_buckets (updated_at);
GRANT SELECT, INSERT, UPDATE, DELETE ON rate_buckets TO gateway_app;
