/**
 * Sends each file of the upload form in a separate request. The progress and the result of a file appear
 * beside its name, and a refused file does not stop the others. If the server is busy, the file is sent again
 * after the time that the server names. A file that could not be delivered is put back into the form. Files
 * can also be dropped or pasted. Without this script, the form sends all files in one request.
 */

const AT_ONCE = 2
const MOST_TRIES = 30

/** @typedef {'added' | 'refused' | 'unsent'} Fate  the result for a file; an unsent file may be sent again */

/** @param {HTMLFormElement} form */
export function enhanceUpload(form) {
  const input = form.querySelector('input[type=file]')
  const button = form.querySelector('button')
  const dropZone = form.querySelector('.drop')
  const results = document.getElementById('upload-results')
  const status = document.getElementById('upload-status')
  if (!(input instanceof HTMLInputElement) || !button || !dropZone || !results || !status) return

  dropZone.classList.add('live')
  dropZone.querySelector('.drop-hint')?.removeAttribute('hidden')
  input.addEventListener('change', () => describeChoice(form, input))
  takeDropped(dropZone, (files) => choose(input, files))
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
    const sending = new AbortController()
    addEventListener('beforeunload', (leaving) => leaving.preventDefault(), sending)
    input.value = ''
    const unsent = await sendAll(files, (file) => send(form, fields, input.name, file, addRow(results, file)), status)
    sending.abort()
    button.disabled = false
    choose(input, unsent)
  })
}

/**
 * @param {Element} dropZone
 * @param {(files: FileList) => void} take
 */
function takeDropped(dropZone, take) {
  // Without this, the browser would open a file that is dropped beside the field, in place of the page.
  for (const type of ['dragover', 'drop']) document.addEventListener(type, (event) => event.preventDefault())
  dropZone.addEventListener('dragover', () => dropZone.classList.add('over'))
  dropZone.addEventListener('dragleave', () => dropZone.classList.remove('over'))
  dropZone.addEventListener('drop', (event) => {
    dropZone.classList.remove('over')
    const files = /** @type {DragEvent} */ (event).dataTransfer?.files
    if (files?.length) take(files)
  })
}

/**
 * Adds `files` to the files that are already chosen.
 * @param {HTMLInputElement} input
 * @param {Iterable<File>} files
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
  const pictures = count === 1 ? '1 picture' : `${count} pictures`
  const label = form.querySelector('.drop-label')
  const button = form.querySelector('button')
  if (label) label.textContent = count ? `${pictures} chosen` : 'Choose pictures'
  if (button) button.textContent = count ? `Add ${pictures}` : 'Add'
}

/**
 * Sends all files in their order, a few at a time.
 * @param {File[]} files
 * @param {(file: File) => Promise<Fate>} sendOne
 * @param {HTMLElement} status
 * @returns {Promise<File[]>}  the files that could not be delivered
 */
async function sendAll(files, sendOne, status) {
  const done = { added: 0, refused: 0 }
  /** @type {File[]} */
  const unsent = []
  let next = 0
  const showStatus = () => {
    const count = done.added + done.refused + unsent.length
    const again = unsent.length ? ` ${unsent.length} did not get through: press Add to send again.` : ''
    status.textContent = count === files.length
      ? `${done.added} added, ${done.refused} refused.${again}`
      : `Adding ${count + 1} of ${files.length} …`
  }
  const work = async () => {
    for (let file = files[next++]; file; file = files[next++]) {
      const fate = await sendOne(file)
      if (fate === 'unsent') unsent.push(file)
      else done[fate] += 1
      showStatus()
    }
  }
  showStatus()
  await Promise.all(Array.from({ length: AT_ONCE }, work))
  return unsent
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
 * Sends one file and replaces its row by the server's answer.
 * @param {HTMLFormElement} form
 * @param {FormData} fields  the other fields of the form
 * @param {string} name  of the field
 * @param {File} file
 * @param {HTMLElement} row
 * @returns {Promise<Fate>}
 */
async function send(form, fields, name, file, row) {
  if (file.size > Number(form.dataset.maxBytes)) {
    refuse(row, file, `The file is larger than the ${form.dataset.maxSize} allowed.`)
    return 'refused'
  }
  const body = new FormData()
  for (const [key, value] of fields) body.append(key, value)
  body.append(name, file)
  const reply = await postUntilTaken(form.action, body, row)
  if (!reply) {
    refuse(row, file, 'The server cannot be reached.')
    return 'unsent'
  }
  const redirect = reply.getResponseHeader('HX-Redirect')
  if (redirect) location.assign(redirect)
  const answer = document.createElement('template')
  answer.innerHTML = reply.responseText
  const items = answer.content.querySelectorAll('li.result')
  if (items.length) row.replaceWith(...items)
  else refuse(row, file, answer.content.querySelector('.fault, .notice')?.textContent ?? 'This did not work.')
  if (reply.status === 503) return 'unsent'
  return reply.status === 200 ? 'added' : 'refused'
}

/**
 * Posts `body`. If the server is too busy, says so in `row`, and posts again after a pause.
 * @param {string} url
 * @param {FormData} body
 * @param {HTMLElement} row
 * @returns {Promise<XMLHttpRequest | null>}  the last answer; null if there was none
 */
async function postUntilTaken(url, body, row) {
  for (let tries = 1; ; tries += 1) {
    const bar = document.createElement('progress')
    row.lastElementChild?.replaceWith(bar)
    const reply = await post(url, body, (share) => {
      if (share < 1) bar.value = share
      else bar.replaceWith(element('span', 'result-text', 'Being encrypted …'))
    })
    const seconds = Number(reply?.getResponseHeader('Retry-After'))
    if (reply?.status !== 503 || !seconds || tries === MOST_TRIES) return reply
    row.lastElementChild?.replaceWith(element('span', 'result-text', 'The server is busy. This file will be sent again in a moment.'))
    await new Promise((resolve) => setTimeout(resolve, 1000 * seconds))
  }
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
 * Posts with the headers of htmx, so that the answer is a fragment. Uses XMLHttpRequest, because fetch() does
 * not report upload progress.
 * @param {string} url
 * @param {FormData} body
 * @param {(share: number) => void} onProgress
 * @returns {Promise<XMLHttpRequest | null>}  null if no answer came
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
