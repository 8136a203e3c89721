#!/usr/bin/env node
// Prints seed-vectors.json: secrets encrypted by Node's crypto in the seed's format
// (IV 16 | tag 16 | ciphertext, AES-256-GCM, key of 64 hexadecimal digits).
//
//   node make-seed-vectors.js > seed-vectors.json
//
// Keys and IVs are derived from the vectors' numbers, so that each run prints the same.
'use strict'
const { createCipheriv, createHash } = require('crypto')

const derive = (text) => createHash('sha256').update(text).digest()

const plaintexts = [
  '',
  'x',
  'shpat_0123456789abcdef',
  'fifteen bytes..',
  'sixteen bytes...',
  'seventeen bytes..',
  'Zürich, 東京, 🛒',
  JSON.stringify({ stripe_secret_key: 'sk_live_example', wise_api_key: 'example' }),
  'long '.repeat(400),
]

const vectors = plaintexts.map((plaintext, index) => {
  const key = derive(`key ${index}`).toString('hex')
  const iv = derive(`iv ${index}`).subarray(0, 16)
  const cipher = createCipheriv('aes-256-gcm', Buffer.from(key, 'hex'), iv)
  const ciphertext = Buffer.concat([cipher.update(plaintext, 'utf8'), cipher.final()])
  const blob = Buffer.concat([iv, cipher.getAuthTag(), ciphertext])
  return { key, plaintext, blob: blob.toString('hex') }
})

process.stdout.write(JSON.stringify(vectors, null, 2) + '\n')
