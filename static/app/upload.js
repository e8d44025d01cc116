/**
 * The upload form, one request for each file: progress and result stand beside its name, and one refused file holds up no
 * other. Files may also be dropped or pasted. Without this script the form sends them all at once.
 */

const AT_ONCE = 2

/** @param {HTMLFormElement} form */
export function enhanceUpload(form) {
  const input = form.querySelector('input[type=file]')
  const button = form.querySelector('button')
  const drop = form.querySelector('.drop')
  const results = document.getElementById('upload-results')
  const status = document.getElementById('upload-status')
  if (!(input instanceof HTMLInputElement) || !button || !drop || !results || !status) return

  drop.classList.add('live')
  drop.querySelector('.drop-hint')?.removeAttribute('hidden')
  input.addEventListener('change', () => describeChoice(form, input))
  takeDropped(drop, (files) => choose(input, files))
  document.addEventListener('paste', (event) => {
    const files = event.clipboardData?.files
    if (files?.length) choose(input, files)
  })
  form.addEventListener('submit', async (event) => {
    event.preventDefault()
    const files = [...(input.files ?? [])]
    const fields = new FormData(form)
    fields.delete(input.name)
    button.disabled = true
    const stay = new AbortController()
    addEventListener('beforeunload', (leaving) => leaving.preventDefault(), stay)
    input.value = ''
    await sendAll(files, (file) => send(form, fields, input.name, file, addRow(results, file)), status)
    stay.abort()
    button.disabled = false
    describeChoice(form, input)
  })
}

/**
 * @param {Element} drop
 * @param {(files: FileList) => void} take
 */
function takeDropped(drop, take) {
  // A file dropped beside the field must not replace the page.
  for (const type of ['dragover', 'drop']) document.addEventListener(type, (event) => event.preventDefault())
  drop.addEventListener('dragover', () => drop.classList.add('over'))
  drop.addEventListener('dragleave', () => drop.classList.remove('over'))
  drop.addEventListener('drop', (event) => {
    drop.classList.remove('over')
    const files = /** @type {DragEvent} */ (event).dataTransfer?.files
    if (files?.length) take(files)
  })
}

/**
 * Adds `files` to those chosen already.
 * @param {HTMLInputElement} input
 * @param {FileList} files
 */
function choose(input, files) {
  const chosen = new DataTransfer()
  for (const file of [...(input.files ?? []), ...files]) chosen.items.add(file)
  input.files = chosen.files
  input.dispatchEvent(new Event('change'))
}

/**
 * @param {HTMLFormElement} form
 * @param {HTMLInputElement} input
 */
function describeChoice(form, input) {
  const count = input.files?.length ?? 0
  const words = count === 1 ? '1 picture' : `${count} pictures`
  const label = form.querySelector('.drop-label')
  const button = form.querySelector('button')
  if (label) label.textContent = count ? `${words} chosen` : 'Choose pictures'
  if (button) button.textContent = count ? `Add ${words}` : 'Add'
}

/**
 * Sends all, a few at a time, in their order.
 * @param {File[]} files
 * @param {(file: File) => Promise<boolean>} sendOne
 * @param {HTMLElement} status
 */
async function sendAll(files, sendOne, status) {
  let [next, added, done] = [0, 0, 0]
  const tell = () => {
    const isOver = done === files.length
    status.textContent = isOver ? `${added} added, ${done - added} refused.` : `Adding ${done + 1} of ${files.length} …`
  }
  const work = async () => {
    for (let file = files[next++]; file; file = files[next++]) {
      if (await sendOne(file)) added += 1
      done += 1
      tell()
    }
  }
  tell()
  await Promise.all(Array.from({ length: AT_ONCE }, work))
}

/**
 * @param {Element} results
 * @param {File} file
 */
function addRow(results, file) {
  const row = element('li', 'result')
  row.append(element('span', 'result-image'), element('span', 'result-name', file.name), document.createElement('progress'))
  results.prepend(row)
  return row
}

/**
 * Sends one file, and puts what the server says of it in the place of its row.
 * @param {HTMLFormElement} form
 * @param {FormData} fields  the other fields of the form
 * @param {string} name  of the field
 * @param {File} file
 * @param {HTMLElement} row
 * @returns {Promise<boolean>}  whether it was added
 */
async function send(form, fields, name, file, row) {
  if (file.size > Number(form.dataset.maxBytes)) {
    refuse(row, file, `The file is larger than the ${form.dataset.maxSize} allowed.`)
    return false
  }
  const body = new FormData()
  for (const [key, value] of fields) body.append(key, value)
  body.append(name, file)
  const bar = row.querySelector('progress')
  const reply = await post(form.action, body, (share) => {
    if (bar && share < 1) bar.value = share
    else bar?.replaceWith(element('span', 'result-text', 'Being encrypted …'))
  })
  if (!reply) {
    refuse(row, file, 'The server cannot be reached.')
    return false
  }
  const redirect = reply.getResponseHeader('HX-Redirect')
  if (redirect) location.assign(redirect)
  const answer = document.createElement('template')
  answer.innerHTML = reply.responseText
  const items = answer.content.querySelectorAll('li.result')
  if (items.length) row.replaceWith(...items)
  else refuse(row, file, answer.content.querySelector('.fault, .notice')?.textContent ?? 'This did not work.')
  return reply.status === 200
}

/**
 * @param {HTMLElement} row
 * @param {File} file
 * @param {string} reason
 */
function refuse(row, file, reason) {
  row.classList.add('refused')
  row.replaceChildren(
    element('span', 'result-image'), element('span', 'result-name', file.name), element('span', 'result-text', reason),
  )
}

/**
 * Posts as htmx does, so that the answer is a fragment. Not with fetch(), which tells nothing of its progress.
 * @param {string} url
 * @param {FormData} body
 * @param {(share: number) => void} onProgress
 * @returns {Promise<XMLHttpRequest | null>}  null where no answer came
 */
function post(url, body, onProgress) {
  return new Promise((resolve) => {
    const request = new XMLHttpRequest()
    request.open('POST', url)
    request.setRequestHeader('HX-Request', 'true')
    request.setRequestHeader('HX-Current-URL', location.href)
    request.upload.addEventListener('progress', ({ lengthComputable, loaded, total }) => {
      if (lengthComputable) onProgress(loaded / total)
    })
    request.addEventListener('load', () => resolve(request))
    request.addEventListener('error', () => resolve(null))
    request.send(body)
  })
}

/**
 * @param {string} tag
 * @param {string} className
 * @param {string} [text]
 */
function element(tag, className, text = '') {
  const made = document.createElement(tag)
  made.className = className
  made.textContent = text
  return made
}
