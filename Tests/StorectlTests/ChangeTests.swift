import JSON
import ProvisionerService
import ProvisionerTestKit
import Testing

extension StorectlTests {
  /// Upgrades, rollbacks, suspensions.
  @Suite struct Changes {
    @Test func aStoreIsUpgradedRolledBackSuspendedAndResumed() async throws {
      let user = try await StorectlUser.signedIn(try await TestPlatform.shared())
      let name = "shop-\(UInt32.random(in: 0 ... .max))"
      let made = try user.run(
        "stores", "create", "--name", name, "--engine", "woocommerce", "--wait")
      #expect(made.status == 0, "\(made.errors)")
      let path = "wordpress.php.ini.post_max_size"
      let upgraded = try user.run("stores", "upgrade", name, "--set", "\(path)=64M", "--wait")
      #expect(upgraded.output.hasPrefix("\(name) runs release 2: https://\(name)"))
      #expect(upgraded.errors.contains("  check "))
      let releases = try user.run("stores", "releases", name)
      #expect(releases.lines.count == 3, "\(releases.errors)")
      #expect(releases.lines[1].hasPrefix("2 (current)  fake-1.0.0  "))
      #expect(releases.lines[1].contains("  \(path)=64M  "))
      #expect(!releases.lines[2].contains("="))
      let unset = try user.run("stores", "upgrade", name, "--set", "\(path)=null", "--wait")
      #expect(unset.output.hasPrefix("\(name) runs release 3: "))
      let back = try user.run("stores", "rollback", name, "--to", "2", "--wait", "-o", "json")
      #expect(back.json?.object?["release"]?.int64 == 4, "\(back.errors)")
      let values = back.json?.object?["parameters"]?["values"]
      #expect(values == ["wordpress": ["php": ["ini": ["post_max_size": "64M"]]]])

      #expect(try user.run("stores", "get", name).output.contains("drift      correct\n"))
      let updated = try user.run("stores", "update", name, "--drift", "report")
      #expect(updated.output == "\(name): drift is reported\n", "\(updated.errors)")
      #expect(try user.run("stores", "get", name).output.contains("drift      report\n"))
      #expect(try user.run("stores", "update", name, "--drift", "ignore").status == 2)

      let suspended = try user.run("stores", "suspend", name, "--wait")
      #expect(suspended.output.contains("is suspended; storectl stores resume \(name)"))
      let shown = try user.run("stores", "get", name).output
      #expect(shown.contains("release    4\n"))
      #expect(shown.contains("Suspended  true: resume the store to start it again\n"), "\(shown)")
      #expect(try user.run("stores", "suspend", name).status == 5)
      let resumed = try user.run("stores", "resume", name, "--wait")
      #expect(resumed.output.hasPrefix("\(name) runs release 4: "), "\(resumed.errors)")
    }

    @Test func aStoreIsBackedUpRestoredAndDeletedAfterALastBackup() async throws {
      let platform = try await TestPlatform.shared()
      let user = try await StorectlUser.signedIn(platform)
      let name = "shop-\(UInt32.random(in: 0 ... .max))"
      let made = try user.run(
        "stores", "create", "--name", name, "--engine", "woocommerce", "--wait", "-o", "json")
      let store = try #require(made.json?.object?["id"]?.string, "\(made.errors)")
      platform.cluster.setData(of: store, to: "then")
      let done = try user.run("stores", "backup", name, "--wait")
      #expect(done.output.hasPrefix("\(name) is backed up as "), "\(done.errors)")
      let listed = try user.run("backups", "list", "--store", name)
      #expect(listed.lines.count == 2 && listed.lines[1].contains("  available  "))
      let backup = String(listed.lines[1].prefix(36))
      #expect(done.output.contains(backup))
      let shown = try user.run("backups", "describe", backup).output
      #expect(shown.contains("sha-256    0000") && shown.contains("(\(store))"), "\(shown)")
      platform.cluster.setData(of: store, to: "now")
      // Nobody is there to be asked.
      #expect(try user.run("stores", "restore", name, "--backup", backup).status == 2)
      platform.cluster.script(
        .restore, of: name, [.fail(ProvisionFailure(.backupDamaged, "it has 3 bytes"))])
      let failed = try user.run("stores", "restore", name, "--backup", backup, "--yes", "--wait")
      #expect(failed.status == 1)
      #expect(
        failed.errors.contains("BACKUP_DAMAGED: the backup's file is damaged: it has 3 bytes"))
      #expect(failed.errors.contains("storectl stores restore \(name) --backup \(backup) --wait"))
      let back = try user.run("stores", "restore", name, "--backup", backup, "--yes", "--wait")
      #expect(back.output == "\(name) has the data of \(backup)\n", "\(back.errors)")
      #expect(platform.cluster.data(of: store) == "then")
      let copy = try user.run(
        "stores", "create", "--name", name + "-2", "--engine", "woocommerce", "--from-backup",
        backup,
        "--wait", "-o", "json")
      #expect(copy.json?.object?["id"]?.string.map { platform.cluster.data(of: $0) } == "then")
      let gone = try user.run("stores", "delete", name, "--final-backup", "--yes", "--wait")
      #expect(gone.output == "\(name) is deleted\n", "\(gone.errors)")
      #expect(try user.run("backups", "list", "--store", store).lines.count == 3)
      let given = try user.run("backups", "delete", backup, "--yes")
      #expect(given.output.contains("state      deleting"), "\(given.errors)")
      #expect(try user.run("stores", "restore", name + "-2", "--backup", "x", "--yes").status == 6)
    }

    @Test func aBackupIsTested() async throws {
      let platform = try await TestPlatform.shared()
      let user = try await StorectlUser.signedIn(platform)
      let name = "shop-\(UInt32.random(in: 0 ... .max))"
      let made = try user.run(
        "stores", "create", "--name", name, "--engine", "woocommerce", "--backup-interval", "12h",
        "--wait")
      #expect(made.status == 0, "\(made.errors)")
      #expect(try user.run("stores", "backup", name, "--wait").status == 0)
      let list = { try user.run("backups", "list", "--store", name).lines }
      let backup = String(try #require(try list().last).prefix(36))
      let good = try user.run("backups", "test", backup, "--wait")
      #expect(good.output == "a store can be brought to \(backup)\n", "\(good.errors)")
      #expect(try list().last?.hasSuffix("  good") == true)
      platform.cluster.script(
        .backupTest, of: name, [.fail(ProvisionFailure(.backupDamaged, "it has 3 bytes"))])
      let failed = try user.run("backups", "test", backup, "--wait")
      #expect(failed.status == 1)
      #expect(
        failed.errors.contains("BACKUP_DAMAGED: the backup's file is damaged: it has 3 bytes"))
      #expect(failed.errors.contains("storectl backups describe \(backup)"))
      #expect(try list().last?.hasSuffix("  BACKUP_DAMAGED") == true)
      let shown = try user.run("backups", "describe", backup).output
      #expect(shown.contains("test error  BACKUP_DAMAGED: the backup's file"), "\(shown)")
      let store = try user.run("stores", "get", name).output
      #expect(store.contains("BackupTested  false: test of a backup failed: "), "\(store)")
      #expect(try user.run("backups", "test", "x").status == 6)
      #expect(try user.run("backups", "test", "0c2f6c1e-6c0c-4d39-9c0e-2b8e0a5a7a11").status == 3)
    }

    @Test func howOftenAStoreIsBackedUpIsGivenAndShown() async throws {
      let platform = try await TestPlatform.shared()
      let user = try await StorectlUser.signedIn(platform)
      let name = "shop-\(UInt32.random(in: 0 ... .max))"
      let made = try user.run(
        "stores", "create", "--name", name, "--engine", "woocommerce", "--backup-interval", "12h",
        "--wait")
      #expect(made.status == 0, "\(made.errors)")
      let shown = { try user.run("stores", "get", name).output }
      #expect(try shown().contains("backups    every 12h"))
      for (given, words) in [
        ("36h", "every 36h"), ("7d", "every 7d"), ("168h", "every 7d"), ("5400s", "every 90m"),
        ("never", "never"),
        ("default", "default"),
      ] {
        let updated = try user.run("stores", "update", name, "--backup-interval", given)
        #expect(
          updated.output == "\(name): backups: \(words)\n",
          "\(updated.errors)")
        #expect(try shown().contains("backups    \(words)"))
      }
      let both = try user.run(
        "stores", "update", name, "--drift", "report", "--backup-interval", "1h")
      #expect(both.output == "\(name): drift is reported, backups: every 1h\n")
      #expect(try user.run("stores", "update", name).status == 2)
      for wrong in ["", "12", "h", "-1h", "0h", "1.5h", "1w", "999999999999999d"] {
        let refused = try user.run("stores", "update", name, "--backup-interval=\(wrong)")
        #expect(refused.status == 2, "\(wrong)")
      }
      for outside in ["59m", "31d"] {
        let refused = try user.run("stores", "update", name, "--backup-interval", outside)
        #expect(refused.status == 6 && refused.errors.contains("backup_schedule.interval"))
      }
    }

    @Test func whatIsWrongIsSaid() async throws {
      let platform = try await TestPlatform.shared()
      let user = try await StorectlUser.signedIn(platform)
      let name = "shop-\(UInt32.random(in: 0 ... .max))"
      #expect(try user.run("stores", "suspend", name).status == 3)
      let made = try user.run(
        "stores", "create", "--name", name, "--engine", "woocommerce", "--wait")
      #expect(made.status == 0, "\(made.errors)")
      let nothingBefore = try user.run("stores", "rollback", name)
      #expect(nothingBefore.status == 6)
      #expect(nothingBefore.errors.contains("there are: 1"))
      #expect(try user.run("stores", "rollback", name, "--to", "0").status == 2)
      let foreign = try user.run("stores", "upgrade", name, "--set", "existingSecret=x")
      #expect(foreign.status == 6)
      #expect(foreign.errors.contains("values.existingSecret"))
      platform.cluster.script(
        .check, of: name, [.fail(ProvisionFailure(.quotaExceeded, "requests.cpu: 2 of 1"))])
      let failed = try user.run("stores", "upgrade", name, "--wait")
      #expect(failed.status == 1)
      #expect(failed.errors.contains("error: upgrade of \(name) failed at the step check\n"))
      #expect(failed.errors.contains("storectl stores upgrade \(name) [--set as before] --wait"))
      #expect(failed.errors.contains("The store goes back to its release first"))
      let shown = try user.run("stores", "get", name).output
      #expect(shown.contains("Released   false: upgrade failed: "), "\(shown)")
    }
  }
}
