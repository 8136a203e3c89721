// Makes Medusa's administrator and the store's name, run by `medusa exec`. May run any number of times,
// and go on where an earlier run was cut off. Reads, in base64 and on standard input, the JSON of: title,
// mail, password.
'use strict'

const { readFileSync } = require('fs')

const PROVIDER = 'emailpass'

async function setUp({ container }, { title, mail, password }) {
  const users = container.resolve('user')
  const auth = container.resolve('auth')
  const stores = container.resolve('store')

  const [known] = await users.listUsers({ email: mail })
  const user = known ?? (await users.createUsers({ email: mail }))
  const [identity] = await auth.listProviderIdentities({ provider: PROVIDER, entity_id: mail })
  const outcome = identity
    ? await auth.updateProvider(PROVIDER, { entity_id: mail, password })
    : await auth.register(PROVIDER, { body: { email: mail, password } })
  if (!outcome.success) throw new Error(`the administrator's password is refused: ${outcome.error}`)
  await auth.updateAuthIdentities({
    id: identity?.auth_identity_id ?? outcome.authIdentity.id,
    app_metadata: { user_id: user.id },
  })

  const [store] = await stores.listStores()
  if (!store) throw new Error('Medusa has made no store yet')
  await stores.updateStores(store.id, { name: title })
}

Object.defineProperty(exports, '__esModule', { value: true })
exports.default = async (medusa) => {
  try {
    await setUp(medusa, JSON.parse(Buffer.from(readFileSync(0, 'utf8'), 'base64')))
  } catch (error) {
    // Medusa runs, so its database may have gone away, or another set-up was faster: it may be run again.
    console.log(`\nstoreplane-failure ${JSON.stringify(['SETUP_INTERRUPTED', error.message])}`)
    process.exit(1)
  }
}
