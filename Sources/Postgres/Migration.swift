/// One change of a service's schema: a SQL script that is embedded in the service.
///
/// Scripts are named `v0001_init.sql`, `v0002_...`; an applied one is never changed. Each runs in a
/// transaction of its own, as the schema's owner, with the schema as its search path: it names no
/// schema and contains no BEGIN or COMMIT.
///
/// **Tenants.** For each table with a tenant's rows the script says
/// ```sql
/// CREATE TABLE stores (tenant text NOT NULL, ...);
/// SELECT protect_tenant_rows('stores');
/// GRANT SELECT, INSERT, UPDATE ON stores TO provisioner_app;
/// ```
/// `protect_tenant_rows(table, column => 'tenant')` enables and forces row-level security: a
/// transaction sees and writes the rows of the tenant in its scope only (`storeplane.tenant`), none
/// without one; the owner, in whose name migrations and the functions for `_worker` run, all.
///
/// **Work across tenants.** The worker role has no rights on tables. The script makes a function for
/// each task and grants it:
/// ```sql
/// CREATE FUNCTION claim_operations(count int) RETURNS SETOF operations
///   LANGUAGE sql SECURITY DEFINER SET search_path FROM CURRENT AS $$ ... $$;
/// GRANT EXECUTE ON FUNCTION claim_operations TO provisioner_worker;
/// ```
package struct Migration: Sendable {
  package let version: Int
  /// The script's name without `.sql`.
  package let name: String
  let script: String

  /// - Parameters:
  ///   - file: `v0001_init.sql`: a `v`, four digits, an underscore, lower-case words.
  ///   - contents: the script's bytes, such as `PackageResources.v0001_init_sql`.
  package init(file: String, contents: [UInt8]) throws(PostgresError) {
    guard
      let match = file.wholeMatch(of: /(v([0-9]{4})_[a-z0-9_]+)\.sql/), let version = Int(match.2),
      version > 0
    else {
      throw PostgresError(.misuse, "migration '\(file)': name it like v0001_init.sql, from 0001 on")
    }
    guard let script = String(validating: contents, as: UTF8.self), !script.utf8.contains(0) else {
      throw PostgresError(.misuse, "migration '\(file)' is not text in UTF-8")
    }
    self.version = version
    name = String(match.1)
    self.script = script
  }
}
