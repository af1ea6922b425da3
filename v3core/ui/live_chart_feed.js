// Asks the server for what is new, once for all that a tab shows and only for what is on its screen (v3core/ui/feed.py).
// Appended to live_chart.js by live_chart.py.

const NOT_HERE = "This server sends no charts: start the dashboard with `make run` or `v3lab serve`."
const RETRY_MS = 2000

class Feed {
  constructor(url) {
    this.url = url
    this.members = new Set() // of FeedMember
    document.addEventListener("visibilitychange", () => document.hidden || this.soon())
    setInterval(() => document.hidden || this.members.forEach((member) => member.near && member.tell()), 1000)
  }

  soon(ms = 0) {
    const at = performance.now() + ms
    if (this.timer !== undefined && this.at <= at) return
    clearTimeout(this.timer)
    this.at = at
    this.timer = setTimeout(() => this.ask(), ms)
  }

  async ask() {
    this.timer = undefined
    if (this.asking) return (this.again = true)
    if (document.hidden) return
    const asked = [...this.members].map((member) => [member, member.wants()]).filter(([, wanted]) => wanted)
    if (asked.length === 0) return
    this.asking = true
    const began = performance.now()
    let wait = RETRY_MS
    try {
      const charts = asked.map(([, wanted], index) => ({ ...wanted, id: String(index) }))
      const response = await fetch(this.url, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ charts }),
      })
      if (response.status === 404 || response.status === 405) throw new Error(NOT_HERE)
      const said = response.status === 204 ? {} : await response.json()
      if (!response.ok) throw new Error(said.error)
      asked.forEach(([member, wanted], index) => said[index] && member.takes(said[index], wanted))
      // A slow server is asked less often.
      wait = Math.max(Math.min(...asked.map(([member]) => member.everyMs())), 3 * (performance.now() - began))
    } catch (error) {
      asked.forEach(([member]) => member.fails(error.message))
    }
    this.asking = false
    this.soon(this.again ? 0 : wait)
    this.again = false
  }
}

const NEAR = "300px" // what is so near to the screen is kept up to date

// One thing on the page that the feed keeps up to date. `owner` has `show(steps)` and `tell()`, which writes ages;
// and it may have `fails(sentence)`, `visible()` (what it is zoomed to) and `appears()`.
class FeedMember {
  constructor(element, owner) {
    this.element = element
    this.owner = owner
    this.near = false
    this.version = ""
    this.watching = new IntersectionObserver(
      ([entry]) => {
        this.near = entry.isIntersecting
        if (!this.near) return
        this.feed?.soon()
        owner.appears?.()
      },
      { rootMargin: NEAR },
    )
    this.watching.observe(element)
  }

  // The page was drawn: what rested, as the chart of an ended run, looks once more.
  update(data) {
    this.data = data
    const source = JSON.stringify(data.source)
    if (this.source !== source) this.version = ""
    this.source = source
    if (!data.source) return
    this.feed ??= feedOf(data.feed)
    this.feed.members.add(this)
    this.wake()
  }

  wake() {
    this.rests = false
    this.feed?.soon()
  }

  // What to ask for; null for nothing.
  wants() {
    if (this.rests || !this.near || this.element.clientWidth === 0) return null
    return { source: this.data.source, have: this.version, visible: this.owner.visible?.() ?? null }
  }

  takes(answer, wanted) {
    if (JSON.stringify(wanted) !== JSON.stringify(this.wants())) return // it wants something else since
    if (answer.steps) {
      this.version = answer.version
      this.rests = answer.rests
      if (answer.steps.length) this.owner.show(answer.steps)
    } else if (answer.gone) {
      this.rests = true // the page says so itself
    } else {
      this.fails(answer.error)
    }
  }

  fails(sentence) {
    this.owner.fails?.(sentence)
  }

  tell() {
    this.owner.tell()
  }

  everyMs() {
    return 1000 * this.data.every
  }

  remove() {
    this.watching.disconnect()
    this.feed?.members.delete(this)
  }
}

function age(seconds) {
  const sizes = { day: 86400, hour: 3600, minute: 60, second: 1 }
  const unit = Object.keys(sizes).find((name) => seconds >= sizes[name]) ?? "second"
  const count = Math.max(0, Math.floor(seconds / sizes[unit]))
  return `${count} ${unit}${count === 1 ? "" : "s"}`
}

function feedOf(url) {
  const feeds = (window.__v3labFeeds ??= new Map())
  if (!feeds.has(url)) feeds.set(url, new Feed(url))
  return feeds.get(url)
}
