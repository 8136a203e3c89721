/// What the name of a cluster may be: as a store's, without those that are reserved there.
package enum ClusterName {
  package static let bytesMax = 40
  /// The cluster that the provisioner is started with.
  package static let own = "default"

  package static func check(
    _ name: String, field: String = "name"
  ) throws(InvalidField) {
    let bytes = Array(name.utf8)
    guard let first = bytes.first, let last = bytes.last, bytes.count <= bytesMax,
      isLetter(first), last != hyphen,
      bytes.allSatisfy({ isLetter($0) || isDigit($0) || $0 == hyphen })
    else {
      throw InvalidField(
        field,
        "give 1 to \(bytesMax) lowercase letters, digits and inner hyphens, a letter first")
    }
  }

  private static let hyphen = UInt8(ascii: "-")

  private static func isLetter(_ byte: UInt8) -> Bool { 0x61...0x7A ~= byte }
  private static func isDigit(_ byte: UInt8) -> Bool { 0x30...0x39 ~= byte }
}

/// What labels of clusters may be, a simple form of Kubernetes' own.
package enum ClusterLabels {
  package static let countMax = 32
  package static let bytesMax = 63

  package static func check(
    _ labels: [String: String], field: String = "labels"
  ) throws(InvalidField) {
    guard labels.count <= countMax else {
      throw InvalidField(field, "are \(labels.count); at most \(countMax) are allowed (countMax)")
    }
    for (key, value) in labels.sorted(by: { $0.key < $1.key }) {
      guard !key.isEmpty, isText(key), isText(value) else {
        throw InvalidField(
          field,
          "a key or a value is no label: use letters, digits, '.', '_', '-' and '/', at most "
            + "\(bytesMax) of them; only a value may be empty")
      }
    }
  }

  private static func isText(_ text: String) -> Bool {
    text.utf8.count <= bytesMax
      && text.utf8.allSatisfy { byte in
        switch byte {
        case 0x61...0x7A, 0x41...0x5A, 0x30...0x39, UInt8(ascii: "."), UInt8(ascii: "_"),
          UInt8(ascii: "-"), UInt8(ascii: "/"):
          true
        default: false
        }
      }
  }
}

/// What follows a store's name in its host: a domain's name, with or without the dot before it.
package enum DomainSuffix {
  package static let bytesMax = 190

  package static func check(
    _ suffix: String, field: String = "domain_suffix"
  ) throws(InvalidField) {
    if suffix.isEmpty { return }
    let labels = (suffix.hasPrefix(".") ? suffix.dropFirst() : suffix[...]).split(
      separator: ".", omittingEmptySubsequences: false)
    let isGood =
      suffix.utf8.count <= bytesMax
      && labels.allSatisfy { label in
        (1...63).contains(label.utf8.count) && !label.hasPrefix("-") && !label.hasSuffix("-")
          && label.utf8.allSatisfy {
            0x61...0x7A ~= $0 || 0x30...0x39 ~= $0 || $0 == UInt8(ascii: "-")
          }
      }
    guard isGood else {
      throw InvalidField(field, "is no domain; give one like eu.shops.example.com")
    }
  }
}

/// The uid of a cluster's `kube-system`: Kubernetes makes UUIDs, and promises a text only.
package enum ClusterUID {
  package static let bytesMax = 64

  package static func check(
    _ uid: String, field: String = "kubernetes_uid"
  ) throws(InvalidField) {
    let isGood =
      (1...bytesMax).contains(uid.utf8.count)
      && uid.utf8.allSatisfy {
        0x61...0x7A ~= $0 || 0x41...0x5A ~= $0 || 0x30...0x39 ~= $0 || $0 == UInt8(ascii: "-")
      }
    guard isGood else {
      throw InvalidField(
        field,
        "is no uid; see kubectl get namespace kube-system -o jsonpath={.metadata.uid}")
    }
  }
}
