// Brings the database up to date before Medusa starts. Waits for Postgres to start, then for whoever
// migrates already: a lock goes with the connection, whatever becomes of its holder. Reads MEDUSA_PROGRAM,
// DATABASE_URL and, as its own arguments, those of db:migrate.
'use strict'

const { realpathSync } = require('fs')
const { join } = require('path')
const { pathToFileURL } = require('url')

const PATIENCE_MS = 300_000
const PAUSE_MS = 1_000
// Classes of errors that waiting does not mend: a refused password, a database that does not exist.
const LASTING = /^(28|3D)/

/** Medusa's own client of Postgres; pnpm keeps what others depend on apart. */
function postgres() {
  const project = process.cwd()
  return require(require.resolve('pg', { paths: [project, join(project, 'node_modules/.pnpm')] }))
}

async function connect() {
  const { Client } = postgres()
  const deadline = Date.now() + PATIENCE_MS
  for (;;) {
    const client = new Client({
      connectionString: process.env.DATABASE_URL,
      connectionTimeoutMillis: 5_000,
      keepAlive: true,
    })
    // Without its connection the lock is somebody else's.
    client.on('error', (error) => fail(`the connection to the database was lost: ${error.message}`))
    try {
      await client.connect()
      return client
    } catch (error) {
      if (LASTING.test(error.code) || Date.now() > deadline) throw error
      console.log(`waiting for the database: ${error.message}`)
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS))
    }
  }
}

function fail(reason) {
  console.error(`the database cannot be migrated: ${reason}`)
  process.exit(1)
}

async function main() {
  const client = await connect()
  await client.query("SELECT pg_advisory_lock(hashtext('storeplane-migration'))")
  // In this process, which holds the lock and is kept going by the command alone.
  client.connection.stream.unref()
  const program = realpathSync(process.env.MEDUSA_PROGRAM)
  process.argv.splice(1, 1, program, 'db:migrate')
  await import(pathToFileURL(program))
}

main().catch((error) => fail(error.message))
