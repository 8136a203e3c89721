-- The platform's own secrets, such as the kubeconfigs of clusters, are those of a tenant that nobody
-- belongs to: no id that a tenant can have is its.
ALTER TABLE tenants DROP CONSTRAINT tenants_id_check,
  ADD CONSTRAINT tenants_id_check CHECK (
    id ~ '^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$' OR id = '~platform');
INSERT INTO tenants (id, display_name) VALUES ('~platform', 'The platform itself');

CREATE OR REPLACE FUNCTION list_tenants(after_id text, count int) RETURNS SETOF tenants
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT
AS $$
  SELECT * FROM tenants WHERE id > after_id AND id <> '~platform' ORDER BY id LIMIT count
$$;
