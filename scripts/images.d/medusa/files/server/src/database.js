// The tables, named as Medusa names them.
'use strict'

const { randomBytes } = require('crypto')
const { Pool } = require('pg')

const CONNECTIONS_MAX = 5

/** In order; as with Medusa's own, two that migrate at once are in each other's way. */
const migrations = [
  `CREATE TABLE store (id text PRIMARY KEY, name text NOT NULL)`,
  `INSERT INTO store VALUES ('${id('store')}', 'Medusa Store')`,
  `CREATE TABLE "user" (id text PRIMARY KEY, email text NOT NULL UNIQUE)`,
  `CREATE TABLE auth_identity (id text PRIMARY KEY, app_metadata jsonb)`,
  `CREATE TABLE provider_identity (
     id text PRIMARY KEY,
     provider text NOT NULL,
     entity_id text NOT NULL,
     auth_identity_id text NOT NULL REFERENCES auth_identity,
     provider_metadata jsonb NOT NULL,
     UNIQUE (entity_id, provider)
   )`,
  `CREATE TABLE api_key (id text PRIMARY KEY, type text NOT NULL, title text NOT NULL, token text NOT NULL)`,
  `INSERT INTO api_key VALUES
     ('${id('apk')}', 'publishable', 'Storefront', 'pk_${randomBytes(32).toString('hex')}')`,
  `CREATE TABLE product (
     id text PRIMARY KEY,
     title text NOT NULL,
     created_at timestamptz NOT NULL DEFAULT now(),
     handled_at timestamptz
   )`,
]

function id(prefix) {
  return `${prefix}_${randomBytes(13).toString('hex').toUpperCase()}`
}

class Database {
  constructor() {
    this.pool = new Pool({ connectionString: process.env.DATABASE_URL, max: CONNECTIONS_MAX })
    // A connection that ends while nobody uses it; the next query makes another.
    this.pool.on('error', (error) => console.error(error.message))
  }

  /** The rows that a statement gives. */
  async rows(statement, ...parameters) {
    return (await this.pool.query(statement, parameters)).rows
  }

  async migrate() {
    await this.rows('CREATE TABLE IF NOT EXISTS mikro_orm_migrations (number int PRIMARY KEY)')
    const [{ done }] = await this.rows('SELECT count(*)::int AS done FROM mikro_orm_migrations')
    for (let number = done; number < migrations.length; number += 1) {
      await this.migrateOnce(number)
    }
    console.log(`${migrations.length - done} of ${migrations.length} migrations were due`)
  }

  async migrateOnce(number) {
    const client = await this.pool.connect()
    try {
      await client.query('BEGIN')
      await client.query(migrations[number])
      await client.query('INSERT INTO mikro_orm_migrations VALUES ($1)', [number])
      await client.query('COMMIT')
    } finally {
      client.release(true)
    }
  }

  close() {
    return this.pool.end()
  }
}

module.exports = { Database, id }
