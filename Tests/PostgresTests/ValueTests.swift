import Postgres
import Reactor
import Testing

@Suite struct ValueTests {
  @Test func scalarsRoundTrip() async throws {
    try await withConnection { connection in
      let uuid = PostgresUUID.random()
      let row = try await connection.query(
        """
        SELECT $1::text AS text, $2 AS int8, $3 AS float8, $4 AS bool, $5 AS bytea, $6 AS uuid,
          $7 AS timestamp, $8 AS jsonb, 7::int2 AS int2, -8::int4 AS int4, 'a'::name AS name,
          1.5::float4 AS float4, '[1]'::json AS json
        """,
        [
          .text("grün 🌱"), .int8(.min), .float8(-0.125), .bool(true), .bytea([0, 255, 0]),
          .uuid(uuid), .timestamp(PostgresTimestamp(microseconds: 1_700_000_000_123_456)),
          .jsonb(#"{"a": [1, 2]}"#),
        ], deadline: .soon)[0]
      #expect(try row.decode("text", as: String.self) == "grün 🌱")
      #expect(try row.decode("int8", as: Int64.self) == .min)
      #expect(try row.decode("float8", as: Double.self) == -0.125)
      #expect(try row.decode("bool", as: Bool.self))
      #expect(try row.decode("bytea", as: [UInt8].self) == [0, 255, 0])
      #expect(try row.decode("uuid", as: PostgresUUID.self) == uuid)
      #expect(
        try row.decode("timestamp", as: PostgresTimestamp.self).microseconds
          == 1_700_000_000_123_456)
      #expect(try row.decode("jsonb", as: String.self) == #"{"a": [1, 2]}"#)
      #expect(try row.decode("int2", as: Int.self) == 7)
      #expect(try row.decode("int4", as: Int32.self) == -8)
      #expect(try row.decode("name", as: String.self) == "a")
      #expect(try row.decode("float4", as: Double.self) == 1.5)
      #expect(try row.decode("json", as: String.self) == "[1]")
      #expect(try row.decode(1, as: Int64.self) == .min)
    }
  }

  @Test func textFormsAgreeWithTheServer() async throws {
    try await withConnection { connection in
      let uuid = PostgresUUID.random()
      let row = try await connection.query(
        "SELECT $1::text, $2::text, $3::uuid",
        [
          .uuid(uuid), .timestamp(PostgresTimestamp(microseconds: 951_782_400_000_001)),
          .text(uuid.description),
        ], deadline: .soon)[0]
      #expect(try row.decode(0, as: String.self) == uuid.description)
      #expect(try row.decode(1, as: String.self) == "2000-02-29 00:00:00.000001+00")
      #expect(try row.decode(2, as: PostgresUUID.self) == uuid)
      #expect(uuid.description.dropFirst(14).first == "4")
      #expect(PostgresUUID(uuid.description.uppercased()) == uuid)
    }
    for text in [
      "", "x", "00000000-0000-0000-0000-00000000000g", "000000000000-0000-0000-0000-0000-0000",
    ] {
      #expect(PostgresUUID(text) == nil)
    }
  }

  @Test func nullsAreOptionals() async throws {
    try await withConnection { connection in
      let row = try await connection.query(
        "SELECT $1::text, $2, $3, $4, $5, $6, $7, ''::text, $8::bytea",
        [
          .text(nil), .int8(nil), .bool(nil), .uuid(nil), .timestamp(nil), .jsonb(nil),
          .bytea(nil), .bytea([]),
        ], deadline: .soon)[0]
      for column in 0..<7 { #expect(try row.isNull(PostgresColumn(column))) }
      #expect(try row.decode(0, as: String?.self) == nil)
      #expect(try row.decode(1, as: Int64?.self) == nil)
      #expect(try row.decode(7, as: String?.self) == "")
      #expect(try row.decode(8, as: [UInt8]?.self) == [])
      #expect(
        throws: PostgresError(.badValue, "column 'text' is NULL: decode it as an optional")
      ) {
        try row.decode(0, as: String.self)
      }
    }
  }

  @Test func arraysInsertManyRowsAtOnce() async throws {
    try await withConnection { connection in
      try await connection.script(
        """
        CREATE TABLE t (id uuid, name text, n int8, at timestamptz, data bytea, doc jsonb, ok bool)
        """, deadline: .soon)
      let ids = (0..<500).map { _ in PostgresUUID.random() }
      let inserted = try await connection.query(
        """
        INSERT INTO t SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7)
        """,
        [
          .uuidArray(ids), .textArray((0..<500).map { $0 == 3 ? nil : "name \($0)" }),
          .int8Array((0..<500).map { Int64($0) }),
          .timestampArray((0..<500).map { PostgresTimestamp(microseconds: Int64($0)) }),
          .byteaArray((0..<500).map { [UInt8($0 % 256)] }),
          .jsonbArray((0..<500).map { #"{"n": \#($0)}"# }),
          .boolArray((0..<500).map { $0 % 2 == 0 }),
        ], deadline: .soon)
      #expect(inserted.affectedRows == 500)
      let row = try await connection.query(
        """
        SELECT array_agg(id ORDER BY n) AS ids, array_agg(n ORDER BY n) AS ns,
          array_agg(name ORDER BY n) FILTER (WHERE name IS NOT NULL) AS names,
          count(*) FILTER (WHERE name IS NULL) AS nulls, sum((doc->>'n')::int8)::int8 AS total,
          array_agg(name) AS holes, '{}'::text[] AS none
        FROM t
        """, deadline: .soon)[0]
      #expect(try row.decode("ids", as: [PostgresUUID].self) == ids)
      #expect(try row.decode("ns", as: [Int64].self) == Array(0..<500))
      #expect(try row.decode("names", as: [String].self).count == 499)
      #expect(try row.decode("nulls", as: Int.self) == 1)
      #expect(try row.decode("total", as: Int.self) == 124_750)
      #expect(try row.decode("none", as: [String].self) == [])
      let error = await failure { try row.decode("holes", as: [String].self) }
      #expect(error?.message.contains("it has nulls or several dimensions") ?? false)

      let empty = try await connection.query(
        "INSERT INTO t (id) SELECT * FROM unnest($1)", [.uuidArray([])], deadline: .soon)
      #expect(empty.affectedRows == 0)
    }
  }

  @Test func textWithNULIsRefusedBeforeItIsSent() async throws {
    try await withConnection { connection in
      for parameter in [
        PostgresParameter.text("a\0b"), .jsonb("\0"), .textArray(["fine", "a\0"]),
        .jsonbArray(["\0"]),
      ] {
        let error = await failure {
          try await connection.query(
            "SELECT $1, $2", [.int8(1), parameter], deadline: .soon)
        }
        #expect(error?.kind == .badValue)
        #expect(
          error?.message
            == "parameter $2: text with a NUL character, which PostgreSQL cannot store; reject it,"
            + " or send it as bytea")
      }
      let rows = try await connection.query("SELECT $1", [.bytea([0])], deadline: .soon)
      #expect(try rows[0].decode(0, as: [UInt8].self) == [0])
    }
  }

  @Test func wrongDecodingIsExplained() async throws {
    try await withConnection { connection in
      let row = try await connection.query(
        """
        SELECT 5000000000::int8 AS big, 'x'::text AS word, 1.5::numeric AS exact,
          'infinity'::timestamptz AS never, (1, 2) AS pair, ARRAY[[1::int8]] AS matrix
        """, deadline: .soon)[0]
      func message<T: PostgresDecodable>(_ column: PostgresColumn, _ type: T.Type) -> String {
        do {
          return "decoded \(try row.decode(column, as: T.self))"
        } catch {
          return error.message
        }
      }
      let remedy = ": cast it in the statement or decode another type"
      #expect(
        message("big", Int32.self)
          == "column 'big' of type int8 cannot be read as a 32-bit integer" + remedy)
      #expect(
        message("word", Int.self) == "column 'word' of type text cannot be read as an integer"
          + remedy
      )
      #expect(
        message("exact", String.self)
          == "column 'exact' of type type 1700 cannot be read as text" + remedy)
      #expect(message("never", PostgresTimestamp.self).contains("cannot be read as a timestamp"))
      #expect(message("pair", String.self).contains("cannot be read as text"))
      #expect(message("matrix", [Int64].self).contains("several dimensions"))
      #expect(message("word", [UInt8].self).contains("cannot be read as bytes"))
      #expect(
        message("nothing", Int.self)
          == "no column 'nothing' in a row of (big, word, exact, never, pair, matrix)")
      #expect(message(9, Int.self).hasPrefix("no column 9 in a row of"))
    }
  }

  @Test func timestampsOutsideOfTheServersRangeAreRefused() async throws {
    try await withConnection { connection in
      let error = await failure {
        try await connection.query(
          "SELECT $1", [.timestamp(PostgresTimestamp(microseconds: .min))], deadline: .soon)
      }
      #expect(error?.kind == .badValue)
      let rows = try await connection.query(
        "SELECT $1", [.timestamp(PostgresTimestamp(microseconds: .max))], deadline: .soon)
      #expect(try rows[0].decode(0, as: PostgresTimestamp.self).microseconds == .max)
    }
  }

  @Test func enumerationsAreText() async throws {
    try await withConnection { connection in
      try await connection.script("CREATE TYPE mood AS ENUM ('glad', 'sad')", deadline: .soon)
      let rows = try await connection.query(
        "SELECT $1::mood", [.text("glad")], deadline: .soon)
      #expect(try rows[0].decode(0, as: String.self) == "glad")
    }
  }

  @Test func errorsDoNotShowValues() async throws {
    try await withConnection { connection in
      try await connection.script("CREATE TABLE t (k text PRIMARY KEY)", deadline: .soon)
      try await connection.query("INSERT INTO t VALUES ($1)", [.text("hunter2")], deadline: .soon)
      for (sql, parameters) in [
        ("INSERT INTO t VALUES ($1)", [PostgresParameter.text("hunter2")]),
        ("SELECT $1::uuid", [.text("hunter2")]),
        ("SELECT $1::int4", [.text("hunter2\" is \"odd")]),
        ("SELECT $1::jsonb", [.text("{hunter2")]),
        ("SELECT $1::timestamptz", [.text("hunter2")]),
        ("SELECT convert_from($1, 'UTF8')", [.bytea([0xff, 0xfe])]),
      ] {
        let error = await failure {
          try await connection.query(sql, parameters, deadline: .soon)
        }
        #expect(error?.kind == .server)
        #expect(error?.sqlState != nil)
        #expect(!"\(error as Any)".contains("hunter2"))
        #expect(!"\(error as Any)".contains("0xff"))
      }
    }
  }
}
