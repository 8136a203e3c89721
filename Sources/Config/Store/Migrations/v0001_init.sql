-- Tenants. An administrator lists them all by list_tenants, the only way across tenants.
CREATE TABLE tenants (
  id text COLLATE "C" PRIMARY KEY CHECK (id ~ '^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$'),
  display_name text NOT NULL CHECK (octet_length(display_name) BETWEEN 1 AND 200),
  revision bigint NOT NULL DEFAULT 1 CHECK (revision > 0),
  -- The request that created it, so that the request can be repeated.
  request_id uuid UNIQUE,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now()
);
SELECT protect_tenant_rows('tenants', 'id');
-- Rows are locked to give a tenant's writers their turns, which takes the right to update.
GRANT SELECT, INSERT, UPDATE (display_name, revision, updated_at) ON tenants TO config_app;

CREATE FUNCTION list_tenants(after_id text, count int) RETURNS SETOF tenants
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT
AS $$
  SELECT * FROM tenants WHERE id > after_id ORDER BY id LIMIT count
$$;
GRANT EXECUTE ON FUNCTION list_tenants TO config_worker;

-- Settings, one tree a tenant.
CREATE TABLE settings (
  tenant text COLLATE "C" PRIMARY KEY REFERENCES tenants (id),
  tree jsonb NOT NULL 
    CHECK (jsonb_typeof(tree) = 'object')
    CONSTRAINT settings_tree_size CHECK (octet_length(tree::text) <= 1048576),
  revision bigint NOT NULL CHECK (revision > 0),
  updated_at timestamptz NOT NULL DEFAULT now()
);
SELECT protect_tenant_rows('settings');
GRANT SELECT, INSERT, UPDATE ON settings TO config_app;

-- Proves at the start that a key-encryption key is the one that this database was written with.
CREATE TABLE key_checks (
  kek_version bigint PRIMARY KEY CHECK (kek_version BETWEEN 0 AND 4294967295),
  wrapped bytea NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now()
);
GRANT SELECT, INSERT ON key_checks TO config_app;

-- The keys that seal a tenant's secrets, themselves sealed by a key-encryption key.
CREATE TABLE data_keys (
  id uuid PRIMARY KEY,
  tenant text COLLATE "C" NOT NULL REFERENCES tenants (id),
  wrapped bytea NOT NULL,
  kek_version bigint NOT NULL CHECK (kek_version BETWEEN 0 AND 4294967295),
  -- The one that seals what is new; the others open what they sealed.
  is_current boolean NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  UNIQUE (tenant, id)
);
CREATE UNIQUE INDEX data_keys_current ON data_keys (tenant) WHERE is_current;
SELECT protect_tenant_rows('data_keys');
GRANT SELECT, INSERT ON data_keys TO config_app;

-- Secrets, one row each. Format 1 is the versioned envelope, bound to tenant, name and version.
CREATE TABLE secrets (
  tenant text COLLATE "C" NOT NULL,
  name text COLLATE "C" NOT NULL CHECK (name ~ '^[A-Za-z0-9_.-]{1,128}$'),
  version bigint NOT NULL CHECK (version > 0),
  format smallint NOT NULL,
  envelope bytea NOT NULL,
  data_key uuid NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant, name),
  FOREIGN KEY (tenant, data_key) REFERENCES data_keys (tenant, id)
);
SELECT protect_tenant_rows('secrets');
GRANT SELECT, INSERT, UPDATE, DELETE ON secrets TO config_app;

-- What was generated for stores; never changed, only deleted with the store.
CREATE TABLE store_credentials (
  tenant text COLLATE "C" NOT NULL,
  store text COLLATE "C" NOT NULL CHECK (store ~ '^[A-Za-z0-9_.-]{1,128}$'),
  name text COLLATE "C" NOT NULL CHECK (name ~ '^[A-Za-z0-9_.-]{1,128}$'),
  format smallint NOT NULL,
  envelope bytea NOT NULL,
  data_key uuid NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant, store, name),
  FOREIGN KEY (tenant, data_key) REFERENCES data_keys (tenant, id)
);
SELECT protect_tenant_rows('store_credentials');
GRANT SELECT, INSERT, DELETE ON store_credentials TO config_app;
