/// Writes the Prometheus text format 0.0.4.
struct ExpositionWriter {
  private(set) var bytes: [UInt8] = []

  mutating func append(name: String, entry: MetricsRegistry.Entry) {
    switch entry.series {
    case .counters(let family):
      appendHead(name, help: entry.help, kind: .counter)
      for (values, counter) in family.all() {
        appendSample(name, labels: family.labels, values: values, "\(counter.value)")
      }
    case .gauges(let family):
      appendHead(name, help: entry.help, kind: .gauge)
      for (values, gauge) in family.all() {
        appendSample(name, labels: family.labels, values: values, "\(gauge.value)")
      }
    case .histograms(let family):
      appendHead(name, help: entry.help, kind: .histogram)
      for (values, histogram) in family.all() {
        append(histogram, name: name, labels: family.labels, values: values)
      }
    }
  }

  mutating func append(_ sample: MetricsRegistry.Sample) {
    appendHead(sample.name, help: sample.help, kind: sample.kind)
    appendSample(sample.name, labels: [], values: [], Self.text(sample.value))
  }

  private mutating func append(
    _ histogram: Histogram, name: String, labels: [String], values: [String]
  ) {
    let (counts, sum) = histogram.snapshot()
    let divisor = histogram.unit.divisor
    var total: UInt64 = 0
    for (index, count) in counts.enumerated() {
      total += count
      let bound =
        index < histogram.bounds.count
        ? Self.text(Double(histogram.bounds[index]) / divisor) : "+Inf"
      appendSample(name + "_bucket", labels: labels + ["le"], values: values + [bound], "\(total)")
    }
    appendSample(name + "_sum", labels: labels, values: values, Self.text(Double(sum) / divisor))
    appendSample(name + "_count", labels: labels, values: values, "\(total)")
  }

  private mutating func appendHead(_ name: String, help: String, kind: MetricsRegistry.Kind) {
    bytes.append(contentsOf: "# HELP \(name) ".utf8)
    appendEscaped(help, quotes: false)
    bytes.append(contentsOf: "\n# TYPE \(name) \(kind.rawValue)\n".utf8)
  }

  private mutating func appendSample(
    _ name: String, labels: [String], values: [String], _ value: String
  ) {
    bytes.append(contentsOf: name.utf8)
    if !labels.isEmpty {
      var separator = UInt8(ascii: "{")
      for (label, value) in zip(labels, values) {
        bytes.append(separator)
        separator = UInt8(ascii: ",")
        bytes.append(contentsOf: label.utf8)
        bytes.append(contentsOf: "=\"".utf8)
        appendEscaped(value, quotes: true)
        bytes.append(UInt8(ascii: "\""))
      }
      bytes.append(UInt8(ascii: "}"))
    }
    bytes.append(UInt8(ascii: " "))
    bytes.append(contentsOf: value.utf8)
    bytes.append(UInt8(ascii: "\n"))
  }

  /// Backslash and line feed are escaped everywhere, the double quote in label values only.
  private mutating func appendEscaped(_ text: String, quotes: Bool) {
    for byte in text.utf8 {
      switch byte {
      case UInt8(ascii: "\\"): bytes.append(contentsOf: "\\\\".utf8)
      case UInt8(ascii: "\n"): bytes.append(contentsOf: "\\n".utf8)
      case UInt8(ascii: "\"") where quotes: bytes.append(contentsOf: "\\\"".utf8)
      default: bytes.append(byte)
      }
    }
  }

  /// As Go's ParseFloat reads it; whole numbers without a fraction.
  static func text(_ value: Double) -> String {
    if value.isNaN { return "NaN" }
    if value.isInfinite { return value < 0 ? "-Inf" : "+Inf" }
    if let whole = Int64(exactly: value) { return "\(whole)" }
    return "\(value)"
  }
}
