// Puts what the pages load from others into static/vendor/, each file with its licence beside it. npm has checked the
// packages against package-lock.json; nothing of static/vendor is committed, and nothing is loaded from elsewhere.
import { copyFile, mkdir, writeFile } from 'node:fs/promises'

const root = new URL('../', import.meta.url)
const vendor = new URL('static/vendor/', root)

const COPIES = {
  'htmx.min.js': 'htmx.org/dist/htmx.min.js',
  'htmx.LICENSE.txt': 'htmx.org/LICENSE',
  'idb.js': 'idb/build/index.js',
  'idb.LICENSE.txt': 'idb/LICENSE',
}

await mkdir(vendor, { recursive: true })
for (const [name, source] of Object.entries(COPIES)) {
  await copyFile(new URL(source, new URL('node_modules/', root)), new URL(name, vendor))
}
// For the type checker alone: the copy has the types of the package it was copied from.
await writeFile(new URL('idb.d.ts', vendor), "export * from 'idb'\n")
