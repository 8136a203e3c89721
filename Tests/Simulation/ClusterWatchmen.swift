/// Triggers that see every change of a cluster and every store that comes to one.
enum ClusterWatchmen {
  static let text = """
    -- The stores that were on clusters when these were given up.
    CREATE UNLOGGED TABLE given_up (store text PRIMARY KEY);
    -- What became of clusters.
    CREATE UNLOGGED TABLE cluster_changes (what text NOT NULL, cluster text NOT NULL);

    CREATE FUNCTION watch_cluster() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
      SET search_path FROM CURRENT AS $$
    DECLARE
      known text := CASE WHEN TG_OP = 'UPDATE' THEN NEW.uid END;
      is_over bool := TG_OP = 'DELETE'
        OR (OLD.abandoned_at IS NOT NULL AND NEW.abandoned_at IS NULL);
    BEGIN
      IF is_over THEN
        INSERT INTO violations (what)
          SELECT format('%s was forgotten with %s on it', OLD.name, name) FROM stores
          WHERE cluster = OLD.name AND state <> 'deleted';
        INSERT INTO cluster_changes
          VALUES (CASE TG_OP WHEN 'DELETE' THEN 'unregister' ELSE 'end' END, OLD.name);
      END IF;
      IF TG_OP = 'DELETE' THEN
        RETURN NULL;
      END IF;
      IF is_over AND (known IS NOT NULL OR NEW.forced <> '{}') THEN
        INSERT INTO violations (what) SELECT format('%s is given up and still %s', OLD.name, known);
      ELSIF NOT is_over AND OLD.uid <> coalesce(known, '') THEN
        INSERT INTO violations (what)
          SELECT format('%s was %s and became %s', OLD.name, OLD.uid, known);
      END IF;
      IF OLD.abandoned_at IS NULL AND NEW.abandoned_at IS NOT NULL THEN
        INSERT INTO cluster_changes VALUES ('abandon', NEW.name);
        INSERT INTO given_up SELECT id FROM stores WHERE cluster = NEW.name AND state <> 'deleted';
      END IF;
      IF NEW.ready <> OLD.ready THEN
        INSERT INTO cluster_changes
          VALUES (CASE WHEN NEW.ready THEN 'ready again' ELSE 'not ready' END, NEW.name);
      END IF;
      -- The own one is in use whatever is found.
      IF NEW.ready AND NEW.secret IS NOT NULL AND NEW.findings @> '[{"outcome": "failed"}]' THEN
        INSERT INTO violations (what) SELECT format('%s is in use with %s', NEW.name, NEW.findings);
      END IF;
      RETURN NULL;
    END $$;
    CREATE TRIGGER watch AFTER UPDATE OR DELETE ON clusters
      FOR EACH ROW EXECUTE FUNCTION watch_cluster();

    CREATE FUNCTION watch_placement() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
      SET search_path FROM CURRENT AS $$
    BEGIN
      INSERT INTO violations (what)
        SELECT format('%s was placed on %s, which is not for new stores', NEW.name, name)
        FROM clusters WHERE name = NEW.cluster
          AND NOT (ready AND schedule = 'open' AND abandoned_at IS NULL);
      RETURN NULL;
    END $$;
    CREATE TRIGGER watch AFTER INSERT ON stores
      FOR EACH ROW EXECUTE FUNCTION watch_placement();
    """
}
