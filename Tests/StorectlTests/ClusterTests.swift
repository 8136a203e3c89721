import Foundation
import JSON
import Testing

extension StorectlTests {
  /// The register of clusters. A kubeconfig of these tests is the name of a server.
  @Suite struct Clusters {
    @Test func aClusterIsRegisteredDrainedAndRemoved() async throws {
      let platform = try await TestPlatform.withClusters()
      let admin = try await platform.signedInAdministrator()
      let user = try await StorectlUser.signedIn(platform)
      let name = "c\(UInt32.random(in: 0 ... .max))"
      let made = try admin.run(
        "clusters", "register", name, "--label", "region=\(name)", "--stores-max", "2",
        input: "https://eu.example.com")
      #expect(made.status == 0, "\(made.errors)")
      #expect(made.lines.contains("state       ready"), "\(made.output)")
      #expect(made.output.contains("stores      0 of 2\n"))
      #expect(made.output.contains("version     passed: Kubernetes v1.99.0\n"))
      let again = try admin.run("clusters", "register", name, input: "https://eu.example.com")
      #expect(again.status == 5 && again.errors.contains("exists already"))
      let listed = try admin.run("clusters", "list")
      #expect(listed.lines.contains { $0.hasPrefix("\(name)") && $0.contains("region=\(name)") })
      #expect(listed.lines.contains { $0.hasPrefix("default") })

      let store = "shop-\(UInt32.random(in: 0 ... .max))"
      let created = try user.run(
        "stores", "create", "--name", store, "--engine", "woocommerce", "--cluster-label",
        "region=\(name)", "--wait")
      #expect(created.status == 0, "\(created.errors)")
      #expect(try user.run("stores", "get", store).output.contains("cluster    \(name)\n"))

      #expect(try admin.run("clusters", "cordon", name).output == "\(name) is cordoned\n")
      let closed = try user.run(
        "stores", "create", "--name", "\(store)-2", "--engine", "woocommerce", "--cluster", name)
      #expect(closed.status == 5 && closed.errors.contains("take no new stores"))
      #expect(try admin.run("clusters", "uncordon", name).status == 0)

      let drained = try admin.run("clusters", "drain", name)
      #expect(drained.status == 1 && drained.output.contains(store))
      #expect(drained.errors.contains("1 are still there"))
      let kept = try admin.run("clusters", "remove", name, "--yes")
      #expect(kept.status == 5 && kept.errors.contains("1 store is on the cluster"))
      let upgraded = try user.run("stores", "upgrade", store)
      #expect(upgraded.status == 5 && upgraded.errors.contains("being emptied"))
      #expect(try user.run("stores", "delete", store, "--yes", "--wait").status == 0)
      let empty = try admin.run("clusters", "drain", name)
      #expect(empty.status == 0 && empty.output.contains("\(name) is drained"))
      #expect(try admin.run("clusters", "remove", name, "--yes").output == "\(name) is removed\n")
      #expect(try admin.run("clusters", "describe", name).status == 3)
    }

    @Test func aClusterIsChangedAndChecked() async throws {
      let platform = try await TestPlatform.withClusters()
      let admin = try await platform.signedInAdministrator()
      let name = "c\(UInt32.random(in: 0 ... .max))"
      let file = admin.folder.appendingPathComponent("kubeconfig-\(name)")
      try "https://one.example.com".write(to: file, atomically: true, encoding: .utf8)
      let checked = try admin.run(
        "clusters", "register", name, "--kubeconfig", file.path, "--check-only", "-o", "json")
      #expect(checked.json?.object?["ready"] == true, "\(checked.errors)")
      #expect(try admin.run("clusters", "get", name).status == 3)
      let made = try admin.run("clusters", "register", name, "--kubeconfig", file.path)
      #expect(made.status == 0, "\(made.errors)")
      let changed = try admin.run(
        "clusters", "update", name, "--label", "a=1", "--label", "b=2", "--stores-max", "7",
        "--domain-suffix", "eu.example.com", "-o", "json")
      #expect(changed.json?.object?["labels"] == ["a": "1", "b": "2"], "\(changed.errors)")
      #expect(changed.json?.object?["storesMax"] == 7)
      let moved = try admin.run(
        "clusters", "update", name, "--remove-label", "a", "--kubeconfig", "-",
        input: "https://two.example.com\n")
      #expect(moved.output.contains("https://two.example.com"), "\(moved.errors)")
      #expect(moved.output.contains("labels         b=2\n"), "\(moved.output)")
      #expect(moved.output.contains("uid            cluster\n"), "\(moved.output)")
      let other = try admin.run("clusters", "update", name, "--kubernetes-uid", "other")
      #expect(other.output.contains("uid            other\n"), "\(other.errors)")
      let away = try admin.run("clusters", "check", name)
      #expect(away.output.contains("state          not ready\n"), "\(away.output)")
      let misled = try admin.run(
        "clusters", "update", name, "--force", "--kubeconfig", "-", input: "https://three")
      #expect(misled.status == 5 && misled.errors.contains("leads to another cluster"))
      #expect(try admin.run("clusters", "check", name).output.contains("version"))
      let stores = try admin.run("clusters", "stores", name, "-o", "json")
      #expect(stores.json == ["stores": []])
      #expect(try admin.run("clusters", "remove", name, "--yes").status == 0)
    }

    @Test func aLostClusterIsGivenUpWithItsStores() async throws {
      let platform = try await TestPlatform.withClusters()
      let admin = try await platform.signedInAdministrator()
      let user = try await StorectlUser.signedIn(platform)
      let name = "c\(UInt32.random(in: 0 ... .max))"
      let store = "shop-\(UInt32.random(in: 0 ... .max))"
      let made = try admin.run("clusters", "register", name, input: "https://eu.example.com")
      #expect(made.status == 0, "\(made.errors)")
      let created = try user.run(
        "stores", "create", "--name", store, "--engine", "woocommerce", "--cluster", name, "--wait")
      #expect(created.status == 0, "\(created.errors)")
      let early = try admin.run("clusters", "remove", name, "--abandon-stores", "--confirm", name)
      #expect(early.status == 5 && early.errors.contains("is not being emptied"))
      #expect(try admin.run("clusters", "drain", name).status == 1)
      #expect(try admin.run("clusters", "remove", name, "--abandon-stores").status == 2)
      let typo = try admin.run("clusters", "remove", name, "--abandon-stores", "--confirm", "eu")
      #expect(typo.status == 1 && typo.errors.contains("nothing was changed"))
      let given = try admin.run("clusters", "remove", name, "--abandon-stores", "--confirm", name)
      #expect(
        given.output.contains("\(name) is given up with 1 store, and removed"), "\(given.errors)")
      let gone = try user.run("stores", "watch", store)
      #expect(gone.status == 0 || gone.status == 3, "\(gone.errors)")
    }

    @Test func whatIsWrongIsSaid() async throws {
      let platform = try await TestPlatform.withClusters()
      let admin = try await platform.signedInAdministrator()
      let user = try await StorectlUser.signedIn(platform)
      let denied = try user.run("clusters", "list")
      #expect(denied.status == 4 && denied.errors.contains("only administrators"))
      #expect(try admin.run("clusters", "register", "eu").status == 6)
      let bad = try admin.run("clusters", "register", "eu", input: "nothing")
      #expect(bad.status == 6 && bad.errors.contains("kubeconfig: cannot be used"))
      #expect(try admin.run("clusters", "register", "eu", "--kubeconfig", "/none").status == 6)
      #expect(try admin.run("clusters", "register", "eu", "--label", "=x").status == 2)
      #expect(try admin.run("clusters", "update", "default").status == 2)
      let own = try admin.run("clusters", "remove", "default", "--yes")
      #expect(own.status == 5 && own.errors.contains("the provisioner is started with it"))
      #expect(try admin.run("clusters", "remove", "default").status == 2)
      let unknown = try user.run(
        "stores", "create", "--name", "demo", "--engine", "woocommerce", "--cluster", "nowhere")
      #expect(unknown.status == 6 && unknown.errors.contains("there is no cluster 'nowhere'"))
    }
  }
}
