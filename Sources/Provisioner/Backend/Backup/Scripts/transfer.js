// Puts the archive of a backup into the object store and reads it back, or gets it and compares it
// with what is known of it. Usage: transfer.js put|get FILE. The addresses are signed, and expire.
'use strict'

const { createHash } = require('crypto')
const { createReadStream, createWriteStream, readFileSync, statSync, writeFileSync } = require('fs')
const { pipeline } = require('stream/promises')

const JOB = '/backup/job/'
// Of one object that is put in one piece.
const BYTES_MAX = 5 * 1024 ** 3
const SILENCE_MAX = 60_000

class Failure extends Error {
  constructor(code, words) {
    super(words)
    this.code = code
  }
}

// Sends a request and gives its answer, whose body is not read yet.
function ask(method, name, bytes, body) {
  const address = new URL(readFileSync(JOB + name, 'utf8').trim())
  const { request } = require(address.protocol === 'https:' ? 'https' : 'http')
  return new Promise((resolve, reject) => {
    const headers = bytes === undefined ? {} : { 'content-length': bytes }
    const sent = request(address, { method, headers, agent: false }, resolve)
    sent.setTimeout(SILENCE_MAX, () => sent.destroy(new Error('no answer in time')))
    sent.on('error', (error) => reject(new Failure('BACKUP_STORE_UNREACHABLE', `${method}: ${error.message}`)))
    if (body) body.on('error', (error) => sent.destroy(error)).pipe(sent)
    else sent.end()
  })
}

async function judge(method, answer) {
  const status = answer.statusCode
  if (status === 200) return
  let text = ''
  for await (const chunk of answer) if (text.length < 4096) text += chunk
  const reason = /<Code>([A-Za-z]+)<\/Code>/.exec(text)?.[1] ?? ''
  let code = 'BACKUP_STORE_DENIED'
  if (status === 413 || reason === 'EntityTooLarge') code = 'BACKUP_TOO_LARGE'
  else if (status === 507 || /Quota|StorageFull/.test(reason)) code = 'BACKUP_NO_ROOM'
  else if (status === 404 && reason === 'NoSuchKey') code = 'BACKUP_MISSING'
  else if (status >= 500 || status === 429) code = 'BACKUP_STORE_UNREACHABLE'
  throw new Failure(code, `${method} answered ${status} ${reason}`)
}

// The bytes and the digest of a stream, all of which goes to `target` where there is one.
async function measure(source, target) {
  const digest = createHash('sha256')
  let bytes = 0
  async function* measured(chunks) {
    for await (const chunk of chunks) {
      bytes += chunk.length
      digest.update(chunk)
      yield chunk
    }
  }
  if (target) await pipeline(source, measured, target)
  else for await (const chunk of measured(source)) void chunk
  return { bytes, sum: digest.digest('hex') }
}

async function get(path) {
  const answer = await ask('GET', 'get-address')
  await judge('GET', answer)
  try {
    return await measure(answer, path && createWriteStream(path))
  } catch (error) {
    const isFull = error.code === 'ENOSPC'
    throw new Failure(isFull ? 'BACKUP_NO_ROOM' : 'BACKUP_STORE_UNREACHABLE', `GET: ${error.message}`)
  }
}

function compare(found, { bytes, sum }) {
  if (found.bytes === bytes && found.sum === sum) return
  const words = `it has ${found.bytes} bytes with SHA-256 ${found.sum}, not ${bytes} with ${sum}`
  throw new Failure('BACKUP_DAMAGED', words)
}

async function put(path) {
  const { size } = statSync(path)
  if (size > BYTES_MAX) {
    throw new Failure('BACKUP_TOO_LARGE', `the archive has ${size} bytes; the most is ${BYTES_MAX}`)
  }
  const written = await measure(createReadStream(path))
  const answer = await ask('PUT', 'put-address', size, createReadStream(path))
  await judge('PUT', answer)
  answer.resume()
  compare(await get(), written)
  writeFileSync('/dev/termination-log', `OK ${written.bytes} ${written.sum}`)
}

async function main([mode, path]) {
  if (mode === 'put') return put(path)
  const [bytes, sum] = readFileSync(JOB + 'contents', 'utf8').trim().split(' ')
  compare(await get(path), { bytes: Number(bytes), sum })
}

main(process.argv.slice(2)).catch((error) => {
  const words = error.message.replace(/[\r\n]+/g, ' ').slice(0, 500)
  writeFileSync('/dev/termination-log', `${error instanceof Failure ? error.code : 'JOB_INTERRUPTED'} unchanged ${words}`)
  process.exit(1)
})
