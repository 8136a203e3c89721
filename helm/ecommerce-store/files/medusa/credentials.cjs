// Loaded into every Node process of a Medusa container before anything else. Reads the credentials from
// their files into the process' own variables, so that no environment shows them. NAME_FILE is the path
// of a file with the value; without it NAME is the value.
'use strict'

const { readFileSync } = require('fs')

function credential(name) {
  const file = process.env[`${name}_FILE`]
  const value = file ? readFileSync(file, 'utf8').trimEnd() : process.env[name]
  if (!value) throw new Error(`${name} is missing`)
  return value
}

function addPassword(variable, password) {
  const url = new URL(process.env[variable])
  url.password = password
  process.env[variable] = url.href
}

addPassword('DATABASE_URL', credential('POSTGRES_PASSWORD'))
addPassword('REDIS_URL', credential('REDIS_PASSWORD'))
process.env.JWT_SECRET = credential('JWT_SECRET')
process.env.COOKIE_SECRET = credential('COOKIE_SECRET')
