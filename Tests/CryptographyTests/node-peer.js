// Node's crypto as the other side of the tests: one request as JSON on standard input, one answer
// as JSON on standard output. Errors end it with a message and a status other than 0.
'use strict'
const crypto = require('crypto')

const hex = (text) => Buffer.from(text, 'hex')

const seedDecrypt = ({ key, blob }) => {
  const bytes = hex(blob)
  const decipher = crypto.createDecipheriv('aes-256-gcm', hex(key), bytes.subarray(0, 16))
  decipher.setAuthTag(bytes.subarray(16, 32))
  const plaintext = Buffer.concat([decipher.update(bytes.subarray(32)), decipher.final()])
  return plaintext.toString('utf8')
}

const seedEncrypt = ({ key, plaintext }) => {
  const iv = crypto.randomBytes(16)
  const cipher = crypto.createCipheriv('aes-256-gcm', hex(key), iv)
  const ciphertext = Buffer.concat([cipher.update(plaintext, 'utf8'), cipher.final()])
  return Buffer.concat([iv, cipher.getAuthTag(), ciphertext]).toString('hex')
}

// Whether `token` verifies with the one key of the key set `jwks`.
const tokenVerify = ({ token, jwks }) => {
  const [header, payload, signature] = token.split('.')
  const jwk = JSON.parse(jwks).keys[0]
  const key = crypto.createPublicKey({ key: jwk, format: 'jwk' })
  const decoded = JSON.parse(Buffer.from(header, 'base64url'))
  const thumbprint = crypto
    .createHash('sha256')
    .update(JSON.stringify({ crv: jwk.crv, kty: jwk.kty, x: jwk.x, y: jwk.y }))
    .digest('base64url')
  return {
    valid: crypto.verify(
      'sha256',
      Buffer.from(`${header}.${payload}`),
      { key, dsaEncoding: 'ieee-p1363' },
      Buffer.from(signature, 'base64url')
    ),
    keyIsThumbprint: decoded.kid === thumbprint && jwk.kid === thumbprint,
    claims: JSON.parse(Buffer.from(payload, 'base64url')),
  }
}

// A token signed by a new key, and the key's set; `pem` gives a key to sign with instead.
const tokenSign = ({ header, claims, pem }) => {
  const privateKey = pem
    ? crypto.createPrivateKey(pem)
    : crypto.generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
  const jwk = crypto.createPublicKey(privateKey).export({ format: 'jwk' })
  const encode = (value) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const input = `${encode(header)}.${encode(claims)}`
  const signature = crypto.sign('sha256', Buffer.from(input), {
    key: privateKey,
    dsaEncoding: 'ieee-p1363',
  })
  return {
    token: `${input}.${signature.toString('base64url')}`,
    jwks: JSON.stringify({ keys: [{ ...jwk, kid: header.kid, use: 'sig', alg: 'ES256' }] }),
    pem: privateKey.export({ type: 'pkcs8', format: 'pem' }),
  }
}

const scrypt = ({ password, salt }) =>
  crypto
    .scryptSync(password, Buffer.from(salt, 'base64'), 32, { N: 32768, r: 8, maxmem: 64 << 20 })
    .toString('base64')
    .replace(/=+$/, '')

const certificate = ({ leaf, authority, key }) => {
  const parsed = new crypto.X509Certificate(leaf)
  const issuer = new crypto.X509Certificate(authority)
  return {
    signed: parsed.checkIssued(issuer) && parsed.verify(issuer.publicKey),
    authority: issuer.ca,
    ownKey: parsed.checkPrivateKey(crypto.createPrivateKey(key)),
    names: parsed.subjectAltName,
    validTo: Date.parse(parsed.validTo) / 1000,
  }
}

const commands = { seedDecrypt, seedEncrypt, tokenVerify, tokenSign, scrypt, certificate }
const request = JSON.parse(require('fs').readFileSync(0, 'utf8'))
process.stdout.write(JSON.stringify({ answer: commands[request.command](request) }))
