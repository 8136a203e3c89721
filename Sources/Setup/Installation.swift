import Configuration

/// The folder that keeps one installation: its settings, keys and certificates.
package struct Installation: Sendable {
  /// Absolute.
  package let folder: String

  package init(folder: String) {
    precondition(folder.hasPrefix("/"), "an installation's folder is absolute")
    self.folder = folder
  }

  /// What the services are told; a person may edit it.
  package var settingsFile: String { folder + "/storeplane.env" }
  /// What `scripts/up` found on this machine, written anew each time; `storeplane.env` goes before it.
  package var machineFile: String { folder + "/machine.env" }
  package var keysFolder: String { folder + "/keys" }
  package var signingKeyFile: String { keysFolder + "/token-signing-key.pem" }
  package var callerKeysFile: String { folder + "/caller-keys.json" }
  package var certificatesFolder: String { folder + "/tls" }
  package var authorityFile: String { certificatesFolder + "/ca.crt" }
  package var authorityKeyFile: String { certificatesFolder + "/ca.key" }
  package var loginFile: String { folder + "/admin-login" }

  package func certificateFile(of name: String) -> String { "\(certificatesFolder)/\(name).crt" }
  package func keyFile(of name: String) -> String { "\(certificatesFolder)/\(name).key" }
}
