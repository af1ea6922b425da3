// Scrolls to the part of a page that its address names, once: `section=KEY` is the part with that key. Appended to
// page_frame.js by page_frame.py.

const SECTION_LOOK_MS = 100
const SECTION_SETTLES_MS = 3000 // without a change of what is above it, nor a script that runs and may change it
const SECTION_GIVE_UP_MS = 60_000
const SECTION_MARGIN = "4rem" // Streamlit's header

function toSection() {
  const address = new URLSearchParams(window.location.search)
  const name = address.get("section")
  const asked = name && `${window.location.pathname} ${address.get("run")} ${name}`
  if (frame.section === asked) return
  frame.section = asked
  clearInterval(frame.scrolling)
  if (!asked) return
  const began = performance.now()
  let found = false
  let place = null
  let settling = began
  const stop = () => {
    clearInterval(frame.scrolling)
    for (const what of ["wheel", "touchmove", "keydown", "pointerdown"]) window.removeEventListener(what, stop, true)
  }
  // Whoever scrolls or types meanwhile is left alone.
  for (const what of ["wheel", "touchmove", "keydown", "pointerdown"]) window.addEventListener(what, stop, true)
  frame.scrolling = setInterval(() => {
    const part = document.querySelector(`[data-testid="stMain"] .st-key-${CSS.escape(name)}`)
    const now = performance.now()
    if (now - began > SECTION_GIVE_UP_MS || (found && now - settling > SECTION_SETTLES_MS)) return stop()
    if (!part) return
    if (!found) part.querySelector("summary")?.focus({ preventScroll: true })
    found = true
    part.style.scrollMarginTop = SECTION_MARGIN
    part.scrollIntoView({ block: "start" })
    const main = part.closest('[data-testid="stMain"]')
    const runs = document.querySelector('[data-testid="stApp"]')?.dataset.testScriptState === "running"
    if (runs || main.scrollTop !== place) settling = now
    place = main.scrollTop
  }, SECTION_LOOK_MS)
}
