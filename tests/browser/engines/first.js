// Keeps what a page has to complain of until somebody asks.
window.complaints = []
for (const [method, kind] of [['error', 'error'], ['warn', 'warning'], ['assert', 'assert']]) {
  const log = console[method]
  console[method] = (...words) => {
    window.complaints.push([kind, words.map((word) => String(word?.message ?? word)).join(' ')])
    log.apply(console, words)
  }
}
addEventListener('error', (event) => {
  if (event.target === window) window.complaints.push(['uncaught', String(event.message)])
})
addEventListener('unhandledrejection', ({ reason }) => window.complaints.push(['uncaught', String(reason)]))
addEventListener('securitypolicyviolation', ({ violatedDirective, blockedURI }) => {
  window.complaints.push(['uncaught', `content security policy: ${violatedDirective} refuses ${blockedURI}`])
})
