// The HTTP API of a Medusa that serves, and the work of one that works: a product is put into the
// database by the server, told to the worker by Redis, and marked in the database by the worker.
'use strict'

const { createHmac, timingSafeEqual } = require('crypto')
const { createServer } = require('http')
const { createClient } = require('redis')
const { Database, id } = require('./database')
const { container } = require('./modules')

const PROVIDER = 'emailpass'
const PRODUCTS_QUEUE = 'product.created'
const BODY_BYTES_MAX = 1 << 20
const TOKEN_SECONDS = 24 * 3600

class Refusal extends Error {
  constructor(status, type, message) {
    super(message)
    Object.assign(this, { status, type })
  }
}

// Tokens: JWT with HMAC-SHA256.

const encoded = (value) => Buffer.from(JSON.stringify(value)).toString('base64url')
const signature = (text) =>
  createHmac('sha256', process.env.JWT_SECRET).update(text).digest('base64url')

function issue(claims) {
  const exp = Math.floor(Date.now() / 1000) + TOKEN_SECONDS
  const text = `${encoded({ alg: 'HS256', typ: 'JWT' })}.${encoded({ ...claims, exp })}`
  return `${text}.${signature(text)}`
}

function requireAdministrator(request) {
  const [, head, body, given] =
    /^Bearer ([\w-]+)\.([\w-]+)\.([\w-]+)$/.exec(request.headers.authorization ?? '') ?? []
  const wanted = signature(`${head}.${body}`)
  const isOurs =
    given?.length === wanted.length && timingSafeEqual(Buffer.from(given), Buffer.from(wanted))
  const claims = isOurs ? JSON.parse(Buffer.from(body, 'base64url')) : {}
  if (!claims.actor_id || claims.exp < Date.now() / 1000) {
    throw new Refusal(401, 'unauthorized', 'Unauthorized')
  }
}

class Shop {
  constructor(database, queue) {
    this.database = database
    this.queue = queue
    this.services = container(database)
    this.routes = {
      'POST /auth/user/emailpass': (request) => this.signIn(request),
      'GET /admin/stores': (request) =>
        this.administer(request, async () => ({
          stores: await this.services.resolve('store').listStores(),
        })),
      'GET /admin/api-keys': (request) =>
        this.administer(request, async () => ({
          api_keys: await this.database.rows('SELECT * FROM api_key'),
        })),
      'GET /admin/products': (request) =>
        this.administer(request, async () => ({ products: await this.products() })),
      'POST /admin/products': (request) => this.administer(request, () => this.make(request)),
      'GET /store/products': (request) => this.browse(request),
    }
  }

  async signIn(request) {
    const { email, password } = await readJSON(request)
    if (typeof email !== 'string' || typeof password !== 'string') {
      throw new Refusal(401, 'unauthorized', 'Email should be a string')
    }
    const { success, error, authIdentity } = await this.services
      .resolve('auth')
      .authenticate(PROVIDER, { body: { email, password } })
    if (!success) throw new Refusal(401, 'unauthorized', error)
    const metadata = authIdentity.app_metadata ?? {}
    return { token: issue({ actor_id: metadata.user_id ?? '', actor_type: 'user' }) }
  }

  administer(request, action) {
    requireAdministrator(request)
    return action()
  }

  products() {
    return this.database.rows('SELECT * FROM product ORDER BY created_at')
  }

  async make(request) {
    const { title } = await readJSON(request)
    if (!title) throw new Refusal(400, 'invalid_data', "Field 'title' is required")
    const [product] = await this.database.rows(
      'INSERT INTO product (id, title) VALUES ($1, $2) RETURNING *', id('prod'), title
    )
    await this.queue.lPush(PRODUCTS_QUEUE, product.id)
    return { product }
  }

  async browse(request) {
    const token = request.headers['x-publishable-api-key'] ?? ''
    const known = "SELECT 1 FROM api_key WHERE type = 'publishable' AND token = $1"
    if ((await this.database.rows(known, token)).length === 0) {
      const message = 'Publishable API key required in the request header: x-publishable-api-key.'
      throw new Refusal(400, 'not_allowed', message)
    }
    return { products: await this.products() }
  }
}

async function readJSON(request) {
  let text = ''
  for await (const chunk of request) {
    text += chunk
    if (text.length > BODY_BYTES_MAX) throw new Refusal(413, 'invalid_data', 'too large')
  }
  try {
    return Object(JSON.parse(text))
  } catch {
    throw new Refusal(400, 'invalid_data', 'the body is no JSON')
  }
}

async function answer(routes, request, response) {
  const { pathname } = new URL(request.url, 'http://localhost')
  if (request.method === 'GET' && pathname === '/health') {
    return response.end('OK')
  }
  let status = 200
  let body
  try {
    const route = routes[`${request.method} ${pathname}`]
    if (!route) throw new Refusal(404, 'not_found', `Cannot ${request.method} ${pathname}`)
    body = await route(request)
  } catch (error) {
    if (!(error instanceof Refusal)) console.error(error)
    status = error.status ?? 500
    body = { type: error.type ?? 'unknown_error', message: status === 500 ? 'An unknown error occurred.' : error.message }
  }
  response.writeHead(status, { 'content-type': 'application/json; charset=utf-8' })
  response.end(JSON.stringify(body))
}

async function work(database, queue) {
  for (;;) {
    const { element } = await queue.brPop(PRODUCTS_QUEUE, 0)
    await database.rows('UPDATE product SET handled_at = now() WHERE id = $1', element)
    console.log(`handled ${element}`)
  }
}

async function connectQueue() {
  const queue = createClient({ url: process.env.REDIS_URL })
  queue.on('error', (error) => console.error(`redis: ${error.message}`))
  await queue.connect()
  return queue
}

/** Listens once database and Redis answer; ends in order when it is told to. */
async function serve() {
  const isWorker = process.env.MEDUSA_WORKER_MODE === 'worker'
  const database = new Database()
  await database.rows('SELECT count(*) FROM store')
  const queue = await connectQueue()
  const routes = isWorker ? {} : new Shop(database, queue).routes
  if (isWorker) {
    work(database, queue).catch((error) => {
      console.error(error)
      process.exit(1)
    })
  }
  const server = createServer((request, response) => answer(routes, request, response))
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(0))
  server.listen(Number(process.env.PORT ?? 9000), () => console.log('Server is ready'))
}

module.exports = { serve }
