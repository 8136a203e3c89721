// Medusa's services as far as a set-up uses them, with the names and shapes that they have there.
'use strict'

const { promisify } = require('util')
const { randomBytes, scrypt, timingSafeEqual } = require('crypto')
const { id } = require('./database')

const REFUSED = { success: false, error: 'Invalid email or password' }
const derive = promisify(scrypt)

async function hash(password) {
  const salt = randomBytes(16)
  return Buffer.concat([salt, await derive(password, salt, 32)]).toString('base64')
}

async function matches(password, stored) {
  const bytes = Buffer.from(stored, 'base64')
  const salt = bytes.subarray(0, 16)
  return timingSafeEqual(await derive(password, salt, 32), bytes.subarray(16))
}

class UserService {
  constructor(database) {
    this.database = database
  }

  listUsers({ email }) {
    return this.database.rows('SELECT * FROM "user" WHERE email = $1', email)
  }

  async createUsers({ email }) {
    const made = 'INSERT INTO "user" VALUES ($1, $2) RETURNING *'
    return (await this.database.rows(made, id('user'), email))[0]
  }
}

class AuthService {
  constructor(database) {
    this.database = database
  }

  listProviderIdentities({ provider, entity_id }) {
    return this.database.rows(
      'SELECT * FROM provider_identity WHERE provider = $1 AND entity_id = $2', provider, entity_id
    )
  }

  async register(provider, { body: { email, password } }) {
    const identity = id('authid')
    await this.database.rows(
      `WITH made AS (INSERT INTO auth_identity VALUES ($1, NULL) RETURNING id)
       INSERT INTO provider_identity SELECT $2, $3, $4, id, $5 FROM made`,
      identity, id('provid'), provider, email, { password: await hash(password) }
    )
    return { success: true, authIdentity: { id: identity } }
  }

  async updateProvider(provider, { entity_id, password }) {
    const [changed] = await this.database.rows(
      `UPDATE provider_identity SET provider_metadata = $3 WHERE provider = $1 AND entity_id = $2
       RETURNING auth_identity_id AS id`,
      provider, entity_id, { password: await hash(password) }
    )
    return changed ? { success: true, authIdentity: changed } : REFUSED
  }

  async updateAuthIdentities({ id, app_metadata }) {
    await this.database.rows(
      'UPDATE auth_identity SET app_metadata = $2 WHERE id = $1', id, app_metadata
    )
  }

  async authenticate(provider, { body: { email, password } }) {
    const [found] = await this.listProviderIdentities({ provider, entity_id: email })
    if (!found || !(await matches(password, found.provider_metadata.password))) return REFUSED
    const [identity] = await this.database.rows(
      'SELECT * FROM auth_identity WHERE id = $1', found.auth_identity_id
    )
    return { success: true, authIdentity: identity }
  }
}

class StoreService {
  constructor(database) {
    this.database = database
  }

  listStores() {
    return this.database.rows('SELECT * FROM store')
  }

  async updateStores(id, { name }) {
    await this.database.rows('UPDATE store SET name = $2 WHERE id = $1', id, name)
  }
}

/** What gives the services by their names. */
function container(database) {
  const services = {
    user: new UserService(database),
    auth: new AuthService(database),
    store: new StoreService(database),
  }
  return {
    resolve(name) {
      if (!Object.hasOwn(services, name)) throw new Error(`Could not resolve '${name}'.`)
      return services[name]
    },
  }
}

module.exports = { container }
