/**
 * Shows two events of htmx to the user: the progress of an upload, and that the server cannot be reached.
 * Error answers of the server need no script: htmx puts them into #problem.
 */

export function watchHtmxEvents() {
  const problem = document.getElementById('problem')
  document.body.addEventListener('htmx:beforeRequest', () => problem?.replaceChildren())
  document.body.addEventListener('htmx:sendError', () => {
    const notice = document.createElement('p')
    notice.className = 'notice warning'
    notice.textContent = 'The server cannot be reached. Please try again.'
    problem?.replaceChildren(notice)
  })
  document.body.addEventListener('htmx:xhr:progress', (event) => {
    const bar = event.target instanceof Element ? event.target.querySelector('progress') : null
    const { lengthComputable, loaded, total } = /** @type {CustomEvent<ProgressEvent>} */ (event).detail
    if (!bar || !lengthComputable) return
    bar.hidden = false
    bar.value = loaded / total
  })
}
