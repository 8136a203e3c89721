package import JSON

package enum StoreEngine: String, CaseIterable, Sendable {
  case woocommerce, medusa
}

/// What a tenant may choose about a store.
package struct StoreParameters: Equatable, Sendable {
  package var title: String
  package var adminEmail: String
  package var plan: String
  /// Further values of the chart.
  package var values: JSONObject

  package init(
    title: String = "", adminEmail: String = "", plan: String = "",
    values: JSONObject = JSONObject()
  ) {
    self.title = title
    self.adminEmail = adminEmail
    self.plan = plan
    self.values = values
  }
}

extension StoreParameters {
  package static let titleCharactersMax = 100
  package static let emailBytesMax = 254
  package static let planBytesMax = 40
  package static let valuesBytesMax = 16 * 1024

  /// The chart's values that tenants set; a path covers everything below it.
  package static let allowedValues = [
    "wordpress.php.ini.max_execution_time", "wordpress.php.ini.post_max_size",
    "wordpress.php.ini.upload_max_filesize",
  ]

  /// Throws the first field that breaks a rule.
  package func check() throws(InvalidField) {
    try checkTitle()
    try checkEmail()
    try checkPlan()
    try checkValues(at: "parameters.values")
  }

  /// - Parameter path: of the values in the request.
  package func checkValues(at path: String) throws(InvalidField) {
    try check(values, below: "", at: path)
    guard JSON.object(values).serializedText().utf8.count <= Self.valuesBytesMax else {
      throw InvalidField(
        path, "is larger than \(Self.valuesBytesMax) bytes of JSON (valuesBytesMax)")
    }
  }

  private func checkTitle() throws(InvalidField) {
    let path = "parameters.title"
    guard title.count <= Self.titleCharactersMax else {
      throw InvalidField(
        path, "has \(title.count) characters; at most \(Self.titleCharactersMax) are allowed")
    }
    guard title.unicodeScalars.allSatisfy({ $0.value >= 0x20 && $0.value != 0x7f }) else {
      throw InvalidField(path, "has a control character; give one line of text")
    }
  }

  private func checkEmail() throws(InvalidField) {
    if adminEmail.isEmpty { return }
    let parts = adminEmail.split(separator: "@", omittingEmptySubsequences: false)
    let isPlain = adminEmail.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7f }
    guard adminEmail.utf8.count <= Self.emailBytesMax, parts.count == 2, !parts[0].isEmpty,
      !parts[1].isEmpty, isPlain
    else {
      throw InvalidField(
        "parameters.admin_email",
        "is no mail address; give one like shop@example.com, of at most \(Self.emailBytesMax) bytes"
      )
    }
  }

  private func checkPlan() throws(InvalidField) {
    let isWord = plan.utf8.allSatisfy {
      (UInt8(ascii: "a")...UInt8(ascii: "z")).contains($0) || $0 == UInt8(ascii: "-")
        || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0)
    }
    guard plan.utf8.count <= Self.planBytesMax, isWord else {
      throw InvalidField(
        "parameters.plan",
        "is no plan's name: at most \(Self.planBytesMax) lowercase letters, digits and hyphens")
    }
  }

  private func check(
    _ object: JSONObject, below prefix: String, at root: String
  ) throws(InvalidField) {
    for member in object.members {
      let path = prefix + member.key
      if Self.allowedValues.contains(path) { continue }
      guard Self.allowedValues.contains(where: { $0.hasPrefix(path + ".") }),
        let inner = member.value.object
      else {
        throw InvalidField(
          "\(root).\(path)",
          "cannot be set by tenants; these can: \(Self.allowedValues.joined(separator: ", "))")
      }
      try check(inner, below: path + ".", at: root)
    }
  }
}
