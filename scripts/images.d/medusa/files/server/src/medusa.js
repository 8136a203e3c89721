#!/usr/bin/env node
// The commands of Medusa v2's command line that a store is run and set up by.
'use strict'

const { resolve } = require('path')
const { Database } = require('./database')
const { container } = require('./modules')
const { serve } = require('./server')

const commands = {
  start: () => serve(),

  async 'db:migrate'() {
    const database = new Database()
    await database.migrate()
    await database.close()
  },

  // Calls the function that the file exports by default with the services.
  async exec(file, ...args) {
    const database = new Database()
    await require(resolve(file)).default({ container: container(database), args })
    await database.close()
  },
}

const [name, ...args] = process.argv.slice(2)
if (!Object.hasOwn(commands, name)) {
  console.error(`usage: medusa ${Object.keys(commands).join(' | ')}`)
  process.exit(2)
}
commands[name](...args.filter((each) => !each.startsWith('--'))).then(
  () => name === 'start' || process.exit(0),
  (error) => {
    console.error(error)
    process.exit(1)
  }
)
