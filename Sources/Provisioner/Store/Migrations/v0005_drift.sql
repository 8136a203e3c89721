-- Ready stores are looked at now and then: what runs of them is to be what their releases say.
ALTER TABLE stores
  ADD COLUMN drift_policy text NOT NULL DEFAULT 'correct'
    CHECK (drift_policy IN ('correct', 'report')),
  -- When it is looked at next.
  ADD COLUMN drift_check_at timestamptz NOT NULL DEFAULT now(),
  -- How often its drift was corrected within a day of the last correction.
  ADD COLUMN drift_corrections int NOT NULL DEFAULT 0 CHECK (drift_corrections >= 0),
  ADD COLUMN drift_corrected_at timestamptz;
CREATE INDEX stores_drift_checks ON stores (drift_check_at)
  WHERE state = 'ready' AND release IS NOT NULL AND NOT suspended;

-- Watchers are told of what they can see, and of that alone.
DROP TRIGGER announce ON stores;
CREATE TRIGGER announce AFTER INSERT ON stores
  FOR EACH ROW EXECUTE FUNCTION announce_store();
CREATE TRIGGER announce_change AFTER UPDATE ON stores
  FOR EACH ROW WHEN (NEW.version <> OLD.version) EXECUTE FUNCTION announce_store();

-- Stores of all tenants that are due, each for one caller, who tells when it is due next: a look that came
-- to nothing is made again after `again`.
CREATE FUNCTION claim_drift_checks(wanted int, again interval)
  RETURNS TABLE (claimed text, claimed_tenant text)
  LANGUAGE sql SECURITY DEFINER SET search_path FROM CURRENT
AS $$
  UPDATE stores SET drift_check_at = clock_timestamp() + again
  WHERE id IN (
    SELECT s.id FROM stores s
    WHERE s.state = 'ready' AND s.release IS NOT NULL AND NOT s.suspended
      AND s.drift_check_at <= statement_timestamp()
      -- It may not serve what it holds until its tenant has said what is to be done about it.
      AND NOT s.conditions @> '[{"type": "Released", "reason": "RestoreFailed"}]'
      AND NOT EXISTS (
        SELECT FROM operations o WHERE o.store = s.id AND o.state IN ('pending', 'running'))
    ORDER BY s.drift_check_at LIMIT wanted FOR NO KEY UPDATE SKIP LOCKED)
  RETURNING id, tenant
$$;

DO $do$
BEGIN
  EXECUTE format(
    'GRANT EXECUTE ON FUNCTION claim_drift_checks TO %I', current_schema() || '_worker');
END
$do$;
