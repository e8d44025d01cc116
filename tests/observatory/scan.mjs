// node scan.mjs ADDRESS…: what the Observatory says of each address, a line of JSON for each.
import { writeFileSync } from 'node:fs'

// Lists that it would fetch at installation: hosts whose HSTS is built into browsers, and public suffixes. None is ours.
const conf = new URL('node_modules/@mdn/mdn-http-observatory/conf/', import.meta.url)
writeFileSync(new URL('hsts-preload.json', conf), '{}')
writeFileSync(new URL('tld-list.json', conf), '[]')

const { scan } = await import('@mdn/mdn-http-observatory')

for (const address of process.argv.slice(2)) {
  const { scan: { grade, score }, tests } = await scan(address)
  const failed = Object.values(tests).filter(({ pass }) => !pass).map(({ result }) => result)
  console.log(JSON.stringify({ address, grade, score, failed }))
}
