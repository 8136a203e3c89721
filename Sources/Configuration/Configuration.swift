/// What a service was told: every setting of its schema with a valid value.
package struct Configuration: Sendable {
  package let schema: ConfigurationSchema
  private let values: [String: any Sendable]
  private let origins: [String: Origin]
  /// Doubtful, but no reason not to start: for the log.
  package let warnings: [ConfigurationProblem]

  init(
    schema: ConfigurationSchema, values: [String: any Sendable], origins: [String: Origin],
    warnings: [ConfigurationProblem]
  ) {
    self.schema = schema
    self.values = values
    self.origins = origins
    self.warnings = warnings
  }

  /// The value of a setting that the schema holds, by key.
  package subscript<Value>(setting: Setting<Value>) -> Value {
    guard let value = values[setting.key] as? Value else {
      preconditionFailure(
        "\(setting.key) of this type is not in the schema of \(schema.service)")
    }
    return value
  }

  package func origin(of key: String) -> Origin {
    origins[key] ?? .absent
  }

  /// What is wrong with a value by the rules of those who use it.
  package func error<Value>(
    _ setting: Setting<Value>, _ reason: String, remedy: String
  ) -> ConfigurationError {
    let problem = ConfigurationProblem(
      key: setting.key, origin: origin(of: setting.key), reason: reason, remedy: remedy)
    return ConfigurationError(service: schema.service, problems: [problem])
  }

  /// Reads and checks everything before anything is started.
  /// - Parameters:
  ///   - environment: it wins over the file. A variable that is set to nothing counts as not set.
  ///   - filePath: from `--config`; without it, `STOREPLANE_CONFIG` of the environment.
  /// - Throws: every problem at once.
  package static func load(
    _ schema: ConfigurationSchema, environment: [String: String], filePath: String? = nil
  ) throws(ConfigurationError) -> Configuration {
    var loader = ConfigurationLoader(schema: schema, environment: environment)
    return try loader.load(filePath: filePath)
  }

  package static let fileVariable = "STOREPLANE_CONFIG"
}
