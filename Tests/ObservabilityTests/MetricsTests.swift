import Foundation
import Testing

@testable import Observability

@Suite struct MetricsTests {
  private func text(_ registry: MetricsRegistry) -> String {
    String(decoding: registry.exposition(), as: UTF8.self)
  }

  /// Every registry begins its text with this, when its other names come after it.
  private static let overflow = """
    # HELP metrics_series_overflow_total Requests for a labelled series that went to the series named other.
    # TYPE metrics_series_overflow_total counter
    metrics_series_overflow_total 0

    """

  @Test func aSeriesGoesAndComesBackEmpty() {
    let registry = MetricsRegistry()
    let stores = registry.gauges("stores", help: "Stores.", labels: ["cluster"])
    stores.with("eu").set(3)
    stores.with("us").set(4)
    stores.remove(["eu"])
    stores.remove(["nowhere"])
    let text = String(decoding: registry.exposition(), as: UTF8.self)
    #expect(!text.contains("eu") && text.contains(#"stores{cluster="us"} 4"#))
    #expect(stores.with("eu").value == 0)
  }

  @Test func theWholeFormat() {
    let registry = MetricsRegistry()
    let calls = registry.counters("rpc_calls_total", help: "Calls.", labels: ["method", "code"])
    calls.with("/a.B/C", "0").increment()
    calls.with("/a.B/C", "0").increment(by: 41)
    calls.with("/a.B/C", "14").increment()
    registry.gauge("rpc_open", help: "Open.").set(-3)
    let times = registry.histogram(
      "rpc_seconds", help: "Time.", bounds: [.milliseconds(5), .milliseconds(250), .seconds(1)])
    times.observe(.milliseconds(5))
    times.observe(.microseconds(5_001))
    times.observe(.seconds(2))
    times.observe(.seconds(-1))
    let sizes = registry.histograms(
      "zize_bytes", help: "Size.", unit: .bytes, bounds: [100, 1000], labels: ["kind"])
    sizes.with("x").observe(1000)
    #expect(
      text(registry) == Self.overflow + """
        # HELP rpc_calls_total Calls.
        # TYPE rpc_calls_total counter
        rpc_calls_total{method="/a.B/C",code="0"} 42
        rpc_calls_total{method="/a.B/C",code="14"} 1
        # HELP rpc_open Open.
        # TYPE rpc_open gauge
        rpc_open -3
        # HELP rpc_seconds Time.
        # TYPE rpc_seconds histogram
        rpc_seconds_bucket{le="0.005"} 2
        rpc_seconds_bucket{le="0.25"} 3
        rpc_seconds_bucket{le="1"} 3
        rpc_seconds_bucket{le="+Inf"} 4
        rpc_seconds_sum 2.010001
        rpc_seconds_count 4
        # HELP zize_bytes Size.
        # TYPE zize_bytes histogram
        zize_bytes_bucket{kind="x",le="100"} 0
        zize_bytes_bucket{kind="x",le="1000"} 1
        zize_bytes_bucket{kind="x",le="+Inf"} 1
        zize_bytes_sum{kind="x"} 1000
        zize_bytes_count{kind="x"} 1

        """)
  }

  @Test func escaping() {
    let registry = MetricsRegistry()
    registry.counters("z_total", help: "a\\b\nc\"d\"", labels: ["l"]).with("a\\b\nc\"d\"é")
      .increment()
    #expect(
      text(registry) == Self.overflow + #"""
        # HELP z_total a\\b\nc"d"
        # TYPE z_total counter
        z_total{l="a\\b\nc\"d\"é"} 1

        """#)
  }

  @Test func numbers() {
    #expect(ExpositionWriter.text(0) == "0")
    #expect(ExpositionWriter.text(-2) == "-2")
    #expect(ExpositionWriter.text(0.1) == "0.1")
    #expect(ExpositionWriter.text(1e300) == "1e+300")
    #expect(ExpositionWriter.text(.nan) == "NaN")
    #expect(ExpositionWriter.text(.infinity) == "+Inf")
    #expect(ExpositionWriter.text(-.infinity) == "-Inf")
  }

  @Test func cardinalityIsBounded() {
    let registry = MetricsRegistry()
    let family = registry.counters("z_total", help: "Z.", labels: ["a", "b"], seriesMaximum: 3)
    for index in 0..<10 { family.with("\(index)", "x").increment() }
    family.with("0", "x").increment()
    let exposition = text(registry)
    #expect(exposition.contains("metrics_series_overflow_total 7\n"))
    #expect(exposition.contains("z_total{a=\"0\",b=\"x\"} 2\n"))
    #expect(exposition.contains("z_total{a=\"other\",b=\"other\"} 7\n"))
    #expect(exposition.split(separator: "\n").filter { $0.hasPrefix("z_total{") }.count == 4)
  }

  @Test func aValueCalledOtherIsTheSameSeries() {
    let registry = MetricsRegistry()
    let family = registry.counters("z_total", help: "Z.", labels: ["a"], seriesMaximum: 2)
    for value in ["other", "b", "c", "d"] { family.with(value).increment() }
    #expect(text(registry).contains("z_total{a=\"b\"} 1\nz_total{a=\"other\"} 3\n"))
  }

  @Test func labelValuesAreCut() {
    let registry = MetricsRegistry()
    let family = registry.counters("z_total", help: "Z.", labels: ["a"])
    let long = String(repeating: "é", count: 1000)
    family.with(long).increment()
    family.with(long).increment()
    let cut = String(repeating: "é", count: 64)
    #expect(text(registry).contains("z_total{a=\"\(cut)\"} 2\n"))
  }

  @Test func theSameNameIsTheSameMetric() {
    let registry = MetricsRegistry()
    registry.counter("z_total", help: "Z.").increment()
    #expect(registry.counter("z_total", help: "Z.").value == 1)
  }

  @Test func mistakesStopTheProgram() async {
    await #expect(processExitsWith: .failure) {
      _ = MetricsRegistry().counter("bad-name", help: "")
    }
    await #expect(processExitsWith: .failure) { _ = MetricsRegistry().counter("", help: "") }
    await #expect(processExitsWith: .failure) {
      let registry = MetricsRegistry()
      _ = registry.counter("z", help: "")
      _ = registry.gauge("z", help: "")
    }
    await #expect(processExitsWith: .failure) {
      _ = MetricsRegistry().counters("z", help: "", labels: ["__reserved"])
    }
    await #expect(processExitsWith: .failure) {
      _ = MetricsRegistry().histograms("z", help: "", bounds: [.seconds(1)], labels: ["le"])
    }
    await #expect(processExitsWith: .failure) {
      _ = MetricsRegistry().histogram("z", help: "", bounds: [.seconds(2), .seconds(1)])
    }
    await #expect(processExitsWith: .failure) {
      let registry = MetricsRegistry()
      for index in 0...MetricsRegistry.familiesMaximum {
        _ = registry.counter("z\(index)", help: "")
      }
    }
  }

  @Test func threadsLoseNothing() async {
    let registry = MetricsRegistry()
    let counter = registry.counter("z_total", help: "Z.")
    let histogram = registry.histogram("z_seconds", help: "Z.", bounds: Histogram.callBounds)
    await withTaskGroup(of: Void.self) { group in
      for _ in 0..<4 {
        group.addTask {
          for index in 0..<10_000 {
            counter.increment()
            histogram.observe(UInt64(index))
          }
        }
      }
    }
    #expect(counter.value == 40_000)
    #expect(histogram.snapshot().counts.reduce(0, +) == 40_000)
    #expect(histogram.snapshot().sum == 4 * 49_995_000)
  }

  @Test func hugeDurationsSaturate() {
    let histogram = MetricsRegistry().histogram("z", help: "", bounds: [.seconds(1)])
    histogram.observe(Duration.seconds(Int64.max))
    #expect(histogram.snapshot().counts == [0, 1])
    #expect(histogram.snapshot().sum == .max)
  }

  @Test func collectorsAreReadAtTheScrapeAndDoNotShadow() {
    let registry = MetricsRegistry()
    registry.counter("a_total", help: "A.").increment()
    registry.collect {
      [.counter("a_total", help: "Again.", 9), .gauge("pool_idle", help: "Idle.", 0.5)]
    }
    let exposition = text(registry)
    #expect(exposition.contains("a_total 1\n"))
    #expect(!exposition.contains("a_total 9"))
    #expect(exposition.contains("# TYPE pool_idle gauge\npool_idle 0.5\n"))
  }
}

@Suite struct ProcessMetricsTests {
  @Test func theStandardOnesAreThere() throws {
    let values = Dictionary(
      uniqueKeysWithValues: ProcessStatistics.samples().map { ($0.name, $0.value) })
    let resident = try #require(values["process_resident_memory_bytes"])
    #expect(resident > 1_000_000 && resident < 10_000_000_000)
    #expect(try #require(values["process_virtual_memory_bytes"]) > resident)
    #expect(try #require(values["process_cpu_seconds_total"]) >= 0)
    let descriptors = try #require(values["process_open_fds"])
    #expect(descriptors >= 3)
    #expect(try #require(values["process_max_fds"]) > descriptors)
    let start = try #require(values["process_start_time_seconds"])
    let age = Date().timeIntervalSince1970 - start
    #expect(age > -2 && age < 3600)
  }

  @Test func aCommandWithBracketsAndSpaces() throws {
    let text =
      "42 (a) b) R 1 2 3 4 5 6 7 8 9 10 100 23 14 15 16 17 18 19 5000 123456 77 1 2 3"
    let fields = try #require(ProcessStatistics.Stat(text))
    #expect(fields.cpuTicks == 123)
    #expect(fields.startTicks == 5000)
    #expect(fields.virtualBytes == 123_456)
    #expect(fields.residentPages == 77)
    #expect(ProcessStatistics.Stat("42 (a) R 1 2") == nil)
    #expect(ProcessStatistics.Stat("") == nil)
    #expect(ProcessStatistics.bootTime("cpu 1 2\nbtime 17\n") == 17)
    #expect(ProcessStatistics.bootTime("cpu 1 2\n") == nil)
  }
}
